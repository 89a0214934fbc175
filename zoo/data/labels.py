"""The names of classes, numbered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import ClassVar, Self

from zoo.data.coder import Coder
from zoo.errors import RunError


class Labels(Coder):
    """Names of classes by their numbers, in the order of their names: of numbers by size, of others by code points."""

    type: ClassVar[str] = "labels"
    suffix: ClassVar[str] = ".names.json"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(json.dumps(list(names), ensure_ascii=False, indent=0).encode())
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(names)}

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The coder that was saved as these bytes. Raises: RunError for bytes that are none."""
        try:
            names = json.loads(data)
        except ValueError as error:
            raise RunError(f"not a list of labels: {error}") from None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RunError("not a list of labels: it must be a list of strings")
        if len(set(names)) < len(names):
            raise RunError("not a list of labels: one is there twice")
        return cls(names)

    @classmethod
    def of(cls, names: Iterable[str]) -> Self:
        """The labels that occur."""
        found = set(names)
        is_numeric = all(name.isascii() and name.isdigit() for name in found)
        return cls(sorted(found, key=lambda name: (int(name), name) if is_numeric else (0, name)))

    def __len__(self) -> int:
        return len(self.names)

    def number(self, name: str) -> int | None:
        """The number of a label; None for one that is not known."""
        return self._numbers.get(name)

    def facts(self) -> dict[str, int]:
        return {"n_labels": len(self.names)}
