"""One walk over a tree of specs: paths, contexts, repeats, and that no check is left out."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest

from registry import Kind, Problem, Spec, Within, check, inner, parse, walk

STONE = Kind("stone", check=("width",))
WALL = Kind("wall", check=("width", "height"))


class StoneSpec(Spec):
    type: Literal["plain"] = "plain"
    size: int = 1

    def check(self, *, width: int) -> None:
        if width % self.size:
            raise ValueError(f"size ({self.size}) must divide width ({width})")


class WallSpec(Spec):
    type: Literal["straight"] = "straight"
    top: Annotated[Spec, STONE] = StoneSpec()
    rest: tuple[Annotated[Spec, STONE], ...] = ()
    stripes: int = 1

    def check(self, *, width: int, height: int) -> None:
        if width < height:
            raise ValueError("too high")

    def contexts(self, *, width: int, **rest: Any) -> dict[str, Within]:
        return {"rest": Within({"width": width // self.stripes}, self.stripes, "stripes")}


STONE.register("plain", spec=StoneSpec)(lambda *, size: size)
WALL.register("straight", spec=WallSpec)(lambda *, top, rest, stripes: top)


class GateSpec(Spec):
    stone: Annotated[Spec | None, STONE] = None
    n: int = 1

    def contexts(self, *, width: int, stone: Spec) -> dict[str, Within]:
        return {"stone": Within({"width": width}, inherited=stone, told_at="n")}


class HouseSpec(Spec):
    width: int = 6
    walls: tuple[Annotated[Spec, WALL], ...] = ()
    gate: GateSpec | None = None
    stone: Annotated[Spec, STONE] = StoneSpec()

    def contexts(self) -> dict[str, Any]:
        wall = {"width": self.width, "height": 2}
        return {
            "walls": Within(wall, 3, "width"),
            "gate": {"width": self.width, "stone": self.stone},
            "stone": (),
        }

    def problems(self, path: str) -> list[Problem]:
        return [] if self.walls else [Problem(path, "has no walls")]


def house(**fields: Any) -> HouseSpec:
    return parse(HouseSpec, {"walls": ["straight"], **fields})


def lines(spec: Spec, path: str = "", **context: Any) -> list[str]:
    return [str(problem) for problem in check(spec, path, **context)]


def test_each_spec_comes_with_its_path_kind_context_and_repeats() -> None:
    spec = house(walls=[{"type": "straight", "rest": ["plain", "plain"], "stripes": 2}])
    found = {place.path: place for place in walk(spec, "here")}
    wall = found["here.walls.0"]
    assert list(found) == ["here", wall.path, *(f"{wall.path}.{key}" for key in ("top", "rest.0", "rest.1"))]
    assert (wall.kind, wall.context, wall.n_times, wall.times_key) == (
        WALL,
        {"width": 6, "height": 2},
        3,
        "here.width",
    )
    stone = found["here.walls.0.rest.1"]
    assert (stone.kind, stone.context, stone.n_times) == (STONE, {"width": 3}, 6)
    assert stone.times_key == "here.walls.0.stripes"
    assert found["here.walls.0.top"].context == wall.context  # nothing else is said of it
    assert found["here"].kind is None


def test_every_check_is_told_at_its_own_path() -> None:
    walls = [{"type": "straight", "top": {"size": 4}, "rest": ["plain", {"type": "plain", "size": 5}]}]
    spec = HouseSpec.model_validate({"walls": walls})
    assert lines(spec, "here") == [
        "here.walls.0.top: size (4) must divide width (6)",
        "here.walls.0.rest.1: size (5) must divide width (6)",
    ]
    assert lines(HouseSpec(), "here") == ["here: has no walls"]


def test_parse_runs_all_of_them() -> None:
    with pytest.raises(ValueError, match=r"^walls\.0\.top: size \(4\) must divide width \(6\)$"):
        house(walls=[{"type": "straight", "top": {"size": 4}}])


def test_what_is_inherited_is_told_where_it_works() -> None:
    spec = HouseSpec.model_validate({"walls": ["straight"], "gate": {}, "stone": {"size": 4}})
    assert lines(spec) == ["gate.n: size (4) must divide width (6)"]
    own = HouseSpec.model_validate({"walls": ["straight"], "gate": {"stone": {"type": "plain", "size": 5}}})
    assert lines(own) == ["gate.stone: size (5) must divide width (6)"]


def test_within_a_spec_that_does_not_fit_only_what_needs_no_context_is_looked_at() -> None:
    class PoolSpec(Spec):
        deep: bool = True

        def check(self) -> None:
            if self.deep:
                raise ValueError("too deep")

    class YardSpec(WallSpec):
        pool: PoolSpec = PoolSpec()

    spec = YardSpec(top=StoneSpec(size=4))
    assert lines(spec, "here", width=1, height=2) == ["here: too high", "here.pool: too deep"]
    assert lines(spec, "here", width=6, height=2) == [
        "here.top: size (4) must divide width (6)",
        "here.pool: too deep",
    ]


def test_a_check_that_is_not_given_its_context_is_a_programming_error() -> None:
    class ShedSpec(Spec):
        wall: Annotated[Spec, WALL] = WallSpec()

        def contexts(self) -> dict[str, Any]:
            return {"wall": {"width": 3, "length": 4}}

    message = (
        r"^here\.wall: the wall check of WallSpec needs height, and the context here has width, length; "
        "the spec around it gives it by `contexts`$"
    )
    with pytest.raises(TypeError, match=message):
        check(ShedSpec(), "here")
    with pytest.raises(TypeError, match=r"^here\.wall: the wall check of WallSpec needs height"):
        parse(ShedSpec, {}, path="here")


def test_a_spec_that_asks_for_context_it_has_not_is_a_programming_error() -> None:
    with pytest.raises(
        TypeError, match=r"^HouseSpec|GateSpec\.contexts needs stone, and the context here has width"
    ):
        check(GateSpec(), "here", width=3)


def test_a_context_for_no_field_is_a_programming_error() -> None:
    class LostSpec(Spec):
        stone: Annotated[Spec, STONE] = StoneSpec()

        def contexts(self) -> dict[str, Any]:
            return {"stones": {"width": 3}}

    with pytest.raises(TypeError, match=r"^LostSpec\.contexts names stones, no field of its own$"):
        parse(LostSpec, {})


def test_a_part_read_without_its_whole_says_what_it_can_alone() -> None:
    assert parse(WallSpec, {"top": {"size": 4}}).top == StoneSpec(size=4)


def test_the_parts_of_an_unsound_spec_are_found_by_form() -> None:
    spec = HouseSpec.model_validate({"walls": [{"type": "straight", "top": {"size": 4}}], "gate": {}})
    assert dict(inner(spec, "here")) == {
        "here.walls.0": spec.walls[0],
        "here.walls.0.top": StoneSpec(size=4),
        "here.gate": spec.gate,
        "here.stone": spec.stone,
    }
