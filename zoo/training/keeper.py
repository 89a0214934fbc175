"""What happens between two optimizer steps: records, validation, checkpoints, the end."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from zoo.amounts import amount
from zoo.errors import DivergedError, RunError
from zoo.kinds.callback import WeightAverage
from zoo.storage.checkpoints import Checkpoints
from zoo.storage.metrics import Value
from zoo.tasks.prepared import Prepared, Validation
from zoo.training.data import TrainingData
from zoo.training.display import Display
from zoo.training.journal import Journal
from zoo.training.module import TrainingModule
from zoo.training.order import Position
from zoo.training.progress import Progress
from zoo.training.randomness import random_state
from zoo.training.ranks import all_are_here
from zoo.training.sharding import gathered, set_optimizer_state, set_weights, whole_state, whole_weights
from zoo.training.signals import StopRequest
from zoo.training.spec import TrainingSpec


class Keeper(Callback):
    """Keeps a run's folder and counters in step with Lightning's loop.

    After each optimizer step, in this order: record, validation, checkpoint, end. A signal cuts a validation
    short; the checkpoint then says that it is still due, and the resumed run begins with it.
    All ranks run all of it; only the first, the one with a journal, touches the folder.
    """

    def __init__(
        self,
        *,
        task: Prepared,
        spec: TrainingSpec,
        data: TrainingData,
        progress: Progress,
        resumed: Mapping[str, Any] | None,
        identity: Mapping[str, str],
        folder: Path,
        checkpoints: Checkpoints,
        journal: Journal | None,
        stop: StopRequest,
        display: Display,
        average: WeightAverage | None,
    ) -> None:
        """average is one of the callbacks before this."""
        self.task = task
        self.spec = spec
        self.data = data
        self.order = data.batches.order
        self.progress = progress
        self.resumed = resumed  # what training.pt held, until it is put to use
        self.identity = identity
        self.folder = folder
        self.checkpoints = checkpoints
        self.journal = journal
        self.stop = stop
        self.display = display
        self.average = average
        self.others: list[Any] = []
        self._started = time.monotonic() - progress.seconds  # as if all sessions were one
        self._stepping_since = 0.0

    # Lightning's hooks

    def on_fit_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        self._started = time.monotonic() - self.progress.seconds
        if self.journal is not None:
            all_are_here(self.folder)
        if self.resumed is not None:
            set_optimizer_state(trainer.optimizers[0], self.resumed["optimizer"])
            scheduler = trainer.lr_scheduler_configs[0].scheduler
            for group, rate in zip(trainer.optimizers[0].param_groups, scheduler.get_last_lr(), strict=True):
                group["lr"] = rate  # that of the next step; what was saved is that of the last
            if self.average is not None:  # what was loaded are the averages
                set_weights(module.model, self.resumed["weights"])
        self.others = [each for each in trainer.callbacks if each is not self]  # type: ignore[attr-defined]
        if self._is_validation_due(is_last=self.is_done):
            self._validate(trainer, module)
        if self.resumed is not None:
            self._tidy()  # a kill may have come between the last checkpoint and this

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        assert isinstance(module, TrainingModule)
        # Lightning's own SIGTERM handler, in place by now, would end an accumulation halfway.
        self.stop.defer()
        loop: Any = trainer.fit_loop
        loop.epoch_loop._batches_that_stepped = self.progress.step  # what callbacks log their figures under
        module.vote = lambda: (self.stop.received is not None, self.is_out_of_time)
        rank, n_ranks = trainer.global_rank, trainer.world_size
        if self.resumed is not None and len(self.resumed["random"]) == n_ranks:
            module.random_state = self.resumed["random"][rank]
        self.resumed = None  # the optimizer has its own copy by now
        self._stepping_since = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(module, TrainingModule)
        if (batch_idx + 1) % self.spec.accumulate == 0:
            self._count(trainer)
            self._after_step(trainer, module)

    # Where the run stands

    @property
    def seconds(self) -> float:
        """Time spent training so far, over all resumes."""
        return time.monotonic() - self._started

    @property
    def is_out_of_time(self) -> bool:
        """Whether max_minutes are over."""
        return self.spec.max_minutes is not None and self.seconds >= 60 * self.spec.max_minutes

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to train; a run takes one step at least, whatever time it is given."""
        step = self.progress.step
        has_ended = self.progress.has_ended or (step > 0 and self.is_out_of_time)
        return has_ended or step >= self.spec.last_step

    def _is_validation_due(self, *, is_last: bool) -> bool:
        step = self.progress.step
        return self.progress.validated_step < step and (is_last or step % self.spec.validate_every == 0)

    # The parts of a step's end

    def _count(self, trainer: Trainer) -> None:
        progress = self.progress
        progress.step += 1
        if self.average is not None and not progress.n_skipped_in_a_row:
            self.average.update(progress.step)
        n_batches = self.spec.accumulate * trainer.world_size
        here = Position(progress.epoch, progress.batch)
        progress.epoch, progress.batch = self.order.after(here, n_batches)
        if progress.n_skipped_in_a_row >= self.spec.max_skipped_steps:
            saved = self.checkpoints.steps()[-1:]
            n = progress.n_skipped_in_a_row
            raise DivergedError(
                f"training diverged: up to step {progress.step}, {amount(n, 'gradient')} in a row "
                f"{'was' if n == 1 else 'were'} not finite; "
                f"{f'step {saved[0]} is saved' if saved else 'nothing is saved'}. "
                "A lower learning rate, a longer warm-up or training.clip_norm may help"
            )

    def _after_step(self, trainer: Trainer, module: TrainingModule) -> None:
        progress, spec = self.progress, self.spec
        is_stopping = module.is_stopping
        is_last = progress.step >= spec.last_step or module.is_out_of_time
        is_regular = progress.step % spec.checkpoint_every == 0
        self.display.step(progress.step, self._share())
        if progress.step % spec.log_every == 0 or is_last:
            self._record(trainer, module)
        if self._is_validation_due(is_last=is_last):
            self._stop_the_clock()
            is_stopping |= not self._validate(trainer, module)
        if trainer.should_stop:  # a callback's word
            progress.has_ended = is_last = True
            if self._is_validation_due(is_last=True):
                is_stopping |= not self._validate(trainer, module)
        is_best = progress.best_step == progress.step
        if is_last or is_stopping or is_regular or is_best:
            self._stop_the_clock()
            self._save(trainer, module, is_regular=is_regular)
        if is_stopping and self.stop.received is None:
            self.stop.received = signal.SIGTERM  # another rank was told
        trainer.should_stop = is_last or is_stopping

    def _record(self, trainer: Trainer, module: TrainingModule) -> None:
        self._stop_the_clock()
        self._gather_losses(trainer, module)
        window, progress = self.progress.window, self.progress
        n_tokens = max(window.n_tokens, 1)
        speed = window.n_processed / max(window.seconds, 1e-9)
        loss = window.loss / n_tokens if window.n_tokens else math.nan
        if self.journal is not None:
            self.journal.append(
                {
                    "kind": "train",
                    "step": progress.step,
                    "epoch": self._epoch(),
                    "loss": loss,
                    "nll": window.nll / n_tokens if window.n_tokens else math.nan,
                    "learning_rate": module.last_rate,
                    "gradient_norm": module.gradient_norm,
                    "n_tokens": progress.n_tokens,
                    "n_skipped": progress.n_skipped,
                    "tokens_per_second": speed,
                    "seconds": self.seconds,
                }
            )
        figures = {"train_loss": loss, "learning_rate": module.last_rate, "tokens_per_second": speed}
        trainer.callback_metrics["train_loss"] = torch.tensor(loss)
        self._log(trainer, {**figures, "gradient_norm": module.gradient_norm})
        self.display.show(progress.step, {"loss": f"{loss:.3f}", "tokens/s": f"{speed:,.0f}"})
        self.progress.window = type(window)()

    def _validate(self, trainer: Trainer, module: TrainingModule) -> bool:
        """Measures the model, each rank on its share; False when a signal asked to stop before it was done."""
        module.model.eval()
        parts = self.data.val_dataloader()
        try:
            with (
                self._result_weights(),
                gathered(module),
                torch.no_grad(),
                trainer.precision_plugin.forward_context(),
            ):
                for number, part in enumerate(parts):
                    if self.stop.received is not None:
                        break
                    self.display.work("validating, batches", number, len(parts))
                    module.measure(part.to(module.device))
        finally:
            self.display.work_is_done()
            module.model.train()
        measured = module.measured(is_wanted=self.stop.received is None)
        if measured is not None:
            result = self.task.validation(measured)
            self._note_validation(trainer, result)
            for callback in self.others:
                callback.on_validation_end(trainer, module)
        self._stepping_since = time.monotonic()
        return measured is not None

    def _note_validation(self, trainer: Trainer, result: Validation) -> None:
        progress = self.progress
        by_score = self.spec.best_by == "score" and result.merit is not None
        value = result.merit if by_score and result.merit is not None else -result.loss
        progress.note_validation(value, result.loss)
        if self.journal is not None:
            record: dict[str, Value] = {"kind": "validation", "step": progress.step, "epoch": self._epoch()}
            self.journal.append({**record, **result.metrics, "seconds": self.seconds})
        figures = {f"val_{name}": value for name, value in result.metrics.items()}
        if result.score is not None:
            figures["val_score"] = result.score
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in figures.items()})
        self._log(trainer, figures)
        shown = {"validation loss": f"{result.loss:.3f}"}
        if result.score is not None:
            shown[self.task.score_name] = f"{result.score:.2f}"
        self.display.measured(progress.step, shown)

    def _save(self, trainer: Trainer, module: TrainingModule, *, is_regular: bool) -> None:
        self._gather_losses(trainer, module)
        random = module.from_all_ranks(random_state())
        # Devices that share the weights have to give theirs, all of them.
        is_first = self.journal is not None
        state = {"optimizer": whole_state(trainer.optimizers[0].state_dict(), is_wanted=is_first)}
        if self.average is not None:
            own = whole_weights(module.model, is_wanted=is_first)
            state["weights"] = {name: tensor.clone() for name, tensor in own.items()} if is_first else {}
        refusal: RunError | None = None
        with self._result_weights():
            weights = whole_weights(module.model, is_wanted=is_first)
            if self.journal is not None:
                self.progress.seconds = self.seconds
                state |= {
                    "progress": self.progress.dump(),
                    "random": random,
                    "journal_bytes": self.journal.position(),
                    "identity": dict(self.identity),
                    "callbacks": [callback.state_dict() for callback in self.others],
                }
                try:
                    self.checkpoints.save(self.progress.step, weights, state, is_regular=is_regular)
                    self._tidy()
                    self.journal.write_table()
                except RunError as error:
                    refusal = error
        refusal = trainer.strategy.broadcast(refusal)
        if refusal is not None:
            raise refusal  # on all ranks: the others would wait for the first for ever
        self._stepping_since = time.monotonic()

    def _tidy(self) -> None:
        """Renews the index and removes the checkpoints that are not needed any more."""
        if self.journal is None:
            return
        steps = {"last": self.progress.step, "best": self.progress.best_step}
        named = {key: step for key, step in steps.items() if step is not None}
        self.checkpoints.write_index({key: self.checkpoints.path(step) for key, step in named.items()})
        regular = [step for step in self.checkpoints.steps() if step % self.spec.checkpoint_every == 0]
        n_kept = self.spec.keep_checkpoints or self.spec.average_last
        self.checkpoints.keep({*regular[-n_kept:], *named.values()})

    # Helpers

    def _result_weights(self) -> AbstractContextManager[None]:
        """Within it the model has the weights that count: the averages, where there are any."""
        return nullcontext() if self.average is None else self.average.in_place()

    def _log(self, trainer: Trainer, figures: Mapping[str, float]) -> None:
        for logger in trainer.loggers:
            logger.log_metrics(dict(figures), step=self.progress.step)

    def _gather_losses(self, trainer: Trainer, module: TrainingModule) -> None:
        """Moves what the module remembers of its batches, on all ranks, into the counters."""
        if not module.losses:
            return
        # One transfer for all, so that a GPU is waited for once.
        sums = torch.stack([value for batch in module.losses for value in (batch.loss, batch.nll)]).tolist()
        own = [
            (loss, nll, batch.n_predicted, batch.n_processed)
            for loss, nll, batch in zip(sums[::2], sums[1::2], module.losses, strict=True)
        ]
        module.losses.clear()
        for batches in module.from_all_ranks(own):
            self.progress.add(batches)

    def _stop_the_clock(self) -> None:
        """Counts the time since steps went on into the speed; validation and saving do not count there."""
        now = time.monotonic()
        self.progress.window.seconds += now - self._stepping_since
        self._stepping_since = now

    def _epoch(self) -> float:
        return self.order.share(Position(self.progress.epoch, self.progress.batch))

    def _share(self) -> float:
        steps = self.progress.step / self.spec.last_step
        return max(steps, self.seconds / (60 * self.spec.max_minutes)) if self.spec.max_minutes else steps
