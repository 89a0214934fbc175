"""What is wrong with a spec: one Problem for each mistake, a SpecError for all of them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from registry.synonyms import meant_value

_MOST_LISTED = 10  # names that are told beside a guess


@dataclass(frozen=True)
class Problem:
    """One mistake: where it stands, what is wrong, and what was perhaps meant."""

    path: str
    """Dotted path of the key, list positions as numbers: `model.encoder.layers.0.norm`."""
    message: str
    suggestion: str = ""
    """As `suggest` words it: "did you mean 'n_heads'?"."""
    where: str = ""
    """`file:line`, or the override that set the key; empty where unknown."""

    def __str__(self) -> str:
        text = f"{self.message}; {self.suggestion}" if self.suggestion else self.message
        path = self.path if self.path.isprintable() and len(self.path) <= 200 else f"{self.path[:100]!r}..."
        return ": ".join(part for part in (self.where, path, text) if part)


class SpecError(ValueError):
    """A spec that cannot be used; its text is one line for each problem, by their places, or in the order given."""

    def __init__(self, problems: Sequence[Problem], is_ordered: bool = False) -> None:
        self.problems = list(problems) if is_ordered else sorted(problems, key=_in_order)
        self.is_ordered = is_ordered
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem], bool]]:
        return type(self), (self.problems, self.is_ordered)  # a worker process sends it back whole


def _in_order(problem: Problem) -> tuple[bool, str, int, str, str]:
    """Those of a file by its lines, so that those of a part stand together; then those of overrides, by their paths."""
    file, _, line = problem.where.rpartition(":")
    is_in_file = line.isdecimal()
    return (
        not is_in_file,
        file if is_in_file else "",
        int(line) if is_in_file else 0,
        problem.path,
        str(problem),
    )


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like this one, if any is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A guess at what an unknown name may have meant, by its meaning, else by its letters; "" without one."""
    names = sorted(known)
    meant = meant_value(name, names)
    if meant is not None and meant not in names:
        return f"did you mean {meant}?"  # how to write it
    guess = meant or nearest(name, names)
    return f"did you mean '{guess}'?" if guess else ""


def suggest(name: str, known: Iterable[str], *, listed: bool = False, listing: str = "") -> str:
    """What an unknown name may have meant: "did you mean 'x'?", or "known: x, y" where nothing is near.

    listed adds the known names to a guess too; where they are many, and listing is a command that shows them, all the
    near ones, how many others there are, and the command.
    """
    names = sorted(known)
    guess = did_you_mean(name, names)
    everything = f"known: {', '.join(names) or 'none'}"
    if guess and listed and listing and len(names) > _MOST_LISTED:
        near = difflib.get_close_matches(name, names)
        if guess != f"did you mean '{nearest(name, names)}'?":
            near = []  # its meaning is known, so that letters do not count
        *first, last = map(repr, near or [""])
        guess = f"did you mean {', '.join(first)} or {last}?" if first else guess
        everything = f"{len(names) - max(len(near), 1)} others: {listing}"
    return f"{guess} ({everything})" if guess and listed else guess or everything


def clip(text: str) -> str:
    """The text quoted, on one line, and cut if it is long."""
    return repr(text) if len(text) <= 60 else f"{text[:40]!r}... ({len(text)} characters)"


def show(value: object) -> str:
    """A value as a reader of YAML knows it, in at most about 60 characters."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"  # repr refuses beyond 4,300 digits
    if isinstance(value, str):
        return f"the string {clip(value)}"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        text = "[" + ", ".join(show(item).removeprefix("the string ") for item in value[:8]) + "]"
        return text if len(value) <= 8 and len(text) <= 60 else f"a list of {len(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, int | float):
        return repr(value)
    return f"an object of type {type(value).__name__}"
