"""The Lightning module: loss, token-normalised gradient, learning rate, skipping of broken steps, measuring."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple, NoReturn, cast

import torch
import torch.distributed
from lightning.pytorch import LightningModule
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim.lr_scheduler import LambdaLR

from registry import Spec
from zoo.amounts import amount
from zoo.errors import DivergedError, RunError
from zoo.kinds import OPTIMIZER
from zoo.tasks.prepared import Measured, Mode, Prepared, Validation
from zoo.tasks.task import Batch, Loss
from zoo.training.memory import free, is_out_of_memory, out_of_memory
from zoo.training.optimizers.groups import tables_of
from zoo.training.progress import Progress
from zoo.training.randomness import random_state, restore_random_state, seed_all, untouched
from zoo.training.sharding import gathered, is_sharded, shard, whole
from zoo.training.spec import TrainingSpec


class BatchLoss(NamedTuple):
    """What is remembered of a batch until the next record; tensors, so that a GPU need not be waited for."""

    loss: Tensor
    nll: Tensor
    n_predicted: int
    n_processed: int


class TrainingModule(LightningModule):
    """A model, its task's loss and metrics and its optimizer, as Lightning's loops want them: in any Trainer.

    What it logs is called train_loss, val_loss, val_score (the task's own measure) and, of each measure, val_NAME and
    test_NAME; `mode_of` says whether more or less of it is better. Validation and test are divided among the ranks and
    give the same for any number.

    The gradient of a step is that of the mean loss of a token over all batches and ranks of the step: each
    batch gives the gradient of its summed loss, and the sum is divided by the number of all their tokens.
    (The mean of the batches' means would give a token of a small batch more weight.)
    A Trainer clips what is left of it then, if it is told to and the spec has no clip_norm.

    Of the spec it goes by optimizer, schedule, seed, clip_norm, out_of_memory, max_skipped_steps and compile; devices,
    strategy, steps, precision and accumulation are the Trainer's. Lightning's ModelParallelStrategy has the devices
    share the weights (FSDP2). Its checkpoints hold the random numbers of every rank.

    `Tuner.lr_find(..., update_attr=False)` suggests a rate, which is then said in the spec: training.schedule.peak_lr.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        task: Prepared,
        spec: TrainingSpec,
        schedule: Callable[[int], float],
        decoding: Spec | None,
        progress: Progress,
        logs: bool,
    ) -> None:
        """progress is where a run stands; logs: whether losses go to the Trainer's loggers, or who trains asks for
        them."""
        super().__init__()
        self.model = model
        self.task = task
        self.spec = spec
        self.schedule = schedule
        self.decoding = decoding
        self.progress = progress
        self.logs = logs
        self.random_state: dict[str, Any] | None = None  # that of a run that goes on; else one of the seed
        self._has_begun = False
        self._all_weights = ExitStack()
        self._start = progress.step  # what came before the Trainer's first step
        self._measured: list[Measured] = []
        self.losses: list[BatchLoss] = []
        self.gradient_norm = 0.0
        self.last_rate = 0.0  # by the name learning_rate a tuner would take it for what it may set
        self.vote: Callable[[], tuple[bool, bool]] = lambda: (False, False)
        self.is_stopping, self.is_out_of_time = False, False  # what any rank voted for at this step
        self._n_predicted = 0
        self._batch: Any = None  # the one at work
        self._loss: Any = None
        self._is_too_large = False
        self._is_summed = False  # a single batch whose gradient is that of its sum, not of its mean

    def mode_of(self, figure: str) -> Mode:
        """Which way a figure is better: `ModelCheckpoint(monitor="val_score", mode=module.mode_of("val_score"))`."""
        return self.task.mode_of(figure.removeprefix("val_").removeprefix("test_"))

    def configure_model(self) -> None:
        """Shares the weights among the devices where the strategy is Lightning's ModelParallelStrategy."""
        mesh = self.device_mesh
        if mesh is not None and not is_sharded(self):
            shard(self, mesh["data_parallel"], step="training_step")

    def configure_optimizers(self) -> Any:
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        # The base rate is 1: the rate of a step is the schedule's, times what the optimizer gives a group.
        optimizer: torch.optim.Optimizer = OPTIMIZER.build(
            self.spec.optimizer, parameters=parameters, tables=tables_of(self.model), lr=1.0
        )
        start = self._start
        scheduler = LambdaLR(optimizer, lambda n: self.schedule(start + n + 1))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        self._has_begun = True
        if self.random_state is None:
            seed_all(self.spec.seed, self.progress.step, self.global_rank)
        else:
            restore_random_state(self.random_state)
            self.random_state = None

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        self._batch, self._is_too_large = batch, False
        try:
            loss = self.task.loss(self.model, batch)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._is_too_large = True
        if self._is_too_large:
            return torch.zeros((), device=self.device, requires_grad=True)  # `backward` goes by the halves
        self._loss = loss
        if self.logs:
            mean = loss.loss.detach() / loss.n_predicted
            self.log("train_loss", mean, prog_bar=True, batch_size=loss.n_predicted)
        if self._is_one_batch:
            return loss.loss / loss.n_predicted
        return loss.loss * self.trainer.accumulate_grad_batches  # Lightning divides by it

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """The gradient of a batch, or of its halves where the memory does not hold it and the spec says so."""
        may_split = self.spec.out_of_memory == "split"
        if not self._is_too_large:
            try:
                if may_split:
                    self._add_gradients(loss)
                else:
                    loss.backward()
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._is_too_large = True
            else:
                self._remember(self._loss)
                self._batch = self._loss = None
                return
        del loss
        self._loss = None
        if not may_split:
            raise self._out_of_memory()
        if self._is_one_batch:
            self._is_summed = True
        self._learn_in_halves(self._batch)
        self._batch = None

    def _learn_in_halves(self, batch: Batch) -> None:
        free(self.device)
        halves = self.task.halves(batch)
        if len(halves) == 1:
            raise self._out_of_memory()
        for half in halves:
            is_too_large = False
            try:
                loss = self.task.loss(self.model, half.to(self.device))
                self._add_gradients(loss.loss)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                is_too_large = True
            if is_too_large:  # outside the handler, which holds on to the tensors of what failed
                self._learn_in_halves(half)
            else:
                self._remember(loss)

    def _add_gradients(self, loss: Tensor) -> None:
        """Adds to all gradients or, when the memory is used up on the way, to none."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)

    def _remember(self, loss: Loss) -> None:
        if not self.logs:
            self.losses.append(
                BatchLoss(loss.loss.detach(), loss.nll.detach(), loss.n_predicted, loss.n_processed)
            )
        self._n_predicted += loss.n_predicted

    def _out_of_memory(self) -> RunError:
        return out_of_memory(
            self._step,
            self._batch,
            self.device,
            self.task.size_keys,
            is_split=self.spec.out_of_memory == "split",
        )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.last_rate = float(cast(LambdaLR, self.lr_schedulers()).get_last_lr()[0])
        votes = map(float, self.vote())
        n_predicted, n_stopping, n_out_of_time = self._sum_over_ranks(self._n_predicted, *votes)
        self.is_stopping, self.is_out_of_time = n_stopping > 0, n_out_of_time > 0
        self._n_predicted = 0
        # DistributedDataParallel has averaged over ranks what has to be summed.
        is_mean = self._is_one_batch and not self._is_summed
        scale = 1.0 if is_mean else self.trainer.world_size / n_predicted
        self._is_summed = False
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        self.gradient_norm = float(whole(get_total_norm(gradients))) * scale
        if not math.isfinite(self.gradient_norm):
            # Without gradients the optimizer does nothing at all: weights and its means stay as they are. All
            # ranks hold the same gradients here, so all skip.
            for parameter in self.model.parameters():
                parameter.grad = None
            self.progress.n_skipped += 1
            self.progress.n_skipped_in_a_row += 1
            if self.logs and self.progress.n_skipped_in_a_row >= self.spec.max_skipped_steps:
                n = amount(self.progress.n_skipped_in_a_row, "gradient")
                raise DivergedError(f"training diverged at step {self._step}: {n} in a row not finite")
            return
        self.progress.n_skipped_in_a_row = 0
        if self.spec.clip_norm is not None and self.gradient_norm > self.spec.clip_norm:
            scale *= self.spec.clip_norm / self.gradient_norm
        if scale != 1.0:
            torch._foreach_mul_(gradients, scale)

    @property
    def _step(self) -> int:
        """The step at work, the first being 1."""
        return self._start + self.trainer.global_step + 1

    @property
    def _is_one_batch(self) -> bool:
        """Whether a single batch makes a step: its tokens are then known before its backward pass."""
        return self.trainer.accumulate_grad_batches == 1 and self.trainer.world_size == 1

    # In anybody's own Trainer

    def on_fit_start(self) -> None:
        """Raises: RunError for what spec and Trainer do not agree on."""
        if self.spec.clip_norm is not None and self.trainer.gradient_clip_val is not None:
            raise RunError(
                f"training.clip_norm ({self.spec.clip_norm}) and the Trainer's gradient_clip_val "
                f"({self.trainer.gradient_clip_val}) would both scale the gradient; leave one of them away"
            )
        if self.spec.out_of_memory == "split" and self.trainer.world_size > 1:
            raise RunError("training.out_of_memory 'split' needs a Trainer of one device")

    @classmethod
    def load_from_checkpoint(cls, *_: Any, **__: Any) -> NoReturn:
        """Raises: RunError, for a module is made of a run with its data, which a Trainer's checkpoint does not hold."""
        raise RunError(
            "a module is made by zoo.lightning(run); give a Trainer its checkpoint: trainer.test(module, data, "
            "ckpt_path=...), or fit, validate or predict"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._has_begun:  # a tuner saves before it tries, and the seed is still to come
            checkpoint["random"] = self.from_all_ranks(random_state())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        states = checkpoint.get("random", [])
        if len(states) == self.trainer.world_size:
            self.random_state = states[self.global_rank]

    # Measuring

    def measure(self, batch: Any) -> None:
        """Measures the model on a part of a split, on its device; random numbers drawn are as if not drawn.

        What the memory does not hold is measured in halves, where the spec says so for training.
        """
        # Searching meets ever new shapes, each of which a compiled layer would be compiled anew for.
        stance = torch.compiler.set_stance("force_eager") if self.spec.compile else nullcontext()
        try:
            with untouched(), stance:
                self._measured.append(self.task.measure(self.model, batch, decoding=self.decoding))
            return
        except RuntimeError as error:
            halves = self.task.halves(batch) if self.spec.out_of_memory == "split" else [batch]
            if not is_out_of_memory(error) or len(halves) == 1:
                raise
        free(self.device)
        for half in halves:
            self.measure(half.to(self.device))

    def measured(self, *, is_wanted: bool = True) -> list[Measured] | None:
        """What has been measured since the last call, on all ranks; None if it is not wanted on any."""
        found, self._measured = self._measured, []
        from_ranks = self.from_all_ranks(found if is_wanted else None)
        if any(each is None for each in from_ranks):
            return None
        return [part for each in from_ranks for part in each]

    def on_validation_start(self) -> None:
        self._all_weights.enter_context(gathered(self))

    def on_validation_end(self) -> None:
        self._all_weights.close()

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.measure(batch)

    def on_validation_epoch_end(self) -> None:
        self._log(self.task.validation(self.measured() or []), "val")

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        self.measure(batch)

    def on_test_epoch_end(self) -> None:
        self._log(self.task.validation(self.measured() or [], is_report=True), "test")

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> list[dict[str, Any]]:
        """The answer to each row of a batch as plain data, with the row's number in its split."""
        with untouched():
            answers = self.task.predict(self.model, batch, decoding=self.decoding)
        rows = (int(row) for row in batch.key.rows)
        return [{"row": row, **self.task.written(each)} for row, each in zip(rows, answers, strict=True)]

    def _log(self, validation: Validation, prefix: str) -> None:
        for name, value in validation.metrics.items():
            self._log_value(f"{prefix}_{name}", value, is_shown=name == "loss")
        if validation.score is not None:
            self._log_value(f"{prefix}_score", validation.score, is_shown=True)

    def _log_value(self, name: str, value: float, *, is_shown: bool) -> None:
        # All ranks have the same value, whose mean over them is itself; Lightning warns where it is not asked for.
        self.log(name, value, prog_bar=is_shown, sync_dist=self.trainer.world_size > 1)

    def from_all_ranks(self, value: Any) -> list[Any]:
        """What each rank has, by rank."""
        if self.trainer.world_size == 1:
            return [value]
        values: list[Any] = [None] * self.trainer.world_size
        torch.distributed.all_gather_object(values, value)
        return values

    def _sum_over_ranks(self, *values: float) -> tuple[float, ...]:
        if self.trainer.world_size == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        return tuple(self.trainer.strategy.reduce(total, reduce_op="sum").tolist())
