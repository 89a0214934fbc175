"""The law by which keys are laid over a part."""

from __future__ import annotations

import json
from typing import Any

import pytest

import presets
from presets import merged
from zoo.assembly.merging import merged as merged_specs
from zoo.components.norm.rms_norm import RMSNormSpec

RMS = {"type": "rms_norm", "eps": 1}
CASES: list[tuple[Any, Any, Any]] = [
    (RMS, {"eps": 2}, {"type": "rms_norm", "eps": 2}),
    (RMS, {"type": "rms_norm"}, RMS),
    (RMS, {"type": "none"}, {"type": "none"}),
    (RMS, "none", "none"),
    (RMS, None, None),
    ("rms_norm", {"eps": 2}, {"type": "rms_norm", "eps": 2}),
    ("rms_norm", {"type": "none"}, {"type": "none"}),
    ({"eps": 1}, {"type": "rms_norm"}, {"type": "rms_norm"}),  # of a type that is not written
    ({"norm": RMS, "n": 1}, {"norm": {"eps": 2}}, {"norm": {"type": "rms_norm", "eps": 2}, "n": 1}),
    ([RMS, RMS], [{"eps": 2}], [{"eps": 2}]),
    (None, {"eps": 2}, {"eps": 2}),
]

HEADS, LSTM = {"type": "multi_head", "n_heads": 2}, {"type": "lstm"}
SLOTS: list[tuple[Any, Any, Any]] = [
    ({"self_attention": HEADS, "dropout": 1}, {"mixer": LSTM}, {"mixer": LSTM, "dropout": 1}),
    ({"self_attention": None, "mixer": LSTM}, {"self_attention": "none"}, {"self_attention": "none"}),
    ({"self_attention": HEADS, "mixer": None}, {"mixer": "lstm"}, {"mixer": "lstm"}),
    ({"mixer": LSTM}, {"mixer": {"bias": True}}, {"mixer": {**LSTM, "bias": True}}),
    ({"self_attention": HEADS}, {"mixer": None}, {"self_attention": HEADS, "mixer": None}),
    (
        {"self_attention": HEADS},
        {"self_attention": {"n_heads": 3}, "mixer": LSTM},
        {"self_attention": {**HEADS, "n_heads": 3}, "mixer": LSTM},
    ),
]


@pytest.mark.parametrize(("part", "changes", "whole"), CASES)
def test_another_type_replaces_a_part_and_other_keys_change_it(part: Any, changes: Any, whole: Any) -> None:
    assert merged(part, changes) == whole


@pytest.mark.parametrize(("part", "changes", "whole"), CASES[:7])
def test_overrides_go_by_the_same_law(part: Any, changes: Any, whole: Any) -> None:
    if isinstance(changes, dict):
        words = [f"model.norm.{key}={value}" for key, value in changes.items()]
        assert presets.read({"model": {"norm": part}}, overrides=words).data == {"model": {"norm": whole}}


@pytest.mark.parametrize(("part", "changes", "whole"), SLOTS)
def test_what_is_given_takes_the_slot_from_what_was_inherited(part: Any, changes: Any, whole: Any) -> None:
    replaced = set[tuple[str, ...]]()
    assert merged(part, changes, replaced=replaced) == whole
    assert {("self_attention",), ("mixer",)} & replaced >= {
        (key,) for key in part if key not in whole and key != "dropout"
    }
    words = [f"model.layer.{key}={json.dumps(value)}" for key, value in changes.items()]
    found = presets.read({"model": {"layer": part}}, overrides=words).data["model"]["layer"]
    assert {key for key in found if found[key] is not None} == {
        key for key in whole if whole[key] is not None
    }


def test_a_key_of_a_part_takes_its_slot_too() -> None:
    layer = {"self_attention": HEADS}
    found = presets.read({"model": {"layer": layer}}, overrides=["model.layer.mixer.type=lstm"])
    assert found.data == {"model": {"layer": {"mixer": LSTM}}}
    assert "self_attention" not in found.locate("model.layer.self_attention.n_heads")


def test_a_type_given_by_an_override_replaces_what_had_none() -> None:
    found = presets.read({"model": {"norm": {"eps": 1}}}, overrides=["model.norm.type=rms_norm"])
    assert found.data == {"model": {"norm": {"type": "rms_norm"}}}


def test_nothing_given_is_changed_in_place_and_what_stands_alone_is_named() -> None:
    part, replaced = {"a": {"b": 1}, "c": RMS}, set[tuple[str, ...]]()
    assert merged(part, {"a": {"b": 2}, "c": {"type": "x"}}, keys=("at",), replaced=replaced) == {
        "a": {"b": 2},
        "c": {"type": "x"},
    }
    assert part == {"a": {"b": 1}, "c": RMS}
    assert replaced == {("at", "a", "b"), ("at", "c")}


def test_parts_that_are_specs_already_are_merged_as_what_they_say() -> None:
    base = {"norm": RMSNormSpec(eps=0.5), "n": 1}
    found = merged_specs(base, {"norm": {"bias": True}})
    assert (found["norm"]["eps"], found["norm"]["bias"], found["n"]) == (0.5, True, 1)
