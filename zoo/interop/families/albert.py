"""ALBERT: Lan et al. 2020. BERT with embeddings of a width of their own, and one layer that is gone through many times.

Several groups of layers (num_hidden_groups), which no published model has, are refused. transformers drops values of an
attention's output, and none of a network's; here a layer drops those of both.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    embedding_size,
    encoder_trial,
    factorised,
    language_head_weights,
    masked_language_head,
    pooled_head,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    sequence_classifier_head,
    token_classifier_head,
)
from zoo.interop.rules import Rules, for_each, module, tensor

_DEFAULTS = Defaults(
    vocab_size=30000, d_model=4096, d_ff=16384, n_heads=64, activation="gelu_new", dropout=0.0
)
_LAYER = {
    "self_attention.query": "attention.query",
    "self_attention.key": "attention.key",
    "self_attention.value": "attention.value",
    "self_attention.output": "attention.dense",
    "layout.norms.0": "attention.LayerNorm",
    "ffn.inner": "ffn",
    "ffn.outer": "ffn_output",
    "layout.norms.1": "full_layer_layer_norm",
}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    config.only("num_hidden_groups", 1)
    max_len = config.integer("max_position_embeddings", 512)
    position = {"type": "learned", "max_len": max_len, "counts_padding": True}
    spec = post_norm_encoder_spec(config, _DEFAULTS, position=position, head=_head(config))
    spec["encoder"] |= {
        "n_layers": config.n_layers("inner_group_num", 1),
        "passes": config.n_layers("num_hidden_layers", 12),
    }
    return factorised(spec, config.integer("embedding_size", 128), always=True)


def _head(config: Config) -> dict[str, Any]:
    dropout = config.number("classifier_dropout_prob", 0.1)
    if config.architecture == "AlbertForMaskedLM":
        activation = config.activation("hidden_act", _DEFAULTS.activation)
        return masked_language_head(config, _DEFAULTS, activation=activation)
    if config.architecture == "AlbertForTokenClassification":
        return token_classifier_head(config, dropout=dropout)
    if config.architecture == "AlbertForSequenceClassification":
        return sequence_classifier_head(config, dropout=dropout)
    return pooled_head(config, "pooler.weight")


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = post_norm_encoder_config(spec, "Albert")
    return {
        **config,
        "num_hidden_layers": spec.encoder.passes,
        "num_hidden_groups": 1,
        "inner_group_num": len(spec.encoder.each_layer()),
        "max_position_embeddings": spec.inputs.position.max_len,
        "embedding_size": embedding_size(spec),
        **({"classifier_dropout_prob": spec.head.dropout} if hasattr(spec.head, "n_classes") else {}),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type in ("none", "pooled") else "albert."
    embeddings, layers = f"{prefix}embeddings", f"{prefix}encoder.albert_layer_groups.0.albert_layers.{{i}}"
    language = language_head_weights("predictions.decoder", "predictions.dense", "predictions.LayerNorm")
    return [
        *tensor("inputs.weight", f"{embeddings}.word_embeddings.weight"),
        *tensor("inputs.types.weight", f"{embeddings}.token_type_embeddings.weight"),
        *tensor("inputs.position.table.weight", f"{embeddings}.position_embeddings.weight"),
        *module("inputs.norm", f"{embeddings}.LayerNorm"),
        *module("inputs.to_model", f"{prefix}encoder.embedding_hidden_mapping_in"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            *(
                module(f"encoder.layers.{{i}}.{ours}", f"{layers}.{theirs}")
                for ours, theirs in _LAYER.items()
            ),
        ),
        *(language if spec.head.type == "masked_language_model" else module("head.dense", f"{prefix}pooler")),
        *module("head.output", "classifier"),
    ]


_SMALL = {
    "vocab_size": 31,
    "embedding_size": 7,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
    "type_vocab_size": 3,
}

FAMILY = Family(
    name="albert",
    architectures=(
        "AlbertForMaskedLM",
        "AlbertForSequenceClassification",
        "AlbertForTokenClassification",
        "AlbertModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={
        "down_scale_factor": 1,
        "gap_size": 0,
        "net_structure_type": 0,
        "position_embedding_type": "absolute",
    },
    bookkeeping=(
        "classifier_dropout_prob",  # of a head that is not this config's
        "num_memory_blocks",  # of the authors' code; nothing reads it
        "tie_word_embeddings",  # read where there is a head to tie
    ),
    prefix="albert.",
    ignored=(r"embeddings\.position_ids$", r"^albert\.pooler\.", r"^sop_classifier\."),
    read_as={"AlbertForPreTraining": "AlbertForMaskedLM"},
    trial=encoder_trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["AlbertModel"], "embedding_size": 12},
        {
            **_SMALL,
            "inner_group_num": 2,
            "num_hidden_layers": 2,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {
            **_SMALL,
            "architectures": ["AlbertForSequenceClassification"],
            "num_labels": 5,
            "num_hidden_layers": 2,
        },
        {
            **_SMALL,
            "architectures": ["AlbertForTokenClassification"],
            "num_labels": 4,
            "num_hidden_layers": 1,
        },
    ),
    published=(
        Published(
            source="huggingface.co/albert/albert-base-v2",
            config={
                "architectures": ["AlbertForMaskedLM"],
                "attention_probs_dropout_prob": 0,
                "bos_token_id": 2,
                "classifier_dropout_prob": 0.1,
                "down_scale_factor": 1,
                "embedding_size": 128,
                "eos_token_id": 3,
                "gap_size": 0,
                "hidden_act": "gelu_new",
                "hidden_dropout_prob": 0,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "inner_group_num": 1,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-12,
                "max_position_embeddings": 512,
                "net_structure_type": 0,
                "num_attention_heads": 12,
                "num_hidden_groups": 1,
                "num_hidden_layers": 12,
                "num_memory_blocks": 0,
                "pad_token_id": 0,
                "type_vocab_size": 2,
                "vocab_size": 30000,
            },
        ),
    ),
)
