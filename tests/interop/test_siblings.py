"""Encoders and pairs that are siblings: what sets one apart is refused in the other, or read as it is."""

from __future__ import annotations

from typing import Any

import pytest

from registry import SpecError
from zoo.interop.family import family_named
from zoo.interop.matching import spec_of


def read(name: str, **config: Any) -> Any:
    return spec_of(family_named(name), {"model_type": family_named(name).name, **config})


@pytest.mark.parametrize(
    ("name", "config", "said"),
    [
        ("xlm_roberta", {"pad_token_id": -2}, "pad_token_id: positions begin after it"),
        ("camembert", {"tie_word_embeddings": False}, "tie_word_embeddings: false cannot be represented"),
        ("hubert", {"conv_pos_batch_norm": True}, "conv_pos_batch_norm: true cannot be represented"),
        ("hubert", {"feat_proj_layer_norm": False}, "feat_proj_layer_norm: false cannot be represented"),
        ("hubert", {"adapter_attn_dim": 16}, "adapter_attn_dim: unknown to the hubert mapping (16)"),
        ("mbart", {"normalize_before": False}, "normalize_before: false cannot be represented"),
        ("mbart", {"tie_word_embeddings": False}, "tie_word_embeddings: false cannot be represented"),
        ("pegasus", {"normalize_embedding": True}, "normalize_embedding: true cannot be represented"),
        ("pegasus", {"static_position_embeddings": False}, "static_position_embeddings: false cannot be"),
        ("mt5", {"feed_forward_proj": "gated-laplace"}, "feed_forward_proj: the activation 'laplace' cannot"),
        ("beit", {"image_size": [8, 16]}, "image_size: must be an integer"),
        (
            "beit",
            {"image_size": 20, "patch_size": 16},
            "image_size: patches of 16 pixels leave some of 20 over",
        ),
        (
            "big_bird",
            {"attention_type": "sparse"},
            "attention_type: must be 'block_sparse' or 'original_full', got",
        ),
        ("big_bird", {"num_random_blocks": 0}, "num_random_blocks: must be at least 1, without which"),
        ("big_bird", {"is_decoder": True}, "is_decoder: true cannot be represented"),
        (
            "beit",
            {"use_relative_position_bias": True, "use_shared_relative_position_bias": True},
            "use_shared_relative_position_bias: a table for all layers beside one for each",
        ),
        (
            "deit",
            {"architectures": ["DeiTForImageClassificationWithTeacher"]},
            "architectures: 'DeiTForImageClassificationWithTeacher' cannot be represented",
        ),
    ],
)
def test_what_a_spec_cannot_say_is_refused_by_its_field(name: str, config: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError) as error:
        read(name, **config)
    assert said in str(error.value)


def test_umt5_has_a_table_in_every_layer_and_mt5_one_for_all() -> None:
    every, one = read("umt5"), read("mt5")
    assert every.position.type == "none"
    assert {layer.position.type for layer in every.encoder.each_layer()} == {"relative_buckets"}
    assert one.position.type == "relative_buckets"
    assert {layer.position for layer in one.encoder.each_layer()} == {None}


def test_an_output_of_its_own_is_scaled_in_no_form_of_mt5() -> None:
    for tied in (True, False):
        head = read("mt5", tie_word_embeddings=tied).head
        assert (head.tied, head.scale) == (False, "none")
    assert read("umt5").head.scale == "rsqrt_d_model"
    assert read("umt5", tie_word_embeddings=False).head.scale == "none"


def test_beits_deeper_layers_are_skipped_more_often() -> None:
    layouts = [
        layer.layout for layer in read("beit", num_hidden_layers=4, drop_path_rate=0.3).encoder.each_layer()
    ]
    assert [layout.drop for layout in layouts] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    alone = read("beit", drop_path_rate=0.0)
    assert {layer.layout.type for layer in alone.encoder.each_layer()} == {"layer_scale"}
