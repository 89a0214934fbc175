"""MPNet: Song et al. 2020. RoBERTa's layers and positions, and T5's biases of the scores, one table for all layers.

In transformers the padding id is 1 whatever the config says, and there are 32 buckets whatever the table's size is:
other values are refused.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    encoder_trial,
    language_head_weights,
    masked_language_head,
    offset_position,
    pooled_head,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    sequence_classifier_head,
    token_classifier_head,
)
from zoo.interop.rules import Rules, for_each, module, tensor

_DEFAULTS = Defaults(vocab_size=30527, n_types=0, padding_id=1)
_OURS = (
    "self_attention.query",
    "self_attention.key",
    "self_attention.value",
    "self_attention.output",
    "layout.norms.0",
    "ffn.inner",
    "ffn.outer",
    "layout.norms.1",
)
_THEIRS = (
    "attention.attn.q",
    "attention.attn.k",
    "attention.attn.v",
    "attention.attn.o",
    "attention.LayerNorm",
    "intermediate.dense",
    "output.dense",
    "output.LayerNorm",
)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    config.only("pad_token_id", 1)
    position = {
        "type": "combined",
        "embedded": offset_position(config, max_len=512, padding_id=1),
        "scored": {"type": "relative_buckets"},
    }
    return post_norm_encoder_spec(config, _DEFAULTS, position=position, head=_head(config))


def _head(config: Config) -> dict[str, Any]:
    dropout = config.number("hidden_dropout_prob", 0.1)
    if config.architecture == "MPNetForMaskedLM":
        return masked_language_head(config, _DEFAULTS, activation="gelu")
    if config.architecture == "MPNetForTokenClassification":
        return token_classifier_head(config, dropout=dropout)
    if config.architecture == "MPNetForSequenceClassification":
        return sequence_classifier_head(config, dropout=dropout, pooled_dropout=dropout)
    return pooled_head(config)


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = post_norm_encoder_config(spec, "MPNet")
    del config["type_vocab_size"]
    embedded = spec.position.embedded
    return {**config, "max_position_embeddings": embedded.max_len + embedded.offset}


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type in ("none", "pooled") else "mpnet."
    embeddings, layer = f"{prefix}embeddings", f"{prefix}encoder.layer.{{i}}"
    classifier = "classifier" if spec.head.type == "token_classifier" else "classifier.out_proj"
    dense = "pooler.dense" if spec.head.type == "pooled" else "classifier.dense"
    language = language_head_weights("lm_head.decoder", "lm_head.dense", "lm_head.layer_norm")
    return [
        *tensor("inputs.weight", f"{embeddings}.word_embeddings.weight"),
        *tensor("encoder.position.embedded.table.weight", f"{embeddings}.position_embeddings.weight"),
        *tensor("encoder.position.scored.table.weight", f"{prefix}encoder.relative_attention_bias.weight"),
        *module("encoder.input_norm", f"{embeddings}.LayerNorm"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            *(
                module(f"encoder.layers.{{i}}.{ours}", f"{layer}.{theirs}")
                for ours, theirs in zip(_OURS, _THEIRS, strict=True)
            ),
        ),
        *(language if spec.head.type == "masked_language_model" else module("head.dense", dense)),
        *module("head.output", classifier),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
}

FAMILY = Family(
    name="mpnet",
    architectures=(
        "MPNetForMaskedLM",
        "MPNetForSequenceClassification",
        "MPNetForTokenClassification",
        "MPNetModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"relative_attention_num_buckets": 32},
    bookkeeping=("tie_word_embeddings",),  # read where there is a head to tie
    prefix="mpnet.",
    ignored=(r"embeddings\.position_ids$", r"^mpnet\.pooler\."),
    trial=encoder_trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["MPNetModel"]},
        {
            **_SMALL,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {**_SMALL, "architectures": ["MPNetForSequenceClassification"], "num_labels": 5},
        {**_SMALL, "architectures": ["MPNetForTokenClassification"], "num_labels": 4, "num_hidden_layers": 1},
    ),
    published=(
        Published(
            source="huggingface.co/microsoft/mpnet-base",
            config={
                "architectures": ["MPNetForMaskedLM"],
                "attention_probs_dropout_prob": 0.1,
                "bos_token_id": 0,
                "eos_token_id": 2,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 514,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "relative_attention_num_buckets": 32,
                "vocab_size": 30527,
            },
        ),
    ),
)
