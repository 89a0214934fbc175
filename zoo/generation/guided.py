"""A search led by a grammar: at each step only what can still become a whole output may follow."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from zoo.generation.search import Searchable


class Grammar(Protocol):
    """What may follow what. A state is any value that nobody writes into: it stands for one unfinished output."""

    def begin(self) -> Sequence[Any | None]:
        """The state of each sentence before its first token; None for one that is not led."""
        ...

    def after(self, state: Any, token: int) -> Any:
        """The state behind one more token, which was allowed and is no end."""
        ...

    def allowed(self, state: Any) -> Collection[int]:
        """The ids that may follow, an end among them where the output may be over."""
        ...


class Guided:
    """A batch of which each row goes on only as a grammar allows.

    What may not follow leaves its probability to `spare`, an id that the search never writes, so that a hypothesis has
    the probability the model gives it.
    """

    def __init__(self, batch: Searchable, grammar: Grammar, *, spare: int) -> None:
        self.batch, self.grammar, self.spare = batch, grammar, spare
        self.lengths, self.before, self.room = batch.lengths, batch.before, batch.room
        self.states = list(grammar.begin())  # of each row; None of one that is not led
        self.allowed = [self._allowed(state) for state in self.states]

    def start(self) -> Tensor:
        return self._led(self.batch.start())

    def step(self, tokens: Tensor) -> Tensor:
        rows = zip(self.states, self.allowed, tokens.tolist(), strict=True)
        # One that was not allowed fills up a beam which has too few, without probability: it is led no further.
        self.states = [
            None if allowed is None or token not in allowed else self.grammar.after(state, token)
            for state, allowed, token in rows
        ]
        self.allowed = [self._allowed(state) for state in self.states]
        return self._led(self.batch.step(tokens))

    def reorder(self, rows: Tensor) -> None:
        self.states = [self.states[row] for row in rows.tolist()]
        self.allowed = [self.allowed[row] for row in rows.tolist()]
        self.batch.reorder(rows)

    def select(self, sentences: Tensor) -> None:
        self.batch.select(sentences)

    def _allowed(self, state: Any) -> list[int] | None:
        return None if state is None else list(self.grammar.allowed(state))

    def _led(self, logits: Tensor) -> Tensor:
        """logits [N, V] as log probabilities [N, V] with what is not allowed taken out."""
        log_probs = logits.log_softmax(-1, dtype=torch.promote_types(logits.dtype, torch.float32))
        is_out = torch.ones(log_probs.shape, dtype=torch.bool)
        for row, allowed in enumerate(self.allowed):
            is_out[row, slice(None) if allowed is None else allowed] = False
        is_out[:, self.spare] = True
        is_out = is_out.to(log_probs.device)
        lost = log_probs.masked_fill(~is_out, -math.inf).logsumexp(-1)  # [N]
        led = log_probs.masked_fill(is_out, -math.inf)
        led[:, self.spare] = lost
        return led
