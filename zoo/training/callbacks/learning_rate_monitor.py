"""The learning rate of every group of parameters, for the loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from registry import Spec
from zoo.kinds import CALLBACK

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import LearningRateMonitor


class LearningRateMonitorSpec(Spec):
    type: Literal["learning_rate_monitor"] = "learning_rate_monitor"
    needs_logger: ClassVar[bool] = True
    momentum: bool = False
    """Whether momentum, or Adam's first beta, is logged as well."""


@CALLBACK.register("learning_rate_monitor", spec=LearningRateMonitorSpec, examples=[{}])
def learning_rate_monitor(*, momentum: bool) -> LearningRateMonitor:
    """Lightning's LearningRateMonitor, every training.log_every steps."""
    from lightning.pytorch.callbacks import LearningRateMonitor  # slow to import

    return LearningRateMonitor("step", log_momentum=momentum)
