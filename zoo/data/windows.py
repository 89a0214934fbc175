"""Windows over long series, which are stored once however many windows look at them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.data.batches import BatchPlan, Integers
from zoo.data.store import Example, ExampleStore


class Windows:
    """An arrangement of the windows of stored series: look_back values and the horizon's after them.

    Stored are `series` [T, V], and `first`, the first time that may be forecast; a series has a window for every
    `stride`-th time from there on, or from where there is enough to look back at. Examples: past [look_back, V] and
    future [horizon, V], memory-mapped.
    """

    def __init__(
        self,
        store: ExampleStore,
        *,
        look_back: int,
        horizon: int,
        stride: int,
        n_tokens: int,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> None:
        """n_tokens are those of a window. Raises: DataError where it has more than a batch may have."""
        series, firsts = store.columns["series"], store.columns["first"].values
        self._values = series.values  # [all times, V]
        self._look_back = look_back
        self._horizon = horizon
        ends = series.lengths()
        self._places = np.concatenate(
            [
                series.offsets[i] + window_places(int(firsts[i]), int(ends[i]), look_back, horizon, stride)
                for i in range(len(store))
            ]
        )
        self._plan = BatchPlan(
            np.full((len(self._places), 1), n_tokens),
            tokens_per_batch=tokens_per_batch,
            rows_per_batch=rows_per_batch,
            seed=seed,
        )

    def epoch(self, number: int) -> Sequence[Integers]:
        return self._plan.epoch(number)

    def example(self, number: int) -> Example:
        place = int(self._places[number])
        return {
            "past": self._values[place - self._look_back : place],
            "future": self._values[place : place + self._horizon],
        }


def window_places(first: int, length: int, look_back: int, horizon: int, stride: int) -> Integers:
    """Where the futures of a series' windows begin: none before `first`, none that ends behind its length."""
    return np.arange(max(first, look_back), length - horizon + 1, stride)
