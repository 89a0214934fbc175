"""What the mappings of the encoder families cannot represent is refused, and the field named."""

from __future__ import annotations

import pytest

from registry import SpecError
from zoo.interop.family import family_named
from zoo.interop.matching import spec_of

RELATIVE = {"relative_attention": True, "pos_att_type": "p2c|c2p", "position_biased_input": False}
UNREAD = {"relative_attention": True, "position_biased_input": False}
SEQUENCE = {"architectures": ["ModernBertForSequenceClassification"]}


@pytest.mark.parametrize(
    ("family", "config", "message"),  # the last field is the one refused
    [
        (
            "bert",
            {"position_embedding_type": "relative_key"},
            "'relative_key' cannot be represented; only 'absolute' can",
        ),
        ("bert", {"is_decoder": True}, "true cannot be represented"),
        ("bert", {"add_cross_attention": True}, "true cannot be represented"),
        ("bert", {"pruned_heads": {"0": [1]}}, "cannot be represented"),
        ("bert", {"tie_word_embeddings": False}, "false cannot be represented"),
        ("bert", {"hidden_act": "selu"}, "the activation 'selu' cannot be represented"),
        ("bert", {"embedding_size": 128}, "unknown to the bert mapping"),
        ("bert", {"architectures": ["BertLMHeadModel"]}, "'BertLMHeadModel' cannot be represented"),
        (
            "bert",
            {"architectures": ["BertForQuestionAnswering"]},
            "'BertForQuestionAnswering' cannot be represented",
        ),
        ("roberta", {"position_embedding_type": "relative_key_query"}, "cannot be represented"),
        ("roberta", {"is_decoder": True}, "true cannot be represented"),
        ("roberta", {"pad_token_id": None}, "must be an integer"),
        ("roberta", {"pad_token_id": -1}, "positions begin after it"),
        ("distilbert", {"sinusoidal_pos_embds": True}, "true cannot be represented; only false can"),
        ("distilbert", {"attention_window": 4}, "unknown to the distilbert mapping"),
        ("deberta-v2", {**RELATIVE, "conv_kernel_size": 3}, "3 cannot be represented; only 0 can"),
        ("deberta-v2", {**RELATIVE, "position_biased_input": True}, "absolute beside relative positions"),
        ("deberta-v2", {**UNREAD, "pos_att_type": "c2p|p2p"}, "must be some of c2p and p2c"),
        ("deberta-v2", {**UNREAD, "pos_att_type": None}, "relative positions that nothing reads"),
        ("deberta-v2", {**RELATIVE, "norm_rel_ebd": "batch_norm"}, "'batch_norm' cannot be represented"),
        ("deberta-v2", {**RELATIVE, "attention_head_size": 5}, "5 cannot be represented; only 64 can"),
        ("deberta-v2", {"norm_rel_ebd": "layer_norm"}, "cannot be represented without relative_attention"),
        ("deberta-v2", {"embedding_size": 7}, "positions added before the projection"),
        ("modernbert", {"attention_dropout": 0.1}, "it would drop the attention's output"),
        ("modernbert", {"sparse_prediction": True}, "true cannot be represented"),
        ("modernbert", {"layer_types": ["full_attention"]}, "for each of the 22 layers"),
        ("modernbert", {"global_attn_every_n_layers": 0}, "must be at least 1"),
        ("modernbert", {"local_rope_theta": None}, "must be a number"),
        (
            "modernbert",
            {"rope_scaling": {"rope_type": "linear", "factor": 2.0}},
            "cannot be represented; only null can",
        ),
        ("modernbert", {**SEQUENCE, "classifier_pooling": "max"}, "must be cls or mean"),
        ("longformer", {"attention_window": [512]}, "one for each layer"),
        ("longformer", {"attention_window": 511}, "must be even and at least 4"),
        ("longformer", {"attention_window": 2}, "must be even and at least 4"),
        ("longformer", {"attention_mode": "sliding_chunks"}, "only 'longformer' can"),
        ("longformer", {"ignore_attention_mask": True}, "true cannot be represented"),
    ],
)
def test_a_field_that_cannot_be_represented_is_refused_by_name(family, config, message):
    with pytest.raises(SpecError, match=message) as caught:
        spec_of(family_named(family), {"model_type": family, **config})
    assert f"config.json: {list(config)[-1]}: " in str(caught.value)


def test_the_scaling_of_modernberts_rotary_positions_is_refused_where_it_stands():
    config = {
        "model_type": "modernbert",
        "rope_parameters": {"full_attention": {"rope_type": "yarn", "factor": 2.0}},
    }
    with pytest.raises(
        SpecError, match=r"rope_parameters\.full_attention\.rope_type: 'yarn' cannot be represented"
    ):
        spec_of(family_named("modernbert"), config)
