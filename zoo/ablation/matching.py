"""What is held equal: a width that brings a variant to the base's size, steps that bring it to the base's budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from presets import PresetError
from registry import Problem, SpecError
from zoo.ablation.spec import Match, override_words
from zoo.analysis.cost import cost
from zoo.analysis.size import n_parameters
from zoo.run.spec import RunSpec

TOLERANCE = 0.01
"""How far from the base's a matched size may be."""
LENGTH = 128
"""Tokens of the sequences that FLOPs a token are counted for."""
_STEPS_OF_MINUTES = 1000  # times those of the base: as many as there is time for
_MOST = 1 << 20  # of a width
_ODD = (1, 3, 5, 7, 11)  # times a power of two: what numbers of heads divide
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


def of_base(match: Match, base: RunSpec) -> Matched:
    """What the base itself needs: where minutes count, its steps must not end it before. Raises: SpecError."""
    assert base.training is not None
    if match != "minutes":
        return Matched((), "")
    if base.training.max_minutes is None:
        why = "match: minutes needs the base's: give overrides: {training.max_minutes: 5}"
        raise SpecError([Problem("match", why)])
    steps = min(_STEPS_OF_MINUTES * base.training.max_steps, 10**9)
    return Matched(override_words({"training.max_steps": steps}), "")


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
        except (SpecError, PresetError):
            return None

    _check_possible(load, by)
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


def _check_possible(load: Load, by: str) -> None:
    """Raises: SpecError where no width is allowed there at all, with what is said of the first."""
    errors = []
    for width in (odd * 2**n for odd in _ODD for n in range(4, 21)):
        try:
            load(override_words({by: width}))
            return
        except (SpecError, PresetError) as error:
            errors.append(str(error).splitlines()[0])
    raise SpecError([Problem("by", f"{by}: no width is allowed there; {errors[0]}")])


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
        budget = {
            "training.max_minutes": base.training.max_minutes,
            "training.max_steps": base.training.max_steps,
        }
        own = (variant.training.max_minutes, variant.training.max_steps)
        minutes = f"{base.training.max_minutes:g} minutes, as the base"
        return Matched((), "") if own == tuple(budget.values()) else Matched(override_words(budget), minutes)
    steps = base.training.max_steps
    if match == "tokens":
        if base.training.rows_per_batch != variant.training.rows_per_batch:
            why = "match: tokens counts by training.tokens_per_batch: rows_per_batch must be the base's"
            raise SpecError([Problem(path, why)])
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
