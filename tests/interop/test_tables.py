"""Families that are tables: a sibling is what it says and else its model, and what a table cannot say is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from registry import SpecError
from zoo.interop.decoders import GATED_DECODER, QKV
from zoo.interop.entries import Choice, Field, Head
from zoo.interop.family import family_named
from zoo.interop.matching import spec_of
from zoo.interop.rules import Split, SplitHeads


def read(name: str, **config: Any) -> Any:
    return spec_of(family_named(name), {"model_type": name, **config})


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("olmo", {"clip_qkv": 8.0}, "clip_qkv: 8.0 cannot be represented; only null can"),
        ("stablelm", {"hidden_dropout": 0.1}, "hidden_dropout: 0.1 cannot be represented; only 0.0 can"),
        ("stablelm", {"qk_layernorm": 1}, "qk_layernorm: must be one of false, true, got 1"),
        ("stablelm", {"use_qkv_bias": 1}, "use_qkv_bias: must be one of false, true, got 1"),
        (
            "phi3",
            {"rope_scaling": {"type": "longrope", "short_factor": [1.0] * 48, "long_factor": [1.0, "2"]}},
            "rope_scaling.long_factor: must be a list of numbers, got",
        ),
        ("smollm3", {"use_sliding_window": True}, "use_sliding_window: true cannot be represented"),
        ("smollm3", {"no_rope_layers": [0, 1]}, "no_rope_layers: it must say 1 or 0 for each of 36 layers"),
        ("gptj", {"rotary_dim": 257}, "rotary_dim: 257 of the 256 features of a head cannot turn"),
        ("gptj", {"rotary_dim": None}, "rotary_dim: must be an integer, got null"),
        ("gpt_neo", {"num_layers": 3}, "attention_types: it must say global or local for each of 3 layers"),
        ("gpt_neo", {"attention_layers": ["global"]}, "attention_layers: ['global'] cannot be represented"),
        (
            "falcon",
            {"parallel_attn": False, "new_decoder_architecture": True},
            "parallel_attn: false cannot be represented with new_decoder_architecture",
        ),
        (
            "falcon",
            {"hidden_dropout": 0.1},
            "hidden_dropout: 0.1 cannot be represented where sublayers are parallel; only 0.0 can",
        ),
        (
            "falcon",
            {"parallel_attn": False, "attention_dropout": 0.1},
            "hidden_dropout: 0.0 cannot be represented where attention_dropout is another; only 0.1 can",
        ),
        ("falcon", {"num_ln_in_parallel_attn": 3}, "num_ln_in_parallel_attn: must be 1 or 2, got 3"),
        (
            "falcon",
            {"hidden_size": 64, "n_embed": 48},
            "n_embed: 48 cannot be represented beside hidden_size",
        ),
        ("mpt", {"attn_config": {"clip_qkv": 6}}, "attn_config.clip_qkv: 6 cannot be represented"),
        ("mpt", {"attn_config": {"foo": 6}}, "attn_config.foo: unknown to the mpt mapping (6)"),
        ("mpt", {"expansion_ratio": 2}, "expansion_ratio: 2 cannot be represented; only 4 can"),
        ("gemma3_text", {"use_bidirectional_attention": True}, "use_bidirectional_attention: true cannot be"),
        (
            "gemma3_text",
            {"rope_parameters": {"sliding_attention": {"rope_type": "linear", "factor": 2.0}}},
            "rope_parameters.sliding_attention.rope_type: 'linear' cannot be represented",
        ),
    ],
)
def test_what_a_spec_cannot_say_is_refused_by_its_field(name: str, config: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as error:
        read(name, **config)
    assert said in str(error.value)


def test_a_sibling_differs_in_what_it_says_and_leaves_its_model_as_it_is() -> None:
    before = dict(GATED_DECODER.fields), dict(GATED_DECODER.tensors), str(GATED_DECODER.parts)
    sibling = GATED_DECODER.sibling(
        parts={"decoder": {"layer": {"norm": {"type": "layer_norm"}}}},
        without=("d_k",),
        fields={"d_model": 7, "eps": ("epsilon", 1e-3), "head": Head("Other")},
        tensors={QKV: ("qkv", Split(3)), "layer.layout.norms.1": None},
    )
    assert (dict(GATED_DECODER.fields), dict(GATED_DECODER.tensors), str(GATED_DECODER.parts)) == before
    width, eps = sibling.fields["d_model"], sibling.fields["eps"]
    assert isinstance(width, Field)
    assert isinstance(eps, Field)
    assert (width.name, width.default) == ("hidden_size", 7)
    assert (eps.name, eps.default, eps.path) == ("epsilon", 1e-3, "layer.norm.eps")
    assert "d_k" not in sibling.fields
    assert sibling.parts["decoder"]["layer"]["norm"] == {"type": "layer_norm"}
    assert sibling.parts["decoder"]["layer"]["ffn"] == {"type": "glu"}
    gone = {"layer.layout.norms.1", *QKV}
    assert set(sibling.tensors) == set(GATED_DECODER.tensors) - gone | {QKV}


def test_a_field_has_its_default_its_own_value_or_what_stands_for_null() -> None:
    assert read("falcon").decoder.layer.ffn.d_ff == 4 * 4544
    assert read("falcon", ffn_hidden_size=None).decoder.layer.ffn.d_ff == 4 * 4544
    assert read("falcon", ffn_hidden_size=29).decoder.layer.ffn.d_ff == 29
    assert read("falcon", n_embed=71 * 6).d_model == 71 * 6


def test_a_part_that_a_spec_cannot_have_in_a_family_is_not_written() -> None:
    choice = Choice("layer.self_attention.bias", "bias", False, ((False, False), (True, ["query"])))
    with pytest.raises(ValueError, match=r"layer\.self_attention\.bias has a form that bias cannot say"):
        choice.written(read("starcoder2"))


def test_heads_of_a_group_are_its_queries_then_their_key_and_value() -> None:
    K, split = 2, SplitHeads(2, (3, 1, 1))
    rows = torch.arange(2 * 5 * K)
    query, key, value = split.to_ours([rows])
    assert query.tolist() == [0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15]
    assert key.tolist() == [6, 7, 16, 17]
    assert value.tolist() == [8, 9, 18, 19]
    assert torch.equal(split.to_theirs([query, key, value])[0], rows)
