"""Lightning's early stopping, at each of our validations."""

from __future__ import annotations

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

from registry import suggest
from zoo.errors import RunError


class StopsEarly(EarlyStopping):
    """Lightning's, at each validation; a name that nothing is called is an error of ours."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor not in trainer.callback_metrics:
            known = sorted(name for name in trainer.callback_metrics if name.startswith("val_"))
            found = suggest(self.monitor, known, listed=True)
            raise RunError(f"early_stopping: nothing is called {self.monitor!r}; {found}")
        super().on_validation_end(trainer, pl_module)
