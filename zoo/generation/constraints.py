"""What an output may not hold, and what of it is made less probable: one rule for every search.

What stands before the next token counts: of an encoder-decoder what begins its output, of a decoder-only model the
prompt, and what was written. Source: transformers' logits processors, in their order; the repetition penalty is Keskar
et al. 2019, section 4.1, the ban of n-grams Paulus et al. 2017, section 2.5.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from registry import Spec
from zoo.special_ids import SpecialIds

NOTHING = -1
"""Fills up the shorter rows of what stands before, on the left: no id."""


class ConstrainedSpec(Spec):
    """The fields that every search has."""

    repetition_penalty: float = Field(1.0, gt=0, le=100)
    """What the score of a token that stands before is divided by, or multiplied by where it is below 0; 1: nothing."""
    no_repeat_ngram: int = Field(0, ge=0, le=1000)
    """Tokens of a sequence that may not come twice, prompt included; 0: any may."""
    min_length: int = Field(0, ge=0, le=10**6)
    """Tokens before which the output may not end, `ids.first` not counted; the maximum length ends it in any case."""


class Constraints:
    """What the scores of the next token become by what stands before it, -inf where it may not follow.

    In this order: repetition penalty, n-grams that came before, minimum length, ids that are not written first. Where
    nothing at all may follow, the end may.
    Differs: transformers leaves a row of which everything is forbidden to chance, and what fills up a shorter prompt is
        a token of its n-grams.
    Shapes: scores [N, V], before int64 [B, L], what stands before the outputs of the B sentences, written int64 [N, n],
        the outputs; the rows of a sentence side by side -> [N, V], new.
    """

    def __init__(
        self, *, repetition_penalty: float, no_repeat_ngram: int, min_length: int, ids: SpecialIds
    ) -> None:
        self.repetition_penalty, self.no_repeat_ngram = repetition_penalty, no_repeat_ngram
        self.min_length, self.ids = min_length, ids

    def act(self, n_written: int) -> bool:
        """Whether anything is asked of the token behind n_written others: if not, scores stay what they are."""
        is_always = self.repetition_penalty != 1 or self.no_repeat_ngram > 0
        return is_always or n_written < self.min_length or (n_written == 0 and bool(self.ids.not_first))

    def __call__(self, scores: Tensor, before: Tensor, written: Tensor) -> Tensor:
        found, n_rows = scores.clone(), len(scores) // len(before)
        tokens = torch.cat([before.to(written.device).repeat_interleave(n_rows, 0), written], dim=1)
        tokens = tokens.to(scores.device)  # [N, L + n]
        if self.repetition_penalty != 1 and tokens.shape[1]:
            _penalise(found, tokens, self.repetition_penalty)
        if 0 < self.no_repeat_ngram <= tokens.shape[1]:
            _forbid_ngrams(found, tokens, self.no_repeat_ngram)
        ends = [end for end in self.ids.ends if end < scores.shape[1]]
        if written.shape[1] < self.min_length:
            found[:, ends] = -math.inf
        if written.shape[1] == 0:
            found[:, [number for number in self.ids.not_first if number < scores.shape[1]]] = -math.inf
        is_stuck = (found == -math.inf).all(1, keepdim=True)  # [N, 1]
        found[:, ends] = torch.where(is_stuck, scores[:, ends], found[:, ends])
        return found


def _penalise(scores: Tensor, tokens: Tensor, penalty: float) -> None:
    """Makes the tokens [N, L] less probable in scores [N, V]."""
    tokens = torch.where(tokens == NOTHING, tokens[:, -1:], tokens)  # what fills up stands on the left
    score = scores.gather(1, tokens)
    scores.scatter_(1, tokens, torch.where(score < 0, score * penalty, score / penalty))


def _forbid_ngrams(scores: Tensor, tokens: Tensor, n: int) -> None:
    """Forbids in scores [N, V] what would end a sequence of n tokens that tokens [N, L] hold."""
    ngrams = tokens.unfold(1, n, 1)  # [N, L - n + 1, n]
    last = tokens[:, tokens.shape[1] - n + 1 :]  # [N, n - 1]
    comes_again = (ngrams[..., :-1] == last[:, None]).all(-1) & (ngrams[..., 0] != NOTHING)
    most = scores.new_full(comes_again.shape, math.inf).masked_fill(comes_again, -math.inf)
    scores.scatter_reduce_(1, ngrams[..., -1].clamp(min=0), most, "amin")


def never_written(ids: SpecialIds, is_token: Tensor | None, vocab_size: int, device: torch.device) -> Tensor:
    """The ids that a search leaves out: those that `ids` says and those without a token: int64 [n].

    is_token is bool [n]: a model may be wider than its vocabulary, which may have holes as well. An end is written
    in any case.
    """
    is_left_out = torch.zeros(vocab_size, dtype=torch.bool)
    if is_token is not None:
        known = is_token[:vocab_size].cpu()
        is_left_out[: len(known)] = ~known
        is_left_out[len(known) :] = True
        is_left_out[[end for end in ids.ends if end < vocab_size]] = False
    is_left_out[[number for number in ids.never if number < vocab_size]] = True
    return is_left_out.nonzero().squeeze(1).to(device)
