"""What a search asks of a model, and how the architectures answer: logits step by step, with a cache.

A search keeps one or more rows per sentence, the rows of a sentence side by side: row b·n + i is the i-th of
sentence b. N is the number of rows, B of sentences, V the vocabulary size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from zoo.assembly.cache import StackCache
from zoo.errors import DivergedError
from zoo.generation.constraints import NOTHING
from zoo.generation.max_length import LengthLimit
from zoo.kinds import Model, Position, read_slots
from zoo.special_ids import SpecialIds


@dataclass(frozen=True)
class Hypothesis:
    """One output for a sentence."""

    tokens: list[int]
    """Ids, without the begin and end of the sentence."""
    score: float
    """What hypotheses are ranked by: log_probability divided by the length penalty; of beams with a repetition penalty
    the sum of what that makes of each token's log probability, so divided."""
    log_probability: float
    """Natural logarithm of the probability that the model gives the tokens and the end of the sentence; of what was cut
    off at the maximum length, or ended there at no cost, without that end."""


class Searchable(Protocol):
    """A batch of sentences under way in some model."""

    lengths: list[int]
    """Tokens of each sentence's input, without its end: what a maximum length may be relative to."""
    before: Tensor
    """What stands before the output of each sentence that there was at the start, NOTHING on its left: int64 [B, L]."""
    room: int | None
    """The most tokens of an output, its end not counted, that the model has positions for; None: any number."""

    def start(self) -> Tensor:
        """Logits [B, V] of the first token of each sentence. Called once, before all others."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Appends tokens [N] to the rows; returns the logits [N, V] of what follows."""
        ...

    def reorder(self, rows: Tensor) -> None:
        """New row i continues old row rows[i]: int64 [M]."""
        ...

    def select(self, sentences: Tensor) -> None:
        """Keeps these sentences: int64 [M]. Rows are not touched: `reorder` is called for them, before."""
        ...


class Translator(Model, Protocol):
    """What a Translation needs of a model: see zoo.assembly.encoder_decoder."""

    decoder: nn.Module

    def encode_masked(
        self, source: Tensor, *, source_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]: ...

    def decode(
        self,
        target: Tensor,
        memory: Tensor | None,
        *,
        source_mask: Tensor | None = None,
        cache: StackCache | None = None,
    ) -> Tensor: ...

    def new_cache(self) -> StackCache: ...


class Continuer(Model, Protocol):
    """What a Continuation needs of a model: see zoo.assembly.decoder_only."""

    decoder: nn.Module

    def decode(
        self, tokens: Tensor, *, mask: Tensor | None = None, cache: StackCache | None = None
    ) -> Tensor: ...

    def new_cache(self) -> StackCache: ...


class Translation:
    """A search over what an encoder-decoder writes for a batch of sources.

    Shapes: source [B, S, ...], source_mask bool [B, S] or None, True = a real token.
    """

    def __init__(
        self, model: Translator, source: Tensor, source_mask: Tensor | None, ids: SpecialIds
    ) -> None:
        self.model = model
        self.source = source
        self.source_mask = source_mask
        self.cache = model.new_cache()
        self.lengths = _input_lengths(source, source_mask, ids)
        begin = torch.tensor([[ids.start, *ids.first]], device=source.device)
        self.before = begin.expand(len(self.lengths), -1)
        self.room = _room(model.decoder, 1 + len(ids.first))  # what begins the output has a position too
        if source_mask is not None and source.device.type == "cpu" and bool(source_mask.all()):
            self.source_mask = None  # nothing is hidden, and kernels are faster without a mask

    def start(self) -> Tensor:
        memory, self.source_mask = self.model.encode_masked(self.source, source_mask=self.source_mask)
        return self._logits(self.before, memory)

    def step(self, tokens: Tensor) -> Tensor:
        return self._logits(tokens[:, None], None)

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder(rows)

    def select(self, sentences: Tensor) -> None:
        self.cache.select(sentences)
        if self.source_mask is not None:
            self.source_mask = self.source_mask[sentences]

    def _logits(self, tokens: Tensor, memory: Tensor | None) -> Tensor:
        hidden = self.model.decode(
            tokens, memory, source_mask=self.source_mask, cache=self.cache
        )  # [N, T, D]
        return self.model.head(hidden[:, -1:])[:, -1]


