"""How long an output may become: a number of tokens, or a rule relative to the source."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

_NUMBER = r"\d{1,6}(?:\.\d{1,6})?"
_RULE = re.compile(
    rf"\s*(?:(?P<before>{_NUMBER})\s*\*\s*)?source(?:\s*\*\s*(?P<after>{_NUMBER}))?"
    r"(?:\s*\+\s*(?P<extra>\d{1,6}))?\s*"
)


class LengthLimit:
    """The most tokens an output may have, its end not counted: max(1, ⌊factor · source length + extra⌋).

    Source: Vaswani et al. 2017, section 6.1: "input length + 50". The source's length counts its tokens
    without its end and without padding, so the limit of a sentence does not depend on its batch.
    """

    def __init__(self, rule: int | str) -> None:
        self.factor, self.extra = _parse(rule)

    def __call__(self, source_length: int) -> int:
        return max(1, int(self.factor * source_length + self.extra))


def _parse(rule: int | str) -> tuple[float, int]:
    if isinstance(rule, int):
        if rule < 1:
            raise ValueError(f"must be at least 1 token, got {rule}")
        return 0.0, rule
    match = _RULE.fullmatch(rule)
    if match is None or (match["before"] and match["after"]):
        raise ValueError(
            f"must be a number of tokens or a rule such as 'source + 50' or 'source * 2 + 10', got {rule!r}"
        )
    factor = float(match["before"] or match["after"] or 1)
    if not factor:
        raise ValueError(
            f"the factor must be above 0, got {rule!r}; for a fixed length write the number alone"
        )
    return factor, int(match["extra"] or 0)


def _checked(rule: int | str) -> int | str:
    _parse(rule)
    return rule


MaxLength = Annotated[int | str, AfterValidator(_checked)]
"""A spec's field: tokens, or `source + N`, `source * F + N`, `F * source`; see LengthLimit."""
