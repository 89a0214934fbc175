"""How the examples of a split are dealt out to batches, and what an example is where rows are not taken one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from zoo.data.batches import BatchPlan, Integers
from zoo.data.store import Example, ExampleStore


class Arrangement(Protocol):
    """Numbered examples, in batches that are a pure function of the epoch's number."""

    def epoch(self, number: int) -> Sequence[Integers]:
        """The numbers of the examples in each batch of an epoch, in order, the first epoch being 0."""
        ...

    def example(self, number: int) -> Example:
        """The example of a number."""
        ...


class ByLength:
    """A row is an example; those of like lengths meet in a batch. See zoo.data.batches."""

    def __init__(self, store: ExampleStore, plan: BatchPlan) -> None:
        self._store = store
        self._plan = plan

    def epoch(self, number: int) -> Sequence[Integers]:
        return self._plan.epoch(number)

    def example(self, number: int) -> Example:
        return self._store[number]
