"""A callback that ends a training once the validation loss is good enough.

Next:
    pytest test_my_part.py
    zoo describe callback/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py 'training.callbacks=[{type: my_part, target: 5.0}]'
"""

from typing import Any, Literal

from lightning.pytorch import Callback
from pydantic import Field
from registry import Spec
from zoo.kinds import CALLBACK


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    monitor: str = Field("val_loss", min_length=1)
    """What is watched: val_loss, val_score, or val_ and the name of a measure."""
    target: float
    """Training ends when it is no larger than this."""

    # Optional: `needs_logger: ClassVar = True` where it is no use without one.


@CALLBACK.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"target": 2.0}],
)
class MyPart(Callback):
    """Asks for the end of training after the validation that reaches the target."""

    def __init__(self, *, monitor: str, target: float) -> None:
        self.monitor, self.target = monitor, target
        self.best: float | None = None

    # Any of Lightning's hooks; a validation is told by this one.
    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Looks at the figures of the validation that has ended."""
        value = float(trainer.callback_metrics[self.monitor])
        self.best = value if self.best is None else min(value, self.best)
        if value <= self.target:
            trainer.should_stop = True

    # What it remembers is in the run's checkpoints: plain data.
    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a checkpoint."""
        self.best = state_dict["best"]
