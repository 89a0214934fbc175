"""A corpus of sums: "12+7" and what that is, generated.

Next:
    pytest test_my_part.py
    zoo describe corpus/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py task.data=my_part task.tokenizer=characters
"""

import hashlib
import random
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from pydantic import Field
from zoo.kinds import CORPUS, CorpusSpec, Row


class MyPartSpec(CorpusSpec):
    type: Literal["my_part"] = "my_part"
    fields: ClassVar = (
        "source",
        "target",
    )  # of each row: what a task that reads it needs
    n_train: int = Field(300, ge=1, le=1_000_000)
    """Sums to learn from."""
    n_dev: int = Field(40, ge=1, le=10_000)
    """Sums to validate on."""
    n_test: int = Field(40, ge=1, le=10_000)
    """Sums to test on."""
    largest: int = Field(99, ge=9)
    """The largest number that is added."""

    def check(self) -> None:
        if self.n_train + self.n_dev + self.n_test > (self.largest + 1) ** 2:
            raise ValueError(f"there are not so many sums of numbers to {self.largest}")


@CORPUS.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"n_train": 23, "n_dev": 5, "n_test": 7}],
)
class MyPart:
    """Sums of two numbers as text; no sum of one split is in another."""

    def __init__(self, *, n_train: int, n_dev: int, n_test: int, largest: int) -> None:
        sizes = {"test": n_test, "dev": n_dev, "train": n_train}
        pairs = (largest + 1) ** 2
        drawn = iter(random.Random(1).sample(range(pairs), sum(sizes.values())))
        self._rows = {
            split: [self._row(*divmod(next(drawn), largest + 1)) for _ in range(size)]
            for split, size in sizes.items()
        }

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return list(self._rows)

    def where(self, split: str) -> str:
        """What to call a split in a message; of a file its name."""
        return f"sums, {split}"

    # Rows may be read as they are asked for, and never be in memory together. A bad line
    # of a file is told by bad_lines.report(f"{file}:{line}", reason, detail).
    def rows(self, split: str, *, bad_lines: Any) -> Iterator[Row]:
        """The rows of a split."""
        return iter(self._rows[split])

    def fingerprint(self, split: str) -> str:
        """Changes whenever the rows do."""
        return hashlib.sha256(repr(self._rows[split]).encode()).hexdigest()

    def _row(self, a: int, b: int) -> Row:
        return {"source": f"{a}+{b}", "target": str(a + b)}
