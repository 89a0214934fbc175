"""The one error of this package, and guesses at what a name was meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MOST_LISTED = 12


class PresetError(ValueError):
    """A document that cannot be read; each line of its text is `file:line: what; what would be right`."""


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
