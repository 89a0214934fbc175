"""A logger that writes one line of text a step, for a terminal and `tail -f`.

Next:
    pytest test_my_part.py
    zoo describe logger/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py 'training.loggers=[my_part]' training.log_every=10
"""

from pathlib import Path
from typing import Any, Literal

from lightning.pytorch.loggers import Logger
from pydantic import Field
from registry import Spec
from zoo.kinds import LOGGER


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    digits: int = Field(4, ge=1, le=17)
    """Significant digits of a number."""


# `folder` is a folder of the run's own: what is written on this machine belongs into it.
@LOGGER.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"digits": 3}],
)
class MyPart(Logger):
    """Writes my_part.txt, a line for what is logged at a step."""

    def __init__(self, *, digits: int, folder: Path) -> None:
        super().__init__()
        self.digits, self.folder = digits, folder

    @property
    def name(self) -> str:
        """What Lightning calls it."""
        return "my_part"

    @property
    def version(self) -> str:
        """Of a logger that tells runs apart."""
        return ""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Numbers of a step, by name."""
        told = [f"{name} {value:.{self.digits}g}" for name, value in metrics.items()]
        self._write(f"step {step}: {', '.join(told)}")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run's spec, its values by their dotted keys."""
        self._write(f"a run of {len(params)} settings")

    def finalize(self, status: str) -> None:
        """The end: success or failed."""
        self._write(f"end: {status}")

    def _write(self, line: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "my_part.txt").open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
