"""Longformer: Beltagy et al. 2020. RoBERTa with windows, and global tokens that have projections of their own.

What transformers calls global_attention_mask is our model's global_tokens. Its sequence classifier makes the first
token global where none is given; here n_global does, and those given come on top. Its padding to a multiple of the
window is its kernel's need, not ours.
"""

from __future__ import annotations

from typing import Any

import torch

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    encoder_trial,
    language_head_weights,
    layer_count,
    masked_language_head,
    offset_position,
    pooled_head,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    post_norm_encoder_weights,
    sequence_classifier_head,
    token_classifier_head,
)
from zoo.interop.rules import Rules, module
from zoo.interop.trial import Padding, Trial

_DEFAULTS = Defaults(vocab_size=30522, padding_id=1)
_SEQUENCE = "LongformerForSequenceClassification"
_PROJECTIONS = ("query", "key", "value", "query_global", "key_global", "value_global")


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    n_global = 1 if config.architecture == _SEQUENCE else 0
    return post_norm_encoder_spec(
        config,
        _DEFAULTS,
        position=offset_position(config, max_len=512, padding_id=_DEFAULTS.padding_id),
        head=_head(config),
        attentions=[
            {"type": "global_local", "radius": window // 2, "n_global": n_global}
            for window in windows(config, layer_count(config, _DEFAULTS))
        ],
    )


def windows(config: Config, n_layers: int) -> list[int]:
    """Of each layer: twice the tokens seen on each side."""
    value = config.value("attention_window", 512)
    found = [value] * n_layers if isinstance(value, int) else value
    if not isinstance(found, list | tuple) or len(found) != n_layers:
        config.refuse("attention_window", f"must be a number or {n_layers}, one for each layer, got {value}")
    if not all(type(window) is int and window >= 4 and window % 2 == 0 for window in found):
        config.refuse(
            "attention_window",
            f"must be even and at least 4, which is what transformers computes, got {value}",
        )
    return list(found)


def _head(config: Config) -> dict[str, Any]:
    dropout = config.number("hidden_dropout_prob", 0.1)
    if config.architecture == "LongformerForMaskedLM":
        return masked_language_head(config, _DEFAULTS, activation="gelu")
    if config.architecture == "LongformerForTokenClassification":
        return token_classifier_head(config, dropout=dropout)
    if config.architecture == _SEQUENCE:
        return sequence_classifier_head(config, dropout=dropout, pooled_dropout=dropout)
    return pooled_head(config)


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = post_norm_encoder_config(spec, "Longformer")
    config["max_position_embeddings"] = spec.position.max_len + spec.position.offset
    config["attention_window"] = [2 * layer.self_attention.radius for layer in spec.encoder.each_layer()]
    return config


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    classifier = "classifier" if spec.head.type == "token_classifier" else "classifier.out_proj"
    is_base = spec.head.type == "pooled"
    language = language_head_weights("lm_head.decoder", "lm_head.dense", "lm_head.layer_norm")
    dense = module("head.dense", "pooler.dense" if is_base else "classifier.dense")
    return [
        *post_norm_encoder_weights(spec, "longformer.", projections={name: name for name in _PROJECTIONS}),
        *(language if spec.head.type == "masked_language_model" else dense),
        *module("head.output", classifier),
    ]


def trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Random tokens, of which each row has another number of global ones; without padding none is named."""
    given = encoder_trial(spec, padding, random)
    return given if padding == "none" else with_global_tokens(given, given.ours_named["mask"], spec, random)


def with_global_tokens(given: Trial, mask: torch.Tensor, spec: Any, random: torch.Generator) -> Trial:
    """The trial with random global tokens among the real ones of the mask, none in the second row."""
    chosen = mask & (torch.rand(mask.shape, generator=random) < 0.3)
    chosen[1] = False
    first = mask & (mask.cumsum(dim=1) <= spec.encoder.each_layer()[0].self_attention.n_global)
    theirs = {**given.theirs, "global_attention_mask": (chosen | first).long()}
    return Trial(given.ours, theirs, {**given.ours_named, "global_tokens": chosen}, given.real)


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
    "type_vocab_size": 1,
    "attention_window": 4,
}

FAMILY = Family(
    name="longformer",
    architectures=(
        "LongformerForMaskedLM",
        "LongformerForSequenceClassification",
        "LongformerForTokenClassification",
        "LongformerModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={
        "attention_mode": "longformer",
        "ignore_attention_mask": False,
        "position_embedding_type": "absolute",
    },
    bookkeeping=(
        "classifier_dropout",  # RoBERTa's; nothing reads it
        "onnx_export",  # how it is computed
        "tie_word_embeddings",  # read where there is a head to tie
    ),
    prefix="longformer.",
    renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
    ignored=(r"embeddings\.position_ids$", r"^longformer\.pooler\."),
    trial=trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["LongformerModel"]},
        {
            **_SMALL,
            "num_hidden_layers": 3,
            "attention_window": [8, 4, 8],
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "type_vocab_size": 3,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {**_SMALL, "architectures": ["LongformerForSequenceClassification"], "num_labels": 5},
        {**_SMALL, "architectures": ["LongformerForTokenClassification"], "num_labels": 4, "pad_token_id": 0},
    ),
    published=(
        Published(
            preset="longformer_base",
            source="huggingface.co/allenai/longformer-base-4096",
            config={
                "attention_mode": "longformer",
                "attention_probs_dropout_prob": 0.1,
                "attention_window": [512] * 12,
                "bos_token_id": 0,
                "eos_token_id": 2,
                "gradient_checkpointing": False,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 768,
                "ignore_attention_mask": False,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 4098,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "sep_token_id": 2,
                "type_vocab_size": 1,
                "vocab_size": 50265,
            },
        ),
    ),
)
