"""Mean and deviation of the variables of a series."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from zoo.data.coder import Coder
from zoo.errors import RunError


class Scaling(Coder):
    """Standardises variables: (x - mean) / deviation, of each variable by itself.

    Shapes: mean and deviation [V], x [..., V]. A variable that never changes is only shifted.
    """

    type: ClassVar[str] = "scaling"
    suffix: ClassVar[str] = ".numbers.json"

    def __init__(self, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> None:
        numbers = {"mean": [float(x) for x in mean], "deviation": [float(x) for x in deviation]}
        super().__init__(json.dumps(numbers, indent=1).encode())
        self.mean = mean
        self.deviation = np.where(deviation > 0, deviation, 1.0)

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The coder that was saved as these bytes. Raises: RunError for bytes that are none."""
        try:
            numbers = json.loads(data)
            mean, deviation = (np.array(numbers[name], np.float64) for name in ("mean", "deviation"))
            if mean.shape != deviation.shape:
                raise ValueError(f"{len(mean)} means, but {len(deviation)} deviations")
            return cls(mean, deviation)
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"no scaling of a series: {error!r}") from None

    @classmethod
    def of(cls, series: NDArray[Any]) -> Self:
        """The scaling of a series [T, V]."""
        deviation = series.std(0, dtype=np.float64)
        # Of a constant such as 0.1 the deviation is the rounding of its mean, by which nothing may be divided.
        return cls(series.mean(0, dtype=np.float64), np.where(series.min(0) < series.max(0), deviation, 0.0))

    def scaled(self, series: NDArray[Any]) -> NDArray[np.float32]:
        """A series [..., V], standardised."""
        return ((series - self.mean) / self.deviation).astype(np.float32)

    def restored(self, series: NDArray[Any]) -> NDArray[np.float32]:
        """A standardised series [..., V] in its own units."""
        return (series * self.deviation + self.mean).astype(np.float32)

    def facts(self) -> dict[str, int]:
        return {"n_variables": len(self.mean)}
