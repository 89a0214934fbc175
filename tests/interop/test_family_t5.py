"""T5 1.1, whose output is a matrix of its own: transformers makes such a model only from a checkpoint that has both."""

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")

from transformers import T5Config, T5ForConditionalGeneration

from zoo.errors import DataError
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import spec_of

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


def untied(reference):
    """As transformers leaves a model that it has read from a checkpoint with both matrices."""
    reference.lm_head.weight = nn.Parameter(torch.randn_like(reference.lm_head.weight) * 0.3)
    return reference


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
