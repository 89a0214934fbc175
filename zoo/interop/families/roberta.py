"""RoBERTa: Liu et al. 2019. BERT's layers; positions begin after the padding id, and padding does not count."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    classifier_dropout,
    encoder_trial,
    language_head_weights,
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


def to_spec(config: Config, *, defaults: Defaults) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    position = offset_position(config, max_len=512, padding_id=defaults.padding_id)
    return post_norm_encoder_spec(config, defaults, position=position, head=_head(config, defaults))


def _head(config: Config, defaults: Defaults) -> dict[str, Any]:
    if config.architecture.endswith("ForMaskedLM"):
        return masked_language_head(config, defaults, activation="gelu")
    if config.architecture.endswith("ForTokenClassification"):
        return token_classifier_head(config, dropout=classifier_dropout(config))
    if config.architecture.endswith("ForSequenceClassification"):
        dropout = classifier_dropout(config)
        return sequence_classifier_head(config, dropout=dropout, pooled_dropout=dropout)
    return pooled_head(config)


def to_config(spec: Any, *, stem: str) -> dict[str, Any]:
    """The model's spec -> a config; stem is what the classes begin with."""
    config = post_norm_encoder_config(spec, stem)
    config["max_position_embeddings"] = spec.position.max_len + spec.position.offset
    return config | ({"classifier_dropout": spec.head.dropout} if hasattr(spec.head, "n_classes") else {})


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    classifier = "classifier" if spec.head.type == "token_classifier" else "classifier.out_proj"
    dense = "pooler.dense" if spec.head.type == "pooled" else "classifier.dense"
    language = language_head_weights("lm_head.decoder", "lm_head.dense", "lm_head.layer_norm")
    return [
        *post_norm_encoder_weights(spec, "roberta."),
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
    "type_vocab_size": 1,
}


BASE = {
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
    "type_vocab_size": 1,
}
"""What the published configs of base size have in common."""


def roberta_family(name: str, stem: str, defaults: Defaults, *published: Published) -> Family:
    """A family of RoBERTa's code under another name; stem is what its classes begin with."""
    return Family(
        name=name,
        architectures=(
            f"{stem}ForMaskedLM",
            f"{stem}ForSequenceClassification",
            f"{stem}ForTokenClassification",
            f"{stem}Model",
        ),
        to_spec=partial(to_spec, defaults=defaults),
        to_config=partial(to_config, stem=stem),
        weights=weights,
        fixed={"position_embedding_type": "absolute"},
        bookkeeping=(
            "_num_labels",  # of older configs; nothing reads it
            "classifier_dropout",  # of a head that is not this config's; read where it is
            "tie_word_embeddings",  # read where there is a head to tie
        ),
        prefix="roberta.",
        renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
        ignored=(r"embeddings\.position_ids$", r"^roberta\.pooler\."),
        trial=encoder_trial,
        examples=(
            _SMALL,
            {**_SMALL, "architectures": [f"{stem}Model"]},
            {
                **_SMALL,
                "num_hidden_layers": 3,
                "hidden_act": "relu",
                "layer_norm_eps": 1e-3,
                "pad_token_id": 4,
                "type_vocab_size": 3,
                "hidden_dropout_prob": 0.2,
                "attention_probs_dropout_prob": 0.3,
                "initializer_range": 0.05,
            },
            {
                **_SMALL,
                "architectures": [f"{stem}ForSequenceClassification"],
                "num_labels": 5,
                "classifier_dropout": 0.4,
            },
            {
                **_SMALL,
                "architectures": [f"{stem}ForTokenClassification"],
                "num_labels": 4,
                "pad_token_id": 0,
            },
        ),
        published=published,
    )


FAMILY = roberta_family(
    "roberta",
    "Roberta",
    Defaults(vocab_size=50265, padding_id=1),
    Published(
        preset="roberta_base",
        source="huggingface.co/FacebookAI/roberta-base",
        config={**BASE, "architectures": ["RobertaForMaskedLM"], "vocab_size": 50265},
    ),
)
