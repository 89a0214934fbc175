"""Components as plain data and as JSON schemas."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from registry import Kind, Spec, describe, describe_fields, json_schema

PART = Kind("round_part", context=("d_model",), summary="is a part", contract="does a part's work")


class RingSpec(Spec):
    type: Literal["ring"] = "ring"
    n: int = Field(2, ge=1, lt=9)
    """How many."""
    rate: float = Field(gt=0)
    inner: Annotated[Spec | None, PART] = None
    parts: tuple[Annotated[Spec, PART], ...] = ()
    pair: tuple[float, int] = (1.0, 2)
    mode: Literal["a", "b", 3] = "a"
    scale: float | Literal["sqrt"] | None = None
    flag: bool = False
    name: str = "x"
    made: int = Field(default_factory=lambda others: others["n"])


@PART.register("ring", spec=RingSpec, examples=[{"rate": 1}])
class Ring:
    """Goes round.

    Source: none.
    """

    def __init__(
        self, *, n: int, rate: float, inner: Any, parts: Any, pair: Any, mode: Any, scale: Any, flag: bool,
        name: str, made: int, d_model: int,
    ) -> None: ...  # fmt: skip


class DotSpec(Spec):
    type: Literal["dot"] = "dot"


PART.register("dot", spec=DotSpec)(lambda *, d_model: d_model)


def test_a_component_is_described_as_plain_data() -> None:
    found = describe(PART, "ring")
    assert json.loads(json.dumps(found, default=list)) is not None
    assert {key: found[key] for key in ("kind", "name", "summary", "contract", "context", "examples")} == {
        "kind": "round_part",
        "name": "ring",
        "summary": "Goes round.",
        "contract": "does a part's work",
        "context": ["d_model"],
        "examples": [{"rate": 1}],
    }
    assert found["doc"] == "Goes round.\n\nSource: none."


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n", "an integer"),
        ("rate", "a number"),
        ("inner", "a component of kind round_part or null"),
        ("parts", "a list, each item a component of kind round_part"),
        ("pair", "a list of 2: a number, an integer"),
        ("mode", "'a', 'b' or 3"),
        ("scale", "a number, 'sqrt' or null"),
        ("flag", "true or false"),
        ("name", "a string"),
    ],
)
def test_types_are_told_in_plain_words(name: str, words: str) -> None:
    (field,) = [field for field in describe_fields(RingSpec) if field["name"] == name]
    assert field["type"] == words


def test_fields_come_with_bounds_defaults_and_docstrings() -> None:
    fields = {field.pop("name"): field for field in describe_fields(RingSpec)}
    assert "type" not in fields
    bounds = ["at least 1", "below 9"]
    assert fields["n"] == {
        "type": "an integer",
        "bounds": bounds,
        "required": False,
        "default": 2,
        "doc": "How many.",
    }
    assert fields["rate"]["required"] is True
    assert fields["made"]["default"] == "depends on other fields"


def test_the_schema_of_a_kind_offers_each_component_once() -> None:
    schema = json_schema(PART)
    assert schema["oneOf"] == [
        {"enum": ["dot"]},  # the name alone, for it needs no keys
        {"$ref": "#/$defs/DotSpec", "required": ["type"]},
        {"$ref": "#/$defs/RingSpec", "required": ["type"]},
    ]
    ring = schema["$defs"]["RingSpec"]
    assert ring["additionalProperties"] is False
    assert ring["properties"]["n"]["description"] == "How many."
    assert ring["properties"]["inner"]["oneOf"][-1] == {
        "type": "null"
    }  # and refers to the kind it belongs to
    assert ring["properties"]["parts"]["items"] == {"oneOf": schema["oneOf"]}


def test_the_schema_of_a_spec_reaches_the_components_in_it() -> None:
    class HolderSpec(Spec):
        part: Annotated[Spec, PART]

    assert set(json_schema(HolderSpec)["$defs"]) == {"DotSpec", "RingSpec"}
    assert json_schema(RingSpec)["$defs"]["RingSpec"]["required"] == ["rate"]
