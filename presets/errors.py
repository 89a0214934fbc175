"""The errors of this package, and guesses at what a name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 12


class Spot(str):
    """`file:line` of a key, which knows its column as well, from 1."""

    column: int

    def __new__(cls, text: str, column: int) -> Spot:
        spot = super().__new__(cls, text)
        spot.column = column
        return spot

    def __getnewargs__(self) -> tuple[str, int]:  # type: ignore[override]
        return str(self), self.column


class PresetError(ValueError):
    """A document that cannot be read; each line of its text is `file:line: what; what would be right`."""


class UnknownKeyError(PresetError):
    """An override of a key that no document has; who knows a spec's keys may know what was meant."""

    def __init__(self, place: str, path: str, suggestion: str) -> None:
        self.place, self.path = place, path
        super().__init__(f"{place}: unknown top-level key '{short(path.partition('.')[0])}'; {suggestion}")

    def __reduce__(self) -> tuple[type[PresetError], tuple[str]]:
        return PresetError, (str(self),)


def guess(name: str, known: Iterable[str], *, listing: str = "") -> str:
    """ "did you mean 'x'? (known: x, y)", or only what is known; where that is much, how many and how to list them."""
    names = sorted(known)
    everything = f"known: {', '.join(names) or 'none'}"
    if len(names) > _MOST_LISTED:
        everything = f"{len(names)} are known{f': {listing}' if listing else ''}"
    near = difflib.get_close_matches(name, names, n=1)
    return f"did you mean '{near[0]}'? ({everything})" if near else everything


def short(text: str, longest: int = 80) -> str:
    """The text as one printable line of bounded length."""
    line = repr(text)[1:-1] if not text.isprintable() else text
    return line if len(line) <= longest else f"{line[: longest // 2]}... ({len(text)} characters)"
