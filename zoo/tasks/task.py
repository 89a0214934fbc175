"""What a task is to training and to the command line: data in, loss and metrics out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.progress import Report


@dataclass(frozen=True)
class Loss:
    """Loss of a batch, summed over what is predicted, so that batches of any size add up."""

    loss: Tensor
    """What is minimised, label smoothing included: an fp32 scalar with a gradient."""
    nll: Tensor
    """Negative log likelihood in nats, without smoothing: an fp32 scalar."""
    n_tokens: int
    """Predicted tokens, ends of sentences included, padding not."""
    n_processed: int
    """Tokens of all sides, padding not counted: what speed is measured in."""


@dataclass(frozen=True)
class Validation:
    """How good a model is on the validation set."""

    loss: float
    """Mean negative log likelihood of a token, in nats, without label smoothing."""
    score: float | None
    """The task's own measure, such as 27.3 BLEU; None where it was not asked for."""
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Everything measured, by the name it is logged under."""
    is_error: bool = False
    """Whether the score counts errors: the lower, the better."""

    @property
    def merit(self) -> float | None:
        """The score as checkpoints are compared by it: the higher, the better."""
        return self.score if self.score is None or not self.is_error else -self.score


class Batch(Protocol):
    """One batch of tensors. No dataclass: Lightning would copy it field by field."""

    def to(self, device: torch.device) -> Any:
        """The same on a device, not waiting for the copy."""
        ...

    def pin_memory(self) -> Any:
        """The same in memory from which a GPU copies while it computes."""
        ...

    def describe(self) -> str:
        """Its size, such as "64 × 21 source and 64 × 25 target tokens": rows × length."""
        ...

    def halves(self) -> Sequence[Any]:
        """Two batches with half of its rows each; only itself when it has one row."""
        ...


class Prepared(Protocol):
    """A task with its data at hand."""

    fingerprint: str
    """Changes with the data or the tokenizer: a run is not resumed on others."""
    size_keys: Sequence[str]
    """The keys of a run's spec that bound a batch's size."""
    score_name: str
    """What the score of a validation is called, such as BLEU."""

    def epoch(self, number: int) -> Sequence[Any]:
        """The keys of an epoch's batches, in order: a pure function of the number, the first being 0."""
        ...

    def batch(self, key: Any) -> Batch:
        """The batch of a key, on the CPU."""
        ...

    def example(self) -> str:
        """The first example that is learnt from, on a line, for the user to see that it is the right one."""
        ...

    def loss(self, model: nn.Module, batch: Any, *, label_smoothing: float) -> Loss:
        """The loss of a training batch."""
        ...

    def validate(
        self,
        model: nn.Module,
        *,
        decoding: Spec,
        n_sentences: int,
        is_wanted: Callable[[], bool],
        report: Report | None = None,
    ) -> Validation | None:
        """Measures a model in evaluation mode, on its device; None as soon as `is_wanted` says no.

        n_sentences are used for the score, all of the validation set for the loss. report is told how far it is.
        """
        ...


@runtime_checkable
class Starts(Protocol):
    """A prepared task that sets weights of a new model itself, such as an embedding's to pretrained vectors."""

    def start(self, model: nn.Module) -> None:
        """Called once in a run: after a model is built and initialised, before its first step.

        Of several processes only the first calls it. Raises: DataError.
        """
        ...
