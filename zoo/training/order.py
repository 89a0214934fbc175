"""Which batch comes when, on which rank: one list for all ranks and epochs, a pure function of position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import Dataset, Sampler

from zoo.tasks.task import Batch, Prepared


class Position(NamedTuple):
    """A place in the list of all batches of all epochs; both count from 0."""

    epoch: int
    batch: int


class Order:
    """The epochs' lists of batches, one after the other, without end.

    The list is the same for any number of ranks: step after step, its next batches are dealt out to them, so
    that ranks and accumulation can be exchanged for each other without a change of what a step learns from.
    """

    def __init__(self, epoch: Callable[[int], Sequence[Any]]) -> None:
        self._make_epoch = epoch
        self._epochs: dict[int, Sequence[Any]] = {}

    def epoch(self, number: int) -> Sequence[Any]:
        """An epoch's batches. Two are kept: at an epoch's end, the sampler is in the next one already."""
        if number not in self._epochs:
            if len(self._epochs) == 2:
                del self._epochs[min(self._epochs)]
            self._epochs[number] = self._make_epoch(number)
        return self._epochs[number]

    def after(self, position: Position, n: int) -> Position:
        """The position n batches further on."""
        epoch, batch = position.epoch, position.batch + n
        while batch >= len(self.epoch(epoch)):
            batch -= len(self.epoch(epoch))
            epoch += 1
        return Position(epoch, batch)

    def key(self, position: Position) -> Any:
        """The task's key of the batch there."""
        return self.epoch(position.epoch)[position.batch]

    def share(self, position: Position) -> float:
        """Epochs passed before a position, as a number such as 1.25."""
        return position.epoch + position.batch / len(self.epoch(position.epoch))


class Batches(Dataset[Batch]):
    """The batches of a task by position; a copy in each data process."""

    def __init__(self, task: Prepared) -> None:
        self.task = task
        self.order = Order(task.epoch)

    def __getitem__(self, position: Position) -> Batch:
        return self.task.batch(self.order.key(position))


class RankSampler(Sampler[Position]):
    """The positions of one rank's next n batches: every world_size-th of the list, from start + rank on."""

    def __init__(self, order: Order, start: Position, *, n: int, rank: int, world_size: int) -> None:
        self.order, self.start, self.n = order, start, n
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[Position]:
        position = self.order.after(self.start, self.rank)
        for _ in range(self.n):
            yield position
            position = self.order.after(position, self.world_size)
