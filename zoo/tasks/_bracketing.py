"""What may follow in a line of brackets, so that it becomes a tree over a sentence's words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Unfinished:
    """A line of symbols so far."""

    n_words: int
    """Words that are still to come."""
    open: tuple[tuple[str, bool], ...]
    """The brackets that are open, the innermost last: label, and whether something is in it."""
    room: int
    """Symbols that may still be written, the end not counted."""
    is_begun: bool

    @property
    def n_needed(self) -> int:
        """Symbols that the shortest tree still takes."""
        return self.n_words + len(self.open)


class Bracketing:
    """The grammar of lines of symbols over sentences of n_words words each, at most limits symbols each.

    tokens[i] is the symbol that id i stands for, with the space before it wherever it is not the first of a line.
    Sentences of which the limit has no room for the words are not led.
    """

    def __init__(
        self, tokens: Sequence[str], n_words: Sequence[int], limits: Sequence[int], *, end: int
    ) -> None:
        self.symbols, self.end = [token.strip() for token in tokens], end
        self.ids: dict[tuple[str, bool], int] = {
            (token.strip(), token.startswith(" ")): i for i, token in enumerate(tokens) if token.strip()
        }
        closed = {symbol[1:] for symbol, is_inner in self.ids if symbol.startswith(")") and is_inner}
        self.opening: dict[bool, list[int]] = defaultdict(list)
        self.leaves: dict[bool, list[int]] = defaultdict(list)
        for (symbol, is_inner), i in self.ids.items():
            if symbol[0] not in "()":
                self.leaves[is_inner].append(i)
            elif symbol[0] == "(" and symbol[1:] in closed:
                self.opening[is_inner].append(i)
        self.sentences = [Unfinished(n, (), limit, False) for n, limit in zip(n_words, limits, strict=True)]

    def begin(self) -> list[Unfinished | None]:
        return [each if each.n_needed <= each.room else None for each in self.sentences]

    def after(self, state: Unfinished, token: int) -> Unfinished:
        symbol, room = self.symbols[token], state.room - 1
        if symbol.startswith("("):
            return Unfinished(state.n_words, (*_filled(state.open), (symbol[1:], False)), room, True)
        if symbol.startswith(")"):
            return Unfinished(state.n_words, state.open[:-1], room, True)
        return Unfinished(state.n_words - 1, _filled(state.open), room, True)

    def allowed(self, state: Unfinished) -> Collection[int]:
        found: list[int] = []
        if state.n_words:
            found += self.leaves[state.is_begun]
            if state.n_needed + 2 <= state.room:  # it must be closed again
                found += self.opening[state.is_begun]
        if state.open and state.open[-1][1]:
            found.append(self.ids[f"){state.open[-1][0]}", True])
        return found or [self.end]


def _filled(brackets: tuple[tuple[str, bool], ...]) -> tuple[tuple[str, bool], ...]:
    return (*brackets[:-1], (brackets[-1][0], True)) if brackets else ()
