"""Lightning's early stopping, at each of our validations."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from registry import suggest
from zoo.errors import RunError
from zoo.training.module import TrainingModule


class StopsEarly(EarlyStopping):
    """Lightning's, at each validation; a name that nothing is called is an error of ours.

    mode None: min or max as the module says of the figure.
    """

    def __init__(self, monitor: str, *, mode: str | None, min_delta: float, patience: int) -> None:
        super().__init__(
            monitor,
            mode=mode or "min",
            min_delta=min_delta,
            patience=patience,
            check_on_train_epoch_end=False,
        )
        self._is_open = mode is None

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        if self.monitor not in trainer.callback_metrics:
            known = sorted(name for name in trainer.callback_metrics if name.startswith("val_"))
            found = suggest(self.monitor, known, listed=True)
            raise RunError(f"early_stopping: nothing is called {self.monitor!r}; {found}")
        if self._is_open and pl_module.mode_of(self.monitor) != self.mode:
            self.mode = "max"
            self.min_delta = -self.min_delta
            if self.best_score.isinf():  # as from Lightning's constructor; else what a checkpoint remembered
                self.best_score = -self.best_score
        super().on_validation_end(trainer, pl_module)
