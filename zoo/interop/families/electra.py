"""ELECTRA: Clark et al. 2020. BERT's layers; embeddings, positions, types and their norm may have a width of their own.

The discriminator's own head, a number a token after a dense layer, is left out: it is read as the base model.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    classifier_dropout,
    embedding_size,
    encoder_trial,
    factorised,
    learned_position,
    norm_spec,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    post_norm_encoder_weights,
    token_classifier_head,
)
from zoo.interop.rules import Rules, module, tensor

_DEFAULTS = Defaults(vocab_size=30522, d_model=256, d_ff=1024, n_heads=4)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    max_len = config.integer("max_position_embeddings", 512)
    position = {"type": "learned", "max_len": max_len, "counts_padding": True}
    spec = post_norm_encoder_spec(config, _DEFAULTS, position=position, head=_head(config))
    return factorised(spec, config.integer("embedding_size", 128))


def _head(config: Config) -> dict[str, Any]:
    if config.architecture == "ElectraForMaskedLM":
        return {
            "type": "masked_language_model",
            "activation": "gelu",
            "norm": norm_spec(config, _DEFAULTS),
            "tied": config.boolean("tie_word_embeddings", True),
        }
    if config.architecture == "ElectraForTokenClassification":
        return token_classifier_head(config, dropout=classifier_dropout(config))
    if config.architecture == "ElectraForSequenceClassification":
        dropout = classifier_dropout(config)
        return {
            "type": "pooled_classifier",
            "n_classes": config.n_labels(),
            "activation": "gelu",
            "dropout": dropout,
            "pooled_dropout": dropout,
        }
    return {"type": "none"}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    return {
        **post_norm_encoder_config(spec, "Electra"),
        "max_position_embeddings": learned_position(spec).max_len,
        "embedding_size": embedding_size(spec),
        "tie_word_embeddings": getattr(spec.head, "tied", True),
        **({"classifier_dropout": spec.head.dropout} if hasattr(spec.head, "n_classes") else {}),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    is_language = spec.head.type == "masked_language_model"
    classifier = "classifier" if spec.head.type == "token_classifier" else "classifier.out_proj"
    return [
        *post_norm_encoder_weights(spec, "electra."),
        *module("head.dense", "generator_predictions.dense" if is_language else "classifier.dense"),
        *module("head.norm", "generator_predictions.LayerNorm"),
        *tensor("head.weight", "generator_lm_head.weight"),
        *tensor("head.bias", "generator_lm_head.bias"),
        *module("head.output", classifier),
    ]


_SMALL = {
    "vocab_size": 31,
    "embedding_size": 8,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
    "type_vocab_size": 3,
}

FAMILY = Family(
    name="electra",
    architectures=(
        "ElectraModel",
        "ElectraForMaskedLM",
        "ElectraForSequenceClassification",
        "ElectraForTokenClassification",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"position_embedding_type": "absolute"},
    bookkeeping=(
        "classifier_dropout",  # of a head that is not this config's, as the summary's fields
        "summary_activation",
        "summary_last_dropout",
        "summary_type",
        "summary_use_proj",
        "tie_word_embeddings",
    ),
    prefix="electra.",
    ignored=(r"embeddings\.position_ids$", r"^discriminator_predictions\."),
    read_as={"ElectraForPreTraining": "ElectraModel"},
    trial=encoder_trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["ElectraForMaskedLM"], "num_hidden_layers": 1},
        {
            **_SMALL,
            "architectures": ["ElectraForMaskedLM"],
            "embedding_size": 12,
            "tie_word_embeddings": False,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {**_SMALL, "architectures": ["ElectraForSequenceClassification"], "num_labels": 5},
        {
            **_SMALL,
            "architectures": ["ElectraForTokenClassification"],
            "num_labels": 4,
            "classifier_dropout": 0.4,
        },
    ),
    published=(
        Published(
            source="huggingface.co/google/electra-small-discriminator",
            config={
                "architectures": ["ElectraModel"],  # its own class has the discriminator's head besides
                "attention_probs_dropout_prob": 0.1,
                "embedding_size": 128,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 256,
                "initializer_range": 0.02,
                "intermediate_size": 1024,
                "layer_norm_eps": 1e-12,
                "max_position_embeddings": 512,
                "num_attention_heads": 4,
                "num_hidden_layers": 12,
                "pad_token_id": 0,
                "summary_activation": "gelu",
                "summary_last_dropout": 0.1,
                "summary_type": "first",
                "summary_use_proj": True,
                "type_vocab_size": 2,
                "vocab_size": 30522,
            },
        ),
    ),
)
