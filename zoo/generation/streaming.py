"""Text as it is written: what of it no later token can change."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from zoo.generation.output import Decoder, one_line
from zoo.special_ids import UNKNOWN_TEXT

_Result = TypeVar("_Result")
_UNSETTLED = f"\ufffd{UNKNOWN_TEXT}"
"""How bytes of a letter are shown whose last bytes are still to come."""


class Step(NamedTuple):
    """What one step of a search has appended."""

    sentences: Any
    """Which sentences go on: int64 [N], a tensor or a list."""
    tokens: Any
    """With what: int64 [N]; an end is none."""


Steps = Generator[Step, None, _Result]
"""A search that writes token by token; its result is what the search called as a whole gives."""


def result_of(steps: Steps[_Result]) -> _Result:
    """Runs a search to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: _Result = end.value
            return found


def appended(steps: Steps[_Result]) -> Generator[int, None, _Result]:
    """The tokens of a search for one sentence."""
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            found: _Result = end.value
            return found
        tokens = step.tokens.tolist() if isinstance(step.tokens, Tensor) else step.tokens
        yield from (int(token) for token in tokens)


def pieces(tokens: Iterable[int], tokenizer: Decoder) -> Generator[str, None, str]:
    """Pieces of the text of tokens as they come, without its end; returns what has been given, all together.

    A piece waits for the next token, and letters for all of their bytes; it is as zoo.generation.output.one_line has
    it. Should a tokenizer change what it has said, nothing more is given: see `rest`.
    """
    given, before, so_far = "", "", []
    for token in tokens:
        so_far.append(token)
        text = one_line(tokenizer.decode([so_far])[0])
        settled = _common(before, text).rstrip(_UNSETTLED)
        if settled.startswith(given) and len(settled) > len(given):
            yield settled[len(given) :]
            given = settled
        before = text
    return given


def rest(text: str, given: str) -> str:
    """The end of a text of which the beginning was given.

    Raises: RuntimeError for a tokenizer that changes the text of tokens by what comes much later, which cannot be
    streamed.
    """
    if not text.startswith(given):
        raise RuntimeError(
            "the tokenizer changes the text of a token by what comes after the next one: it cannot be streamed"
        )
    return text[len(given) :]


def _common(one: str, other: str) -> str:
    """The beginning that two texts share."""
    pairs = enumerate(zip(one, other, strict=False))
    n = next((i for i, (a, b) in pairs if a != b), min(len(one), len(other)))
    return one[:n]
