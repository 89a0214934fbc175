"""The errors of this package, and guesses at what a name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 12


class PresetError(ValueError):
    """A document that cannot be read; each line of its text is `file:line: what; what would be right`."""


class UnknownKeyError(PresetError):
    """An override of a key that no document has; who knows a spec's keys may know what was meant."""

    def __init__(self, place: str, path: str, suggestion: str) -> None:
        self.place, self.path = place, path
        super().__init__(f"{place}: unknown top-level key '{short(path.partition('.')[0])}'; {suggestion}")

    def __reduce__(self) -> tuple[type[PresetError], tuple[str]]:
        return PresetError, (str(self),)


def guess(name: str, known: Iterable[str]) -> str:
    """ "did you mean 'x'? (known: x, y)", or only what is known; with a guess, many others are only counted."""
    names = sorted(known)
    everything = f"known: {', '.join(names) or 'none'}"
    near = difflib.get_close_matches(name, names, n=1)
    if not near:
        return everything
    return f"did you mean '{near[0]}'? ({everything if len(names) <= _MOST_LISTED else f'known: {len(names)} names'})"


def short(text: str, longest: int = 80) -> str:
    """The text as one printable line of bounded length."""
    line = repr(text)[1:-1] if not text.isprintable() else text
    return line if len(line) <= longest else f"{line[: longest // 2]}... ({len(text)} characters)"
