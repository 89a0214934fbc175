"""What is held equal: a width that brings a variant to the base's size, steps that bring it to the base's budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from registry import Problem, SpecError
from zoo.ablation.spec import Match, override_words
from zoo.analysis.cost import cost
from zoo.analysis.size import n_parameters
from zoo.run.spec import RunSpec

TOLERANCE = 0.01
"""How far from the base's a matched size may be."""
LENGTH = 128
"""Tokens of the sequences that FLOPs a token are counted for."""
_MOST = 1 << 20  # of a width
_LOOKED_AT = 64  # values on each side of the nearest one, for not every width is allowed

Load = Callable[[Sequence[str]], RunSpec]
"""A variant's run with further overrides. Raises: SpecError."""


@dataclass(frozen=True)
class Matched:
    """How a variant was made equal."""

    overrides: tuple[str, ...]
    note: str
    """In words, for the plan and the report; empty where nothing had to be done."""


def matched(
    match: Match, by: str | None, *, base: RunSpec, variant: RunSpec, load: Load, path: str
) -> Matched:
    """What a variant needs to be equal to the base. Raises: SpecError, at `path`, where it cannot be made so."""
    if match in ("parameters", "flops"):
        assert by is not None
        return _by_width(match, by, base, variant, load, path)
    if match == "none":
        return Matched((), "")
    return _by_budget(match, base, variant, path)


def size_of(match: Match, run: RunSpec) -> float:
    """What is matched: parameters, or FLOPs of a token in training."""
    return (
        n_parameters(run.model)
        if match == "parameters"
        else cost(run.model, length=LENGTH).training_per_token
    )


def _by_width(match: Match, by: str, base: RunSpec, variant: RunSpec, load: Load, path: str) -> Matched:
    wanted = size_of(match, base)
    if _is_near(size_of(match, variant), wanted):
        return Matched((), "")

    def size(width: int) -> float | None:
        try:
            return size_of(match, load(override_words({by: width})))
        except SpecError:
            return None

    load(override_words({by: _first_possible(size, by, path)}))  # a key that is none says so in its own words
    low, high = 1, _MOST
    while low < high:  # the smallest width that is not below: sizes grow with it
        middle = (low + high) // 2
        if _at_or_above(size, middle) >= wanted:
            high = middle
        else:
            low = middle + 1
    near = [
        (abs(found - wanted), width)
        for width in range(max(1, low - _LOOKED_AT), low + _LOOKED_AT)
        if (found := size(width)) is not None
    ]
    off, width = min(near)
    if off > TOLERANCE * wanted:
        found = size(width)
        raise SpecError(
            [
                Problem(
                    path,
                    f"no value of {by} brings it within {TOLERANCE:.0%} of the base's {match} ({wanted:,.0f}): the "
                    f"nearest is {width} with {found:,.0f}; take another key in `by`, or match: none",
                )
            ]
        )
    return Matched(override_words({by: width}), f"{by} {width}, for {match} as the base's")


def _first_possible(size: Callable[[int], float | None], by: str, path: str) -> int:
    for width in (2**n for n in range(21)):
        if size(width) is not None:
            return width
    raise SpecError([Problem(path, f"{by}: no width is allowed there; `by` must name one of the variant's")])


def _at_or_above(size: Callable[[int], float | None], width: int) -> float:
    """The size at a width, or at the next one that is allowed."""
    for each in range(width, width + _LOOKED_AT):
        if (found := size(each)) is not None:
            return found
    return float("inf")


def _is_near(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= TOLERANCE * wanted


def _by_budget(match: Match, base: RunSpec, variant: RunSpec, path: str) -> Matched:
    assert base.training is not None
    assert variant.training is not None
    if match == "minutes":
        if base.training.max_minutes is None:
            why = "match: minutes needs the base's: give overrides: {training.max_minutes: 5}"
            raise SpecError([Problem(path, why)])
        steps = 1000 * base.training.max_steps  # as many as there is time for
        keys = {"training.max_minutes": base.training.max_minutes, "training.max_steps": min(steps, 10**9)}
        return Matched(override_words(keys), f"{base.training.max_minutes:g} minutes, as the base")
    steps = base.training.max_steps
    if match == "tokens":
        per_step = [
            run.training.tokens_per_batch * run.training.accumulate * run.training.n_ranks  # type: ignore[union-attr]
            for run in (base, variant)
        ]
        steps = round(steps * per_step[0] / per_step[1])
    if steps == variant.training.max_steps:
        return Matched((), "")
    return Matched(
        override_words({"training.max_steps": steps}), f"{steps:,} steps, for {match} as the base's"
    )
