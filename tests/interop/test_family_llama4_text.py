"""Llama 4 beyond its certificate: many chunks, and configs that it cannot be."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from registry import SpecError
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import config_of, spec_of

LLAMA4 = family_named("llama4_text")
SMALL = LLAMA4.examples[0]


def spec(**fields):
    return spec_of(LLAMA4, {"model_type": "llama4_text", **SMALL, **fields})


@pytest.mark.parametrize("side", ["left", "right"])
def test_sequences_of_many_chunks_give_the_references_numbers(side):
    reference = random_reference(LLAMA4, {**SMALL, "attention_chunk_size": 13}, seed=2)
    _, model = from_hf(reference)
    torch.manual_seed(1)
    tokens, places = torch.randint(31, (3, 101)), torch.arange(101)
    lengths = torch.tensor([[101], [17], [60]])
    mask = places < lengths if side == "right" else places >= 101 - lengths
    theirs = reference(tokens, attention_mask=mask.long()).logits
    ours = model(tokens, mask=mask)
    assert_close(ours[mask], theirs[mask], rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))


def test_each_layer_is_what_its_place_says():
    layers = spec(num_hidden_layers=8, interleave_moe_layer_step=2).decoder.each_layer()
    assert [layer.self_attention.type for layer in layers] == (["chunked"] * 3 + ["multi_head"]) * 2
    assert [layer.position is None for layer in layers] == [True, True, True, False] * 2
    assert [layer.self_attention.qk_norm is not None for layer in layers] == [True, True, True, False] * 2
    assert [layer.ffn.type for layer in layers] == ["glu", "input_weighted_experts"] * 4


def test_one_without_experts_is_written_without_their_sizes():
    dense = spec(moe_layers=[])
    _, config, _ = config_of(dense)
    assert config["moe_layers"] == []
    assert "intermediate_size" not in config
    assert spec_of(LLAMA4, config) == dense


def test_tuning_is_told_by_a_number_in_the_first_configs():
    assert spec(attn_temperature_tuning=4) == spec(attn_temperature_tuning=True)
    assert spec(attn_temperature_tuning=0).decoder.each_layer()[3].position.type == "none"


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"rope_scaling": YARN},
            "rope_scaling: 'yarn' cannot be represented: a norm after it undoes its factor",
        ),
        ({"no_rope_layers": [1, 0]}, "no_rope_layers: must say of each of 4 layers 0 or 1"),
        ({"layer_types": ["chunked_attention"] * 3}, "layer_types: must say of each layer"),
        (
            {"attention_chunk_size": None, "layer_types": ["chunked_attention"] * 4},
            "layer_types: must say of each layer full_attention",
        ),
    ],
)
def test_what_cannot_be_is_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        spec(**fields)


def test_a_factor_that_no_norm_undoes_is_read():
    assert spec(rope_scaling=YARN, use_qk_norm=False).position.scaling.type == "yarn"
