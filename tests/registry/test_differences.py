"""Where two specs differ."""

from __future__ import annotations

from typing import Annotated, Literal

from registry import Difference, Kind, Spec, differences


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
