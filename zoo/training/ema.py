"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from zoo.training.module import TrainingModule


class WeightEma(Callback):
    """mean = d · mean + (1 - d) · weight after each step, from the first weights on, for all parameters.

    d is decay; in the n-th step after from_step, with warm_up, min(decay, (1 + n) / (10 + n)). Up to from_step the
    means are the weights. Buffers are not averaged.
    """

    def __init__(self, *, decay: float, warm_up: bool, from_step: int) -> None:
        self.decay = decay
        self.warm_up = warm_up
        self.from_step = from_step
        self._weights: list[Tensor] = []
        self._means: list[Tensor] = []

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A run that goes on has its means for weights here."""
        assert isinstance(pl_module, TrainingModule)
        self._weights = list(pl_module.model.parameters())
        self._means = [weight.detach().clone() for weight in self._weights]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After a step that was taken."""
        torch._foreach_lerp_(self._means, self._weights, 1 - self.decay_at(step))

    def decay_at(self, step: int) -> float:
        """d of the formula, at a step; the first is 1."""
        n = step - self.from_step
        if n <= 0:
            return 0.0
        return min(self.decay, (1 + n) / (10 + n)) if self.warm_up else self.decay

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Within the block the model has the means for its weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for weight, mean in zip(self._weights, self._means, strict=True):
            here = weight.detach().clone()
            weight.copy_(mean)
            mean.copy_(here)
