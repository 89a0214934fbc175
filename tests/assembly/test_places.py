"""Which part stands where in a run, and that the limits of each are looked at."""

from __future__ import annotations

import pytest

import presets
import zoo
from registry import SpecError, inner, walk
from zoo.components.norm.layer_norm import LayerNormSpec
from zoo.components.position.rotary import RotarySpec
from zoo.components.rotary_scaling.ntk import NTKScalingSpec
from zoo.generation.penalties.gnmt import GnmtPenaltySpec


@pytest.mark.parametrize("name", presets.names())
def test_the_limits_of_every_part_of_a_preset_are_looked_at(name: str) -> None:
    run = zoo.load(name)
    parts, checked = dict(inner(run)), {id(place.spec) for place in walk(run) if place.is_checked}
    stacks = [parts[path] for path in ("model.encoder", "model.decoder") if path in parts]
    nowhere = {"model.position"} if all(stack.position for stack in stacks) else set()  # each has its own
    assert {path for path, part in parts.items() if id(part) not in checked} == nowhere


def refuse(spec: type, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: object, **context: object) -> None:
        raise ValueError(f"never with {', '.join(context) or 'nothing'}")

    monkeypatch.setattr(spec, "check", check)


def refused(*words: str) -> list[tuple[str, str]]:
    with pytest.raises(SpecError) as caught:
        zoo.load("quickstart", *words)
    return sorted((problem.path, problem.message) for problem in caught.value.problems)


def test_a_length_penalty_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(GnmtPenaltySpec, monkeypatch)
    assert refused("generation={type: beam, length_penalty: gnmt}") == [
        ("generation.length_penalty", "never with nothing")
    ]


def test_a_norm_of_queries_is_told_at_its_own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = "{type: rms_norm}"
    refuse(LayerNormSpec, monkeypatch)
    parts = [f"model.{stack}.layer.norm={plain}" for stack in ("encoder", "decoder")]
    parts += [f"model.{stack}.final_norm=null" for stack in ("encoder", "decoder")]
    lines = refused(*parts, "model.encoder.layer.self_attention.qk_norm=layer_norm")
    # The decoder is like the encoder: told once, where it was made.
    assert lines == [("model.encoder.layer.self_attention.qk_norm", "never with d_model")]


def test_positions_are_looked_at_for_each_layer_that_uses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(NTKScalingSpec, monkeypatch)
    scaled = "model.position={type: rotary, scaling: {type: ntk, factor: 2.0}}"
    another = "model.decoder.layer.self_attention={type: multi_head, n_heads: 2}"
    assert refused(scaled) == [("model.encoder.layer.self_attention", "never with size")]
    assert refused(scaled, another) == [
        (f"model.{stack}.layer.self_attention", "never with size") for stack in ("decoder", "encoder")
    ]
    own = "model.encoder.layer.position={type: rotary, scaling: {type: ntk, factor: 2.0}}"
    assert ("model.encoder.layer.position.scaling", "never with size") in refused(own)
    refuse(RotarySpec, monkeypatch)
    assert refused("model.position=rotary", another) == [
        (f"model.{stack}.layer.self_attention", "never with d_model, n_heads, d_k, role")
        for stack in ("decoder", "encoder")
    ]
