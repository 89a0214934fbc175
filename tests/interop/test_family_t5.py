"""T5 1.1, whose output is a matrix of its own: transformers makes such a model only from a checkpoint that has both."""

from dataclasses import replace

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")

from transformers import T5Config, T5ForConditionalGeneration

import presets
from registry import parse
from zoo.assembly.build import build, n_parameters
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.errors import DataError
from zoo.interop import certify
from zoo.interop.certify import GRADIENT_BAR, LOGITS_BAR
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import canonical, spec_of

SMALL = {
    "vocab_size": 31,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 29,
    "num_layers": 2,
    "num_decoder_layers": 1,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}

PUBLISHED = {  # huggingface.co/google/t5-v1_1-base
    "architectures": ["T5ForConditionalGeneration"],
    "d_ff": 2048,
    "d_kv": 64,
    "d_model": 768,
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "feed_forward_proj": "gated-gelu",
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "model_type": "t5",
    "num_decoder_layers": 12,
    "num_heads": 12,
    "num_layers": 12,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "tie_word_embeddings": False,
    "use_cache": True,
    "vocab_size": 32128,
}


def untied(reference):
    """As transformers leaves a model that it has read from a checkpoint with both matrices."""
    reference.lm_head.weight = nn.Parameter(torch.randn_like(reference.lm_head.weight) * 0.3)
    return reference


def test_t5_1_1_computes_what_the_reference_computes(monkeypatch):
    made, family = certify.random_reference, replace(family_named("t5"), examples=(SMALL,), published=())
    monkeypatch.setattr(certify, "random_reference", lambda *args, **named: untied(made(*args, **named)))
    monkeypatch.setattr(certify, "family_named", lambda name: family)
    found = certify.certify("t5", seeds=(0, 1))
    assert found.failures == []
    assert found.logits_error <= LOGITS_BAR
    assert found.gradient_error <= GRADIENT_BAR
    assert found.n_batches == 6
    assert found.n_generations > 0
    assert found.n_searches > 0


def test_the_preset_is_the_published_config_and_counts_the_output_matrix():
    spec = spec_of(family_named("t5"), PUBLISHED)
    preset = parse(EncoderDecoderSpec, presets.read("t5_v1_1_base").data["model"])
    assert canonical(preset) == canonical(spec)
    assert preset.initialization == spec.initialization
    with torch.device("meta"):
        reference = untied(T5ForConditionalGeneration(T5Config(**PUBLISHED)))
        ours = n_parameters(build(preset, device="meta"))
    assert ours == reference.num_parameters() == 247_577_856


def test_a_model_that_transformers_loaded_from_a_checkpoint_of_1_1_is_read(tmp_path):
    reference = untied(T5ForConditionalGeneration(T5Config(**SMALL))).eval()
    reference.save_pretrained(tmp_path)
    loaded = T5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    assert loaded.config.tie_word_embeddings  # which is not so
    source, target = torch.randint(31, (2, 7)), torch.randint(31, (2, 5))
    for read in (loaded, tmp_path):
        spec, model = from_hf(read)
        assert (spec.head.tied, spec.head.scale) == (False, "none")
        expected = loaded(input_ids=source, decoder_input_ids=target).logits
        torch.testing.assert_close(model(source, target), expected, rtol=2e-5, atol=2e-5)


def test_an_output_that_is_not_the_tied_matrix_is_refused_where_outputs_are_scaled():
    reference = untied(T5ForConditionalGeneration(T5Config(**{**SMALL, "tie_word_embeddings": True})))
    with pytest.raises(DataError, match=r"'lm_head.weight' .* differs"):
        from_hf(reference)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"feed_forward_proj": "gelu"},
        {"feed_forward_proj": "gated-gelu"},
        {"feed_forward_proj": "gated-relu"},
        {"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"},
        {"feed_forward_proj": "gated-gelu", "is_gated_act": False},
        {"feed_forward_proj": "relu", "dense_act_fn": "silu", "is_gated_act": True},
    ],
)
def test_the_network_is_what_transformers_makes_of_the_fields_as_published_and_as_saved_again(fields):
    theirs = T5Config(**fields)
    for config in (fields, theirs.to_dict()):
        ffn = spec_of(family_named("t5"), {"model_type": "t5", **config}).encoder.layer.ffn
        assert (ffn.type == "glu") == theirs.is_gated_act
        names = {"gelu_new": "gelu_tanh"}
        assert ffn.activation == names.get(theirs.dense_act_fn, theirs.dense_act_fn)
