"""The Lightning data module: a task's batches for each stage, dealt out to the ranks."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Iterator
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from zoo.kinds import Row
from zoo.tasks.prepared import Prepared
from zoo.training.order import Batches, Parts, Position, RankSampler, ShareSampler
from zoo.training.signals import SIGNALS
from zoo.training.spec import TrainingSpec

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>: the signal to get when the parent dies


class TrainingData(LightningDataModule):
    """Batches to train on, epoch by epoch or from a place on, and the parts of the splits to measure and predict.

    Each loader gives whole batches of the task; without a Trainer, those of the only rank. Its state is the place of
    the next batch, so that a Trainer that is given a checkpoint goes on with what would have come.
    """

    allow_zero_length_dataloader_with_multiple_devices = True  # a rank may have no part of a small split

    def __init__(
        self, task: Prepared, spec: TrainingSpec, *, start: Position | None = None, n: int | None = None
    ) -> None:
        """start and n: the first batch and how many a rank gets, in one go; n None: an epoch's, again and again."""
        super().__init__()
        self.task = task
        self.spec = spec
        self.batches = Batches(task)
        self.start = start or Position(0, 0)
        self.n = n

    def rows(self, split: str) -> Iterator[Row]:
        """The rows of a split, `train`, `dev` or `test`, that give examples, as the corpus has them, in their order.

        To look at what a model will learn from:
            module, data = zoo.lightning("text_classifier_small")
            for row in itertools.islice(data.rows("train"), 5):
                print(row["label"], row["text"])
        Raises: DataError for a split that is not there.
        """
        return self.task.rows(split)

    def train_dataloader(self) -> DataLoader[Any]:
        rank, world_size = self._ranks
        sampler = RankSampler(
            self.batches.order,
            self.start,
            n=self.n,
            rank=rank,
            world_size=world_size,
            repeats=getattr(self.trainer, "overfit_batches", 0) > 0,
        )
        return self._loader(self.batches, sampler, n_workers=self.spec.data_workers)

    def val_dataloader(self) -> DataLoader[Any]:
        return self._parts("dev")

    def test_dataloader(self) -> DataLoader[Any]:
        return self._parts("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        return self._parts("test")

    def state_dict(self) -> dict[str, Any]:
        assert self.trainer is not None
        loop: Any = self.trainer.fit_loop
        # No epoch is ready yet where a tuner saves what it tries a rate or a size from.
        epoch, n = (
            max(loop.epoch_progress.current.ready - 1, 0),
            loop.epoch_loop.batch_progress.current.processed,
        )
        if n >= self.trainer.num_training_batches:
            epoch, n = epoch + 1, 0
        return {"epoch": epoch, "batch": n * self.trainer.world_size}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.start = Position(state_dict["epoch"], state_dict["batch"])

    @property
    def _ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _parts(self, split: str) -> DataLoader[Any]:
        parts = Parts(self.task, split)
        rank, world_size = self._ranks
        return self._loader(parts, ShareSampler(len(parts), rank=rank, world_size=world_size), n_workers=0)

    def _loader(self, batches: Dataset[Any], sampler: Sampler[Any], *, n_workers: int) -> DataLoader[Any]:
        is_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return _Loader(
            batches,
            sampler=sampler,
            batch_size=None,  # the task makes whole batches
            num_workers=n_workers,
            worker_init_fn=_live_and_die_with_parent,
            pin_memory=is_cuda,
            generator=torch.Generator(),  # else making the iterator draws from the generator of the dropout
        )


class _Loader(DataLoader[Any]):
    """A loader that Lightning takes to go on where it was, as the data module sees to."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing: the sampler begins at the data module's start."""


def _live_and_die_with_parent(worker: int) -> None:
    """A signal to the whole process group is for the main process, which ends its workers after saving."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":  # else a worker looks for its parent every five seconds
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
