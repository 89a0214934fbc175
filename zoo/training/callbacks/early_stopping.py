"""The end of a training that does not get better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from registry import Spec
from zoo.kinds import CALLBACK

if TYPE_CHECKING:
    from zoo.training.stopping import StopsEarly


class EarlyStoppingSpec(Spec):
    type: Literal["early_stopping"] = "early_stopping"
    monitor: str = Field("val_loss", min_length=1)
    """What is watched: val_loss, val_score, or val_ and the name of a measure."""
    mode: Literal["min", "max"] | None = None
    """Whether less of it is better, or more; null: as the task says."""
    patience: int = Field(3, ge=1, le=10**6)
    """Validations in a row without a better value, after which training ends."""
    min_delta: float = Field(0.0, ge=0, le=10**9)
    """By how much a value must be better to count."""


@CALLBACK.register(
    "early_stopping",
    spec=EarlyStoppingSpec,
    examples=[{}, {"monitor": "val_score"}, {"monitor": "val_loss", "mode": "min"}],
)
def early_stopping(*, monitor: str, mode: str | None, patience: int, min_delta: float) -> StopsEarly:
    """Lightning's EarlyStopping, asked after every validation."""
    from zoo.training.stopping import StopsEarly  # the way to lightning

    return StopsEarly(monitor, mode=mode, min_delta=min_delta, patience=patience)
