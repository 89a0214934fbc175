"""Where a run stands: the counters a checkpoint carries."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Window:
    """Sums since the last record of the training loss. Python floats: exact over a save and a load."""

    loss: float = 0.0
    nll: float = 0.0
    n_tokens: int = 0
    n_processed: int = 0
    seconds: float = 0.0


@dataclass
class Progress:
    """How far a run is and what was best so far."""

    step: int = 0
    """Optimizer steps taken, skipped ones included."""
    epoch: int = 0
    """With `batch`, the position in the data of the next step's first batch."""
    batch: int = 0
    n_tokens: int = 0
    """Predicted tokens learnt from."""
    n_skipped: int = 0
    """Steps skipped because their gradient was not finite."""
    n_skipped_in_a_row: int = 0
    validated_step: int = 0
    """Step of the last validation."""
    best_step: int | None = None
    best_value: float | None = None
    """The score of the best step, or with the sign turned its errors or loss: higher is better."""
    best_loss: float = math.inf
    """The loss of the best step on the validation set."""
    seconds: float = 0.0
    """Time spent training, over all resumes."""
    has_ended: bool = False
    """Whether a callback has ended training for good."""
    window: Window = field(default_factory=Window)

    def note_validation(self, value: float, loss: float) -> None:
        """Takes this step as the best if its value is; of equal values the lower loss wins, then the later step."""
        self.validated_step = self.step
        if not math.isfinite(value):
            return
        loss = loss if math.isfinite(loss) else math.inf
        if self.best_value is None or (value, -loss) >= (self.best_value, -self.best_loss):
            self.best_step, self.best_value, self.best_loss = self.step, value, loss

    def add(self, batches: Iterable[tuple[float, float, int, int]]) -> None:
        """Counts (loss, nll, n_tokens, n_processed) of batches, each summed over the batch.

        One whose loss is not finite was not learnt from and does not count.
        """
        for loss, nll, n_tokens, n_processed in batches:
            if math.isfinite(loss):
                self.window.loss += loss
                self.window.nll += nll
                self.window.n_tokens += n_tokens
                self.window.n_processed += n_processed
                self.n_tokens += n_tokens

    def dump(self) -> dict[str, Any]:
        """Plain numbers, which `load` reads."""
        return asdict(self)

    @classmethod
    def load(cls, data: dict[str, Any]) -> Progress:
        """The counters of a checkpoint."""
        assert set(data) == {f.name for f in fields(cls)}
        return cls(**{**data, "window": Window(**data["window"])})