class Continuation:
    """A search over how a decoder-only model continues a batch of prompts.

    Prompts of different lengths are set flush right, whichever side is padded, so that all go on in one column.
    Its room is what the longest prompt of the batch leaves, for padding may have positions as well.
    Shapes: prompt [B, P], mask bool [B, P] or None, True = a real token.
    """

    def __init__(self, model: Continuer, prompt: Tensor, mask: Tensor | None, ids: SpecialIds) -> None:
        self.model = model
        self.cache = model.new_cache()
        self.lengths = _input_lengths(prompt, mask, ids)
        self.room = _room(model.decoder, prompt.shape[1] + len(ids.first))
        if mask is not None and bool(mask.all()):
            mask = None  # nothing is hidden, and kernels are faster without a mask
        if mask is not None:
            order = mask.to(torch.uint8).argsort(dim=1, stable=True)  # padding first
            prompt, mask = prompt.gather(1, order), mask.gather(1, order)
            mask = torch.cat([mask, mask.new_ones(len(mask), len(ids.first))], dim=1)
        if ids.first:
            prompt = torch.cat([prompt, prompt.new_tensor([ids.first]).expand(len(prompt), -1)], dim=1)
        self.prompt = prompt
        self.before = prompt if mask is None else prompt.masked_fill(~mask, NOTHING)
        self.mask = mask  # [N, S] of all tokens so far

    def start(self) -> Tensor:
        return self._logits(self.prompt)

    def step(self, tokens: Tensor) -> Tensor:
        if self.mask is not None:
            self.mask = torch.cat([self.mask, self.mask.new_ones(len(tokens), 1)], dim=1)
        return self._logits(tokens[:, None])

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder(rows)
        if self.mask is not None:
            self.mask = self.mask[rows]

    def select(self, sentences: Tensor) -> None:
        pass  # a prompt is part of its rows

    def _logits(self, tokens: Tensor) -> Tensor:
        hidden = self.model.decode(tokens, mask=self.mask, cache=self.cache)  # [N, T, D]
        return self.model.head(hidden[:, -1:])[:, -1]


def searchable(model: Any, source: Tensor, source_mask: Tensor | None, ids: SpecialIds) -> Searchable:
    """The search over `model` for this batch: a translation if the model reads a slot as well, else a continuation.

    Raises: ValueError for a model that cannot write, or that is in training mode, where dropout is on.
    """
    if getattr(model, "writes", None) is None:
        raise ValueError(f"a {type(model).__name__} has no decoder to search with")
    if model.training:
        raise ValueError("the model is in training mode: call model.eval() before decoding")
    if read_slots(model):
        return Translation(model, source, source_mask, ids)
    return Continuation(model, source, source_mask, ids)


def n_positions(stack: nn.Module) -> int | None:
    """The longest sequence that a stack can take, by all of its positional encodings; None: any."""
    limits = [getattr(part, "max_len", None) for part in stack.modules() if isinstance(part, Position)]
    return min((limit for limit in limits if limit is not None), default=None)


def length_limits(batch: Searchable, rule: LengthLimit, ids: SpecialIds) -> list[int]:
    """The most tokens that are chosen of each sentence's output, its end not counted: by the rule, in which the first
    ones that are not chosen count, and by the model's positions."""
    limits = [max(rule(length) - len(ids.first), 0) for length in batch.lengths]
    return limits if batch.room is None else [min(limit, batch.room) for limit in limits]


def log_probabilities(logits: Tensor, never: Tensor) -> Tensor:
    """logits [N, V] -> log softmax [N, V], at least in float32, -inf for the ids that are never written: [n].

    Those are taken out after normalising, so that a hypothesis has the probability the model gives it.
    """
    log_probs = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    return log_probs.index_fill_(1, never, -math.inf)


def unite_ends(scores: Tensor, ids: SpecialIds) -> None:
    """Of several ends the most probable one speaks for all, in the place of the first: scores [N, V], in place.

    No output is then found twice.
    """
    if len(ids.ends) > 1:
        best = scores[:, list(ids.ends)].amax(-1)  # [N]
        scores[:, list(ids.ends)] = float("-inf")
        scores[:, ids.ends[0]] = best


def kept_places(is_done: Tensor) -> Tensor:
    """Which old place each new place of a batch takes when the done ones leave: bool [B] -> int64 [M].

    The gaps are filled from the end of the batch, so that the others need not move.
    """
    done = is_done.tolist()
    n_left = len(done) - sum(done)
    tail = (place for place in range(len(done) - 1, n_left - 1, -1) if not done[place])
    places = [next(tail) if done[place] else place for place in range(n_left)]
    return torch.tensor(places, dtype=torch.int64, device=is_done.device)


def checked(hypotheses: list[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses of a finished search. Raises: DivergedError when they have no probability."""
    if not hypotheses or not math.isfinite(hypotheses[0].log_probability):
        raise DivergedError("no output has a probability: the model's logits are not finite")
    return hypotheses


def _room(decoder: nn.Module, n_given: int) -> int | None:
    limit = n_positions(decoder)
    return None if limit is None else max(limit - n_given, 0)


def _input_lengths(tokens: Tensor, mask: Tensor | None, ids: SpecialIds) -> list[int]:
    real = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if mask is None else mask
    if tokens.dim() == 2 and not tokens.is_floating_point():
        for end in ids.ends:
            real = real & (tokens != end)
    return real.sum(1).tolist()
