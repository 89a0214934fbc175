"""Greedy search: the most probable token at each step."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from zoo.generation.constraints import ConstrainedSpec, Constraints, never_written
from zoo.generation.max_length import LengthLimit, MaxLength
from zoo.generation.search import (
    Hypothesis,
    Searchable,
    checked,
    kept_places,
    length_limits,
    log_probabilities,
    searchable,
    unite_ends,
)
from zoo.generation.streaming import Step, Steps, result_of
from zoo.kinds import DECODING
from zoo.special_ids import SpecialIds


class GreedySpec(ConstrainedSpec):
    type: Literal["greedy"] = "greedy"
    max_length: MaxLength = "source + 50"
    """The most tokens of an output, its end not counted: a number, or a rule such as `source * 2 + 10`."""
    ids: SpecialIds = SpecialIds()
    """The ids that begin and end an output; by default this project's own."""


@DECODING.register(
    "greedy", spec=GreedySpec, examples=[{}, {"max_length": "2 * source", "no_repeat_ngram": 3}]
)
class Greedy:
    """Writes the most probable token until that is the end of the sentence, or the maximum length is reached.

    The most probable by its logit under the constraints: see zoo.generation.constraints.
    Source: the search for one best token at a time; without a repetition penalty equal to a beam of size 1.
    Shapes: source [B, S], source_mask bool [B, S] or None, is_token bool [n] or None: which ids there is a token
        for, none from n on -> for each of B sentences a list of one Hypothesis, whose score is its log
        probability. For a decoder-only model source is the prompt.
    Raises: ValueError for a model in training mode or without a decoder; DivergedError when its logits are
        not finite.
    """

    def __init__(
        self,
        *,
        repetition_penalty: float,
        no_repeat_ngram: int,
        min_length: int,
        max_length: int | str,
        ids: SpecialIds,
    ) -> None:
        self.constraints = Constraints(
            repetition_penalty=repetition_penalty,
            no_repeat_ngram=no_repeat_ngram,
            min_length=min_length,
            ids=ids,
        )
        self.limit = LengthLimit(max_length)
        self.ids = ids

    def __call__(
        self,
        model: nn.Module,
        source: Tensor,
        source_mask: Tensor | None = None,
        *,
        is_token: Tensor | None = None,
    ) -> list[list[Hypothesis]]:
        return result_of(self.steps(model, source, source_mask, is_token=is_token))

    def steps(
        self,
        model: nn.Module,
        source: Tensor,
        source_mask: Tensor | None = None,
        *,
        is_token: Tensor | None = None,
    ) -> Steps[list[list[Hypothesis]]]:
        """The same token by token."""
        return self._steps(searchable(model, source, source_mask, self.ids), is_token)

    def search(self, batch: Searchable, *, is_token: Tensor | None = None) -> list[list[Hypothesis]]:
        """Writes the sentences of a batch that is at its start."""
        return result_of(self._steps(batch, is_token))

    @torch.no_grad()
    def _steps(self, batch: Searchable, is_token: Tensor | None) -> Steps[list[list[Hypothesis]]]:
        found: list[Hypothesis | None] = [None] * len(batch.lengths)
        logits = batch.start()  # [B, V]
        device = logits.device
        never = never_written(self.ids, is_token, logits.shape[1], device)
        sentences = torch.arange(len(found), device=device)  # [N], which sentence each row is
        limits = torch.tensor(length_limits(batch, self.limit, self.ids), device=device)  # [N]
        tokens = sentences.new_empty(len(found), 0)  # [N, n], written so far
        totals: Tensor | float = 0.0  # [N], log probabilities so far
        while True:
            log_probs = log_probabilities(logits, never)
            unite_ends(log_probs, self.ids)
            best, token = log_probs.max(-1)
            if self.constraints.act(tokens.shape[1]):
                scores = logits.to(log_probs.dtype).index_fill(1, never, -math.inf)
                scores = self.constraints(scores, batch.before[sentences], tokens)
                unite_ends(scores, self.ids)
                token = scores.argmax(-1)
                best = log_probs.gather(1, token[:, None]).squeeze(1)
            # At the limit only the end may follow, at its own probability.
            is_full = limits <= tokens.shape[1]
            totals = totals + torch.where(is_full, log_probs[:, self.ids.ends[0]], best)
            is_done = is_full | (token == self.ids.ends[0])
            if is_done.any():
                done = is_done.nonzero().squeeze(1)
                for sentence, written, total in zip(
                    sentences[done].tolist(), tokens[done].tolist(), totals[done].tolist(), strict=True
                ):
                    found[sentence] = Hypothesis(written, score=total, log_probability=total)
                places = kept_places(is_done)
                if not len(places):
                    return [checked([hypothesis] if hypothesis else []) for hypothesis in found]
                sentences, limits, totals = sentences[places], limits[places], totals[places]
                tokens, token = tokens[places], token[places]
                batch.reorder(places)
                batch.select(places)
            tokens = torch.cat([tokens, token[:, None]], dim=1)
            yield Step(sentences, token)
            logits = batch.step(token)
