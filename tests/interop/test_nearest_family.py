"""What no family writes: the nearest one is named, with everything in which it differs."""

from __future__ import annotations

from typing import Any

import pytest

import zoo
from registry import SpecError, parse
from zoo.interop.canonical import canonical, resolved
from zoo.interop.matching import config_of
from zoo.kinds import MODEL

HEADS = {"type": "multi_head", "n_heads": 3}
NORM = {"type": "rms_norm", "casts_before_gain": True}


def rotary_decoder(**layer: Any) -> Any:
    base = {"layout": "pre_norm", "norm": NORM, "self_attention": HEADS, "ffn": "glu", "dropout": 0.0}
    data = {
        "type": "decoder_only",
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": 31, "scale": "none"},
        "position": "rotary",
        "decoder": {"n_layers": 2, "layer": {**base, **layer}},
        "head": {"type": "language_model", "predicts": "tokens", "tied": False},
    }
    return parse(MODEL.entry("decoder_only").spec, data, path="model")


def refusal(spec: Any) -> str:
    with pytest.raises(SpecError) as error:
        config_of(spec)
    return str(error.value)


def test_a_width_left_to_the_model_is_written_out_before_families_are_asked() -> None:
    family, config, _ = config_of(rotary_decoder(dropout=0.0))
    assert (family.name, config["intermediate_size"]) == ("llama", 2 * 4 * 12 // 3)
    rounded = resolved(rotary_decoder(ffn={"type": "glu", "multiple_of": 5}))
    assert rounded.decoder.layer.ffn.d_ff == 35
    assert canonical(rounded) == canonical(rotary_decoder(ffn={"type": "glu", "d_ff": 35}))


def test_rotary_positions_rms_norm_a_gated_network_and_dropout_are_nearest_to_phi3_with_all_that_differs() -> (
    None
):
    spec = rotary_decoder(dropout=0.1, ffn={"type": "glu", "dropout": 0.2})
    assert refusal(spec) == (
        "model: no config of transformers says this model exactly; the nearest family is phi3: "
        "model.decoder.input_dropout is 0.1, and a config of it gives 0.0; "
        "model.decoder.layers.0.ffn.dropout is 0.2, and a config of it gives 0.0 (in all 2 layers)"
    )


def test_an_encoder_decoder_is_nearest_to_one_with_parts_and_numbers_that_differ() -> None:
    said = refusal(zoo.load("quickstart").model)
    assert "the nearest family is marian: model.encoder.position.max_len is null" in said
    for key in ("position.layout is 'interleaved'", "self_attention.bias is False", "head.bias is False"):
        assert key in said
    assert (
        "padding_id" not in said
    )  # the family's example has one, and the family writes models without as well


def test_an_encoder_of_tokens_is_nearest_to_one_of_tokens() -> None:
    data = {
        "type": "encoder_only",
        "d_model": 12,
        "inputs": {"type": "tokens", "vocab_size": 31, "scale": 3.0},
        "position": "learned",
        "encoder": {
            "n_layers": 2,
            "layer": {"layout": "pre_norm", "self_attention": {**HEADS, "bias": True}, "ffn": "mlp"},
        },
        "head": "none",
    }
    said = refusal(parse(MODEL.entry("encoder_only").spec, data, path="model"))
    assert "the nearest family is bert: " in said
    assert (
        "layers.0.layout.type is 'pre_norm', and a config of it gives 'post_norm' (in all 2 layers)" in said
    )
    assert "model.inputs.scale is 3.0, and a config of it gives 'none'" in said


def test_what_is_told_to_differ_once_mended_is_written() -> None:
    spec = rotary_decoder(dropout=0.1, ffn={"type": "glu", "dropout": 0.2})
    mended = spec.model_copy(update={"decoder": rotary_decoder().decoder})
    assert config_of(mended)[0].name == "llama"
