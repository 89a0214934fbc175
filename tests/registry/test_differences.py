"""Where two specs differ."""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import pytest

from registry import Difference, Kind, Spec, differences, flat, with_differences


def test_values_parts_and_lists_are_compared_each_by_its_path() -> None:
    kind = Kind("part")

    class MillSpec(Spec):
        type: Literal["mill"] = "mill"
        size: int = 1
        sails: tuple[float, ...] = (0.5, 0.25)

    class PressSpec(Spec):
        type: Literal["press"] = "press"
        size: int = 2

    kind.register("mill", spec=MillSpec)(lambda *, size, sails: size)
    kind.register("press", spec=PressSpec)(lambda *, size: size)

    class WorksSpec(Spec):
        part: Annotated[Spec | None, kind] = None
        parts: tuple[Annotated[Spec, kind], ...] = ()
        n: int = 3

    one = WorksSpec(part=MillSpec(), parts=(MillSpec(), PressSpec()))
    assert differences(one, one) == []
    assert differences(one, one.model_copy(update={"n": 4}), "here") == [Difference("here.n", 3, 4)]
    other = WorksSpec(part=PressSpec(), parts=(MillSpec(size=5, sails=(0.5,)),))
    replaced, *rest = differences(one, other)
    assert replaced == (
        "part",
        {"type": "mill", "size": 1, "sails": [0.5, 0.25]},
        {"type": "press", "size": 2},
    )
    assert replaced.of_type() == ("part.type", "mill", "press")
    assert rest == [
        ("parts.0.size", 1, 5),
        ("parts.0.sails", [0.5, 0.25], [0.5]),
        ("parts.1", {"type": "press", "size": 2}, None),
    ]
    assert rest[-1].of_type() == rest[-1]


LISTS: list[tuple[Any, Any]] = [
    ({"a": 1, "layers": [{"x": 1}, {"x": 2}, {"x": 3}]}, {"a": 2, "layers": [{"x": 1}]}),
    ({"layers": [{"x": 1}]}, {"layers": [{"x": 4}, {"x": 2}, {"x": 3}]}),
    ({"part": {"type": "p", "k": [1, 2]}, "b": None}, {"part": {"type": "q"}, "b": [1]}),
    ({"layers": [{"x": {"y": 1}}, {"x": None}]}, {"layers": None}),
]


@pytest.mark.parametrize(("before", "after"), [*LISTS, *[pair[::-1] for pair in LISTS]])
def test_differences_made_to_the_first_give_the_second(before: Any, after: Any) -> None:
    kept = copy.deepcopy(before)
    assert with_differences(before, differences(before, after)) == after
    assert before == kept


def test_values_lie_flat_under_their_dotted_keys() -> None:
    data = {"a": 3, "b": {"c": None, "d": [2, 5]}, "e": [{"f": 1}, {"g": {"h": "i"}}], "j": [], "k": {}}
    assert flat(data) == {"a": 3, "b.c": None, "b.d": [2, 5], "e.0.f": 1, "e.1.g.h": "i", "j": [], "k": {}}
