"""Random choices that stay the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

Item = TypeVar("Item")


class Chance:
    """A stream of choices."""

    def __init__(self, seed: int) -> None:
        # Python promises that random() stays the same for a seed; of the other methods it does not.
        self._random = random.Random(seed).random

    def of(self, percent: int) -> bool:
        """True in so many cases of a hundred."""
        return self._random() * 100 < percent

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items, all equally likely."""
        return items[int(self._random() * len(items))]

    def weighted(self, weights: Mapping[Item, int]) -> Item:
        """One of the keys, as likely as its weight in percent; the weights add up to 100."""
        point = self._random() * 100
        for item, weight in weights.items():
            point -= weight
            if point < 0:
                return item
        raise AssertionError(f"the weights add up to less than 100: {weights}")
