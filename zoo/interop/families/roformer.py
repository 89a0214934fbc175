"""RoFormer: Su et al. 2021. BERT's layers with rotary positions; embeddings may have a width of their own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zoo.components.position.sinusoidal import sinusoids
from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    embedding_size,
    encoder_trial,
    factorised,
    language_head_weights,
    masked_language_head,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    post_norm_encoder_weights,
    token_classifier_head,
)
from zoo.interop.rules import Rules, module, table

_DEFAULTS = Defaults(vocab_size=50000)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    max_len = config.integer("max_position_embeddings", 1536)
    position = {"type": "rotary", "pairing": "interleaved", "max_len": max_len}
    spec = post_norm_encoder_spec(config, _DEFAULTS, position=position, head=_head(config))
    return factorised(spec, config.integer("embedding_size", None) or spec["d_model"])


def _head(config: Config) -> dict[str, Any]:
    activation, dropout = config.activation("hidden_act", "gelu"), config.number("hidden_dropout_prob", 0.1)
    if config.architecture == "RoFormerForMaskedLM":
        return masked_language_head(config, _DEFAULTS, activation=activation)
    if config.architecture == "RoFormerForTokenClassification":
        return token_classifier_head(config, dropout=dropout)
    if config.architecture == "RoFormerForSequenceClassification":
        return {
            "type": "pooled_classifier",
            "n_classes": config.n_labels(),
            "activation": activation,
            "dropout": dropout,
            "pooled_dropout": dropout,
        }
    return {"type": "none"}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    return {
        **post_norm_encoder_config(spec, "RoFormer"),
        "max_position_embeddings": spec.position.max_len,
        "embedding_size": embedding_size(spec),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type == "none" else "roformer."
    d_k = spec.d_model // spec.encoder.each_layer()[0].self_attention.n_heads
    classifier = "classifier" if spec.head.type == "token_classifier" else "classifier.out_proj"
    head = "cls.predictions"
    language = language_head_weights(
        f"{head}.decoder", f"{head}.transform.dense", f"{head}.transform.LayerNorm"
    )

    def turns() -> Tensor:
        return sinusoids(torch.arange(spec.position.max_len), d_k, 10000.0, "concatenated").float()

    return [
        *post_norm_encoder_weights(spec, "roformer."),
        *table(f"{prefix}encoder.embed_positions.weight", turns),
        *(
            language
            if spec.head.type == "masked_language_model"
            else module("head.dense", "classifier.dense")
        ),
        *module("head.output", classifier),
    ]


_SMALL = {
    "vocab_size": 31,
    "embedding_size": 7,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
    "type_vocab_size": 3,
}

FAMILY = Family(
    name="roformer",
    architectures=(
        "RoFormerForMaskedLM",
        "RoFormerForSequenceClassification",
        "RoFormerForTokenClassification",
        "RoFormerModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"rotary_value": False},
    bookkeeping=("tie_word_embeddings",),  # read where there is a head to tie
    prefix="roformer.",
    trial=encoder_trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["RoFormerModel"], "embedding_size": 12},
        {
            **_SMALL,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {**_SMALL, "architectures": ["RoFormerForSequenceClassification"], "num_labels": 5},
        {
            **_SMALL,
            "architectures": ["RoFormerForTokenClassification"],
            "num_labels": 4,
            "num_hidden_layers": 1,
        },
    ),
    published=(
        Published(
            source="huggingface.co/junnyu/roformer_chinese_base",
            config={
                "architectures": ["RoFormerForMaskedLM"],
                "attention_probs_dropout_prob": 0.1,
                "embedding_size": 768,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-12,
                "max_position_embeddings": 1536,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "pad_token_id": 0,
                "rotary_value": False,
                "type_vocab_size": 2,
                "vocab_size": 50000,
            },
        ),
    ),
)
