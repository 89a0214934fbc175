"""Which batch comes when, on which rank: one list for all ranks and epochs, a pure function of position."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch.utils.data import Dataset, DistributedSampler, SequentialSampler

from zoo.tasks.prepared import Prepared
from zoo.tasks.task import Batch


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


class _AsItIs(DistributedSampler[Any], SequentialSampler):
    """Base of samplers that Lightning leaves alone: any that is not distributed it replaces where there are several
    ranks, any that is not sequential where it overfits.
    """


class RankSampler(_AsItIs):
    """The positions of one rank's batches: every world_size-th of the list, from start + rank on.

    n of them, whatever the epoch, as an exact resume needs it; or, where n is None, what is left of one epoch, which is
    Lightning's to choose: as many on each rank, so that up to world_size - 1 batches of an epoch are left out.
    Its length is then that of the whole epoch, for Lightning counts the batches before start as well.
    """

    def __init__(
        self,
        order: Order,
        start: Position,
        *,
        n: int | None,
        rank: int,
        world_size: int,
        repeats: bool = False,
    ) -> None:
        """repeats: whether every epoch is as the first."""
        self.order, self.start, self.n, self.repeats = order, start, n, repeats
        self.rank, self.world_size = rank, world_size

    def set_epoch(self, epoch: int) -> None:
        if self.n is None and not self.repeats and epoch != self.start.epoch:
            self.start = Position(epoch, 0)

    def __len__(self) -> int:
        return len(self.order.epoch(self.start.epoch)) // self.world_size if self.n is None else self.n

    def __iter__(self) -> Iterator[Any]:
        n_taken = self.start.batch // self.world_size if self.n is None else 0
        position = self.order.after(self.start, self.rank)
        for _ in range(len(self) - n_taken):
            yield position
            position = self.order.after(position, self.world_size)


class Parts(Dataset[Batch]):
    """The batches that a split is measured in, by their number."""

    def __init__(self, task: Prepared, split: str) -> None:
        self.task = task
        self.keys = task.parts(split)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, number: int) -> Batch:
        return self.task.part(self.keys[number])


class ShareSampler(_AsItIs):
    """The numbers of a rank's share of n parts: each part is one rank's, some have one more than others."""

    def __init__(self, n: int, *, rank: int, world_size: int) -> None:
        self.numbers = range(rank, n, world_size)

    def set_epoch(self, epoch: int) -> None:
        """The same in every epoch."""

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)
