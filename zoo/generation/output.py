"""From what a search finds to text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from zoo.generation.search import Hypothesis

_LINE_END = re.compile("\r\n|[\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")  # where str.splitlines() splits


class Decoder(Protocol):
    """What is needed of a tokenizer: see zoo.data.tokenizer."""

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]: ...


@dataclass(frozen=True)
class Output:
    """One text that a model has written."""

    text: str
    """On one line, whatever the tokens say: see `one_line`."""
    score: float
    """Log probability divided by the length penalty."""
    tokens: list[int]


def outputs(hypotheses: Sequence[Hypothesis], tokenizer: Decoder) -> list[Output]:
    """The hypotheses of a sentence as text, in their order."""
    texts = tokenizer.decode([hypothesis.tokens for hypothesis in hypotheses])
    return [
        Output(one_line(text), hypothesis.score, hypothesis.tokens)
        for text, hypothesis in zip(texts, hypotheses, strict=True)
    ]


def one_line(text: str) -> str:
    """The text with a space for each line break in it, so that a file of such texts has one on each line.

    A break is what any program may take for one: str.splitlines() names them. \\r\\n is one.
    """
    return _LINE_END.sub(" ", text)
