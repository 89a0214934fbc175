"""BigBird: Zaheer et al. 2020. BERT whose attention goes by blocks.

As transformers computes it where it is not in training: there each random block is the first one again. In training it
draws them anew, drops no attention weights of blocks, and drops embeddings before their norm, not after it. A model of
transformers that has met one sequence of up to 5 + 2·num_random_blocks blocks attends in full ever after; ours does so
for such sequences alone.
"""

from __future__ import annotations

from typing import Any

import torch

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
from zoo.interop.trial import Padding, Trial

_DEFAULTS = Defaults(vocab_size=50358, activation="gelu_new")


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    max_len = config.integer("max_position_embeddings", 4096)
    return post_norm_encoder_spec(
        config,
        _DEFAULTS,
        position={"type": "learned", "max_len": max_len, "counts_padding": True},
        head=_head(config),
        inputs={"scale": "sqrt_d_model"} if config.boolean("rescale_embeddings", False) else {},
        attentions=[_attention(config)],
    )


def _attention(config: Config) -> dict[str, Any]:
    block_size, n_random = config.integer("block_size", 64), config.integer("num_random_blocks", 3)
    found: dict[str, Any] = {} if config.boolean("use_bias", True) else {"bias": ["output"]}
    kind = config.text("attention_type", "block_sparse")
    if kind == "original_full":
        return found
    if kind != "block_sparse":
        config.refuse("attention_type", f"must be 'block_sparse' or 'original_full', got '{kind}'")
    for name, number in (("block_size", block_size), ("num_random_blocks", n_random)):
        if number < 1:
            config.refuse(
                name, f"must be at least 1, without which transformers attends by no blocks, got {number}"
            )
    blocks = {"block_size": block_size, "n_random": n_random, "random": "first"}
    return {**found, "type": "block_sparse", "dropout": 0.0, **blocks}


def _head(config: Config) -> dict[str, Any]:
    activation = config.activation("hidden_act", _DEFAULTS.activation)
    if config.architecture == "BigBirdForMaskedLM":
        return masked_language_head(config, _DEFAULTS, activation=activation)
    if config.architecture == "BigBirdForTokenClassification":
        return token_classifier_head(config, dropout=classifier_dropout(config))
    if config.architecture == "BigBirdForSequenceClassification":
        dropout = classifier_dropout(config)
        head = sequence_classifier_head(config, dropout=dropout, pooled_dropout=dropout)
        return {**head, "activation": activation}
    return pooled_head(config, "pooler.weight")


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    attention = spec.encoder.each_layer()[0].self_attention
    config = post_norm_encoder_config(spec, "BigBird") | {
        "attention_type": "original_full",
        "max_position_embeddings": spec.position.max_len,
        "rescale_embeddings": spec.inputs.scale == "sqrt_d_model",
        "use_bias": attention.bias is True,
    }
    if attention.type == "block_sparse":
        blocks = {"block_size": attention.block_size, "num_random_blocks": attention.n_random}
        config |= {"attention_type": "block_sparse", **blocks}
    return config | ({"classifier_dropout": spec.head.dropout} if hasattr(spec.head, "n_classes") else {})


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    head = "cls.predictions"
    language = language_head_weights(
        f"{head}.decoder", f"{head}.transform.dense", f"{head}.transform.LayerNorm"
    )
    classifier = "classifier" if spec.head.type == "token_classifier" else "classifier.out_proj"
    return [
        *post_norm_encoder_weights(spec, "bert."),
        *(language if spec.head.type == "masked_language_model" else ()),
        *(module("head.dense", "pooler") if spec.head.type == "pooled" else ()),
        *(module("head.dense", "classifier.dense") if spec.head.type == "pooled_classifier" else ()),
        *module("head.output", classifier),
    ]


def trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Random tokens, more than are attended to in full."""
    longest = getattr(spec.encoder.each_layer()[0].self_attention, "max_whole", 2)
    return encoder_trial(spec, padding, random, lengths=[longest + 5, longest + 2, longest + 3])


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "max_position_embeddings": 37,
    "type_vocab_size": 3,
    "block_size": 3,
    "num_random_blocks": 1,
}

FAMILY = Family(
    name="big_bird",
    architectures=(
        "BigBirdForMaskedLM",
        "BigBirdForSequenceClassification",
        "BigBirdForTokenClassification",
        "BigBirdModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"position_embedding_type": "absolute"},
    bookkeeping=(
        "classifier_dropout",  # of a head that is not this config's; read where it is
        "tie_word_embeddings",  # read where there is a head to tie
    ),
    prefix="bert.",
    ignored=(r"embeddings\.(position|token_type)_ids$", r"^bert\.pooler\.", r"^cls\.seq_relationship\."),
    read_as={"BigBirdForPreTraining": "BigBirdForMaskedLM"},
    trial=trial,
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["BigBirdModel"], "block_size": 2, "num_random_blocks": 3},
        {
            **_SMALL,
            "attention_type": "original_full",
            "num_hidden_layers": 1,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {
            **_SMALL,
            "architectures": ["BigBirdForSequenceClassification"],
            "num_labels": 5,
            "classifier_dropout": 0.4,
            "use_bias": False,
        },
        {
            **_SMALL,
            "architectures": ["BigBirdForTokenClassification"],
            "num_labels": 4,
            "hidden_act": "relu",
            "rescale_embeddings": True,
        },
    ),
    published=(
        Published(
            source="huggingface.co/google/bigbird-roberta-base",
            config={
                "architectures": ["BigBirdModel"],  # its own class has two heads besides
                "attention_probs_dropout_prob": 0.1,
                "attention_type": "block_sparse",
                "block_size": 64,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "gradient_checkpointing": False,
                "hidden_act": "gelu_new",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-12,
                "max_position_embeddings": 4096,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "num_random_blocks": 3,
                "pad_token_id": 0,
                "position_embedding_type": "absolute",
                "rescale_embeddings": False,
                "sep_token_id": 66,
                "transformers_version": "4.4.0.dev0",
                "type_vocab_size": 2,
                "use_bias": True,
                "use_cache": True,
                "vocab_size": 50358,
            },
        ),
    ),
)
