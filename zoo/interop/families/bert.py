"""BERT: Devlin et al. 2019."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    classifier_dropout,
    encoder_trial,
    language_head_weights,
    masked_language_head,
    pooled_head,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    post_norm_encoder_weights,
    sequence_classifier_head,
    token_classifier_head,
)
from zoo.interop.rules import Rules, module

_DEFAULTS = Defaults(vocab_size=30522)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    max_len = config.integer("max_position_embeddings", 512)
    position = {"type": "learned", "max_len": max_len, "counts_padding": True}
    return post_norm_encoder_spec(config, _DEFAULTS, position=position, head=_head(config))


def _head(config: Config) -> dict[str, Any]:
    if config.architecture == "BertForMaskedLM":
        return masked_language_head(config, _DEFAULTS, activation=config.activation("hidden_act", "gelu"))
    if config.architecture == "BertForTokenClassification":
        return token_classifier_head(config, dropout=classifier_dropout(config))
    if config.architecture == "BertForSequenceClassification":
        return sequence_classifier_head(config, dropout=classifier_dropout(config))
    return pooled_head(config)


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = post_norm_encoder_config(spec, "Bert") | {"max_position_embeddings": spec.position.max_len}
    return config | ({"classifier_dropout": spec.head.dropout} if hasattr(spec.head, "n_classes") else {})


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    head = "cls.predictions"
    language = language_head_weights(
        f"{head}.decoder", f"{head}.transform.dense", f"{head}.transform.LayerNorm"
    )
    return [
        *post_norm_encoder_weights(spec, "bert."),
        *(language if spec.head.type == "masked_language_model" else ()),
        *(module("head.dense", "pooler.dense") if spec.head.type == "pooled" else ()),
        *(module("head.dense", "bert.pooler.dense") if spec.head.type == "pooled_classifier" else ()),
        *module("head.output", "classifier"),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
    "type_vocab_size": 3,
}
_BASE = {
    "architectures": ["BertForMaskedLM"],
    "attention_probs_dropout_prob": 0.1,
    "gradient_checkpointing": False,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 0,
    "position_embedding_type": "absolute",
    "transformers_version": "4.6.0.dev0",
    "type_vocab_size": 2,
    "use_cache": True,
    "vocab_size": 30522,
}

FAMILY = Family(
    name="bert",
    architectures=(
        "BertForMaskedLM",
        "BertForSequenceClassification",
        "BertForTokenClassification",
        "BertModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"position_embedding_type": "absolute"},
    bookkeeping=(
        "_num_labels",  # of older configs; nothing reads it
        "classifier_dropout",  # of a head that is not this config's; read where it is
        "directionality",  # of the authors' multilingual models; nothing reads it
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
        "tie_word_embeddings",  # read where there is a head to tie
    ),
    prefix="bert.",
    renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
    ignored=(r"embeddings\.position_ids$", r"^bert\.pooler\.", r"^cls\.seq_relationship\."),
    read_as={"BertForPreTraining": "BertForMaskedLM"},
    trial=encoder_trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["BertModel"]},
        {
            **_SMALL,
            "num_hidden_layers": 3,
            "hidden_act": "gelu_new",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {
            **_SMALL,
            "architectures": ["BertForSequenceClassification"],
            "num_labels": 5,
            "classifier_dropout": 0.4,
        },
        {**_SMALL, "architectures": ["BertForTokenClassification"], "num_labels": 4, "hidden_act": "relu"},
    ),
    published=(
        Published(preset="bert_base", source="huggingface.co/google-bert/bert-base-uncased", config=_BASE),
        Published(
            preset="bert_large",
            source="huggingface.co/google-bert/bert-large-uncased",
            config={
                **_BASE,
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_attention_heads": 16,
                "num_hidden_layers": 24,
            },
        ),
    ),
)
