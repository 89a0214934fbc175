"""The Lightning module: loss, token-normalised gradient, learning rate, skipping of broken steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from zoo.kinds import OPTIMIZER
from zoo.tasks.task import Batch, Prepared
from zoo.training.progress import Progress
from zoo.training.spec import TrainingSpec


class BatchLoss(NamedTuple):
    """What is remembered of a batch until the next record; tensors, so that a GPU need not be waited for."""

    loss: Tensor
    nll: Tensor
    n_tokens: int
    n_processed: int


class TrainingModule(LightningModule):
    """A model, its task's loss and its optimizer, as Lightning's loop wants them.

    The gradient of a step is that of the mean loss of a token over all batches and ranks of the step: each
    batch gives the gradient of its summed loss, and the sum is divided by the number of all their tokens.
    (The mean of the batches' means would give a token of a small batch more weight.)
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        task: Prepared,
        spec: TrainingSpec,
        schedule: Callable[[int], float],
        progress: Progress,
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.spec = spec
        self.schedule = schedule
        self.progress = progress
        self.losses: list[BatchLoss] = []
        self.gradient_norm = 0.0
        self.learning_rate = 0.0
        self.vote: Callable[[], tuple[bool, bool]] = lambda: (False, False)
        self.is_stopping, self.is_out_of_time = False, False  # what any rank voted for at this step
        self._n_tokens = 0
        self._base_rates: list[float] = []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        # The base rate is 1: the rate of a step is the schedule's, times what the optimizer gives a group.
        optimizer: torch.optim.Optimizer = OPTIMIZER.build(self.spec.optimizer, parameters=parameters, lr=1.0)
        self._base_rates = [group["lr"] for group in optimizer.param_groups]
        return optimizer

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Any:
        return batch.to(device)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = self.task.loss(self.model, batch, label_smoothing=self.spec.label_smoothing)
        self.losses.append(BatchLoss(loss.loss.detach(), loss.nll.detach(), loss.n_tokens, loss.n_processed))
        self._n_tokens += loss.n_tokens
        if self._is_one_batch:
            return loss.loss / loss.n_tokens
        return loss.loss * self.spec.accumulate  # Lightning divides by it

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.learning_rate = self.schedule(self.progress.step + 1)
        for group, base in zip(optimizer.param_groups, self._base_rates, strict=True):
            group["lr"] = base * self.learning_rate
        n_tokens, n_stopping, n_out_of_time = self._sum_over_ranks(self._n_tokens, *map(float, self.vote()))
        self.is_stopping, self.is_out_of_time = n_stopping > 0, n_out_of_time > 0
        self._n_tokens = 0
        # DistributedDataParallel has averaged over ranks what has to be summed.
        scale = 1.0 if self._is_one_batch else self.trainer.world_size / n_tokens
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.gradient_norm = float(get_total_norm(gradients)) * scale
        if not math.isfinite(self.gradient_norm):
            # Without gradients the optimizer does nothing at all: weights and its means stay as they are. All
            # ranks hold the same gradients here, so all skip.
            for parameter in self.model.parameters():
                parameter.grad = None
            self.progress.n_skipped += 1
            self.progress.n_skipped_in_a_row += 1
            return
        self.progress.n_skipped_in_a_row = 0
        if self.spec.clip_norm is not None and self.gradient_norm > self.spec.clip_norm:
            scale *= self.spec.clip_norm / self.gradient_norm
        if scale != 1.0:
            torch._foreach_mul_(gradients, scale)

    @property
    def _is_one_batch(self) -> bool:
        """Whether a single batch makes a step: its tokens are then known before its backward pass."""
        return self.spec.accumulate == 1 and self.trainer.world_size == 1

    def _sum_over_ranks(self, *values: float) -> tuple[float, ...]:
        if self.trainer.world_size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        return tuple(self.trainer.strategy.reduce(total, reduce_op="sum").tolist())
