"""FNet: Lee-Thorp et al. 2021. BERT with Fourier transforms in place of attention.

transformers transforms padding with the tokens, so a padded row is another there; here it is what it is alone. Its own
form for TPUs, the same transform by products of matrices, is refused. Its classes for tokens have a pooler that nothing
reads, which is left out.
"""

from __future__ import annotations

from typing import Any

import torch

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    architecture_of,
    encoder_trial,
    language_head_weights,
    masked_language_head,
    norm_spec,
    pooled_head,
    sequence_classifier_head,
    token_classifier_head,
)
from zoo.interop.rules import Rules, for_each, module, tensor
from zoo.interop.trial import Padding, Trial

_DEFAULTS = Defaults(vocab_size=32000, n_types=4, padding_id=3)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, vocab_size = config.integer("hidden_size", 768), config.integer("vocab_size", 32000)
    dropout, norm = config.number("hidden_dropout_prob", 0.1), norm_spec(config, _DEFAULTS)
    return {
        "type": "encoder_only",
        "d_model": d_model,
        "inputs": {
            "type": "factorised_tokens",
            "vocab_size": vocab_size,
            "d_embedding": d_model,
            "n_types": config.integer("type_vocab_size", 4),
            "position": {
                "type": "learned",
                "max_len": config.integer("max_position_embeddings", 512),
                "counts_padding": True,
            },
            "norm": norm,
            "padding_id": config.padding_id(default=3, vocab_size=vocab_size),
        },
        "position": {"type": "none"},
        "encoder": {
            "n_layers": config.n_layers("num_hidden_layers", 12),
            "input_dropout": dropout,
            "layer": {
                "layout": "post_norm",
                "norm": norm,
                "mixer": {"type": "fourier"},
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("intermediate_size", 3072),
                    "activation": config.activation("hidden_act", "gelu_new"),
                    "output_dropout": dropout,  # nothing is dropped of the transform
                },
                "dropout": 0.0,
            },
        },
        "head": _head(config),
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def _head(config: Config) -> dict[str, Any]:
    dropout = config.number("hidden_dropout_prob", 0.1)
    if config.architecture == "FNetForMaskedLM":
        activation = config.activation("hidden_act", "gelu_new")
        return masked_language_head(config, _DEFAULTS, activation=activation)
    if config.architecture == "FNetForTokenClassification":
        return token_classifier_head(config, dropout=dropout)
    if config.architecture == "FNetForSequenceClassification":
        return sequence_classifier_head(config, dropout=dropout)
    return pooled_head(config)


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.encoder.each_layer()
    return {
        "architectures": [architecture_of(spec, "FNet")],
        "vocab_size": spec.inputs.vocab_size,
        "hidden_size": spec.d_model,
        "num_hidden_layers": len(layers),
        "intermediate_size": layers[0].ffn.d_ff,
        "hidden_act": activation_name(layers[0].ffn.activation),
        "hidden_dropout_prob": layers[0].ffn.output_dropout,
        "max_position_embeddings": spec.inputs.position.max_len,
        "type_vocab_size": spec.inputs.n_types,
        "layer_norm_eps": layers[0].norm.eps,
        "pad_token_id": spec.inputs.padding_id,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        **labels_config(spec.head),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type in ("none", "pooled") else "fnet."
    embeddings, ours, theirs = f"{prefix}embeddings", "encoder.layers.{i}", f"{prefix}encoder.layer.{{i}}"
    head = "cls.predictions"
    language = language_head_weights(
        f"{head}.decoder", f"{head}.transform.dense", f"{head}.transform.LayerNorm"
    )
    pooler = "pooler.dense" if spec.head.type == "pooled" else "fnet.pooler.dense"
    return [
        *tensor("inputs.weight", f"{embeddings}.word_embeddings.weight"),
        *tensor("inputs.types.weight", f"{embeddings}.token_type_embeddings.weight"),
        *tensor("inputs.position.table.weight", f"{embeddings}.position_embeddings.weight"),
        *module("inputs.norm", f"{embeddings}.LayerNorm"),
        *module("inputs.to_model", f"{embeddings}.projection"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            module(f"{ours}.layout.norms.0", f"{theirs}.fourier.output.LayerNorm"),
            module(f"{ours}.ffn.inner", f"{theirs}.intermediate.dense"),
            module(f"{ours}.ffn.outer", f"{theirs}.output.dense"),
            module(f"{ours}.layout.norms.1", f"{theirs}.output.LayerNorm"),
        ),
        *(language if spec.head.type == "masked_language_model" else module("head.dense", pooler)),
        *module("head.output", "classifier"),
    ]


def _trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Random tokens; transformers' classes take no mask."""
    given = encoder_trial(spec, padding, random)
    theirs = {key: value for key, value in given.theirs.items() if key != "attention_mask"}
    return Trial(given.ours, theirs, given.ours_named, given.real)


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "intermediate_size": 29,
    "max_position_embeddings": 17,
    "type_vocab_size": 3,
}

FAMILY = Family(
    name="fnet",
    architectures=(
        "FNetForMaskedLM",
        "FNetForSequenceClassification",
        "FNetForTokenClassification",
        "FNetModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"use_tpu_fourier_optimizations": False},
    bookkeeping=(
        "tie_word_embeddings",
        "tpu_short_seq_length",
    ),  # read where there is a head to tie; of that form
    prefix="fnet.",
    ignored=(r"embeddings\.position_ids$", r"^fnet\.pooler\.", r"^cls\.seq_relationship\."),
    read_as={"FNetForPreTraining": "FNetForMaskedLM"},
    trial=_trial,
    paddings=("none",),
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["FNetModel"]},
        {
            **_SMALL,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "initializer_range": 0.05,
        },
        {**_SMALL, "architectures": ["FNetForSequenceClassification"], "num_labels": 5},
        {**_SMALL, "architectures": ["FNetForTokenClassification"], "num_labels": 4, "num_hidden_layers": 1},
    ),
    published=(
        Published(
            source="huggingface.co/google/fnet-base",
            config={
                "architectures": ["FNetModel"],  # its own class has two heads besides
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_act": "gelu_new",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-12,
                "max_position_embeddings": 512,
                "num_hidden_layers": 12,
                "pad_token_id": 3,
                "tpu_short_seq_length": 512,
                "type_vocab_size": 4,
                "use_tpu_fourier_optimizations": False,
                "vocab_size": 32000,
            },
        ),
    ),
)
