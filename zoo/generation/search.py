"""What a search asks of a model, and how the architectures answer: logits step by step, with a cache.

A search keeps one or more rows per sentence, the rows of a sentence side by side: row b·n + i is the i-th of
sentence b. N is the number of rows, B of sentences, V the vocabulary size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.errors import DivergedError
from zoo.kernels.cache import DecoderCache

PAD, BOS, EOS = 0, 2, 3  # the ids of every tokenizer


@dataclass(frozen=True)
class Hypothesis:
    """One output for a sentence."""

    tokens: list[int]
    """Ids, without the begin and end of the sentence."""
    score: float
    """What hypotheses are ranked by: log_probability divided by the length penalty."""
    log_probability: float
    """Natural logarithm of the probability that the model gives the tokens and the end of the sentence."""


class Searchable(Protocol):
    """A batch of sentences under way in some model."""

    lengths: list[int]
    """Tokens of each sentence's input, without its end: what a maximum length may be relative to."""

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


class Translator(Protocol):
    """What a Translation needs of a model: see zoo.assembly.encoder_decoder."""

    head: Callable[[Tensor], Tensor]

    def encode(self, source: Tensor, *, source_mask: Tensor | None = None) -> Tensor: ...

    def decode(
        self,
        target: Tensor,
        memory: Tensor | None,
        *,
        source_mask: Tensor | None = None,
        cache: DecoderCache | None = None,
    ) -> Tensor: ...

    def new_cache(self) -> DecoderCache: ...


class Continuer(Protocol):
    """What a Continuation needs of a model: see zoo.assembly.decoder_only."""

    head: Callable[[Tensor], Tensor]

    def decode(self, tokens: Tensor, *, cache: DecoderCache | None = None) -> Tensor: ...

    def new_cache(self) -> DecoderCache: ...


class Translation:
    """A search over what an encoder-decoder writes for a batch of sources.

    Shapes: source [B, S, ...], source_mask bool [B, S] or None, True = a real token.
    """

    def __init__(self, model: Translator, source: Tensor, source_mask: Tensor | None) -> None:
        self.model = model
        self.source = source
        self.source_mask = source_mask
        self.cache = model.new_cache()
        self.lengths = _input_lengths(source, source_mask)
        if source_mask is not None and source.device.type == "cpu" and bool(source_mask.all()):
            self.source_mask = None  # nothing is hidden, and kernels are faster without a mask

    def start(self) -> Tensor:
        memory = self.model.encode(self.source, source_mask=self.source_mask)
        begin = torch.full((len(self.lengths), 1), BOS, device=self.source.device)
        return self._logits(begin, memory)

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
        )  # [N, 1, D]
        return self.model.head(hidden)[:, -1]


class Continuation:
    """A search over how a decoder-only model continues a batch of prompts of one length.

    Shapes: prompt [B, P], mask bool [B, P] or None.
    Raises: ValueError when the mask hides a token: batch the prompts by length.
    """

    def __init__(self, model: Continuer, prompt: Tensor, mask: Tensor | None) -> None:
        if mask is not None and not bool(mask.all()):
            raise ValueError("prompts continued in one batch must have one length: batch them by length")
        self.model = model
        self.prompt = prompt
        self.cache = model.new_cache()
        self.lengths = _input_lengths(prompt, mask)

    def start(self) -> Tensor:
        return self._logits(self.prompt)

    def step(self, tokens: Tensor) -> Tensor:
        return self._logits(tokens[:, None])

    def reorder(self, rows: Tensor) -> None:
        self.cache.reorder(rows)

    def select(self, sentences: Tensor) -> None:
        pass  # a prompt is part of its rows

    def _logits(self, tokens: Tensor) -> Tensor:
        hidden = self.model.decode(tokens, cache=self.cache)  # [N, T, D]
        return self.model.head(hidden[:, -1:])[:, -1]


def searchable(model: Any, source: Tensor, source_mask: Tensor | None) -> Searchable:
    """The search over `model` for this batch: a translation if the model encodes, else a continuation.

    Raises: ValueError for a model that cannot write, or that is in training mode, where dropout is on.
    """
    if not hasattr(model, "decode"):
        raise ValueError(f"a {type(model).__name__} has no decoder to search with")
    if model.training:
        raise ValueError("the model is in training mode: call model.eval() before decoding")
    if hasattr(model, "encode"):
        return Translation(model, source, source_mask)
    return Continuation(model, source, source_mask)


def log_probabilities(logits: Tensor) -> Tensor:
    """logits [N, V] -> log softmax [N, V], at least in float32, -inf for what is never written: PAD and BOS.

    The two are taken out after normalising, so that a hypothesis has the probability the model gives it.
    """
    log_probs = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    log_probs[:, [PAD, BOS]] = float("-inf")
    return log_probs


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


def _input_lengths(tokens: Tensor, mask: Tensor | None) -> list[int]:
    real = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device) if mask is None else mask
    if tokens.dim() == 2 and not tokens.is_floating_point():
        real = real & (tokens != EOS)
    return real.sum(1).tolist()
