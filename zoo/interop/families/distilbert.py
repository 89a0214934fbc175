"""DistilBERT: Sanh et al. 2019. BERT with half the layers, without token types and pooler.

Its code drops values of the feed-forward network's output but none of the attention's.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import architecture_of, encoder_trial
from zoo.interop.rules import Rules, for_each, module, tensor

_NORM = {"type": "layer_norm", "eps": 1e-12}  # no field says it


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    vocab_size, dropout = config.integer("vocab_size", 30522), config.number("dropout", 0.1)
    return {
        "type": "encoder_only",
        "d_model": config.integer("dim", 768),
        "inputs": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "none",
            "padding_id": config.padding_id(default=0, vocab_size=vocab_size),
        },
        "position": {
            "type": "learned",
            "max_len": config.integer("max_position_embeddings", 512),
            "counts_padding": True,
        },
        "encoder": {
            "input_norm": _NORM,
            "input_dropout": dropout,
            "n_layers": config.integer("n_layers", 6),
            "layer": {
                "layout": "post_norm",
                "norm": _NORM,
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("n_heads", 12),
                    "bias": True,
                    "dropout": config.number("attention_dropout", 0.1),
                },
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("hidden_dim", 3072),
                    "activation": config.activation("activation", "gelu"),
                    "output_dropout": dropout,
                },
                "dropout": 0.0,
            },
        },
        "head": _head(config),
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def _head(config: Config) -> dict[str, Any]:
    if config.architecture == "DistilBertForMaskedLM":
        return {
            "type": "masked_language_model",
            "tied": config.boolean("tie_word_embeddings", True),
            "activation": config.activation("activation", "gelu"),
            "norm": _NORM,
        }
    if config.architecture == "DistilBertForTokenClassification":
        return {
            "type": "token_classifier",
            "n_classes": config.n_labels(),
            "dropout": config.number("dropout", 0.1),
        }
    if config.architecture == "DistilBertForSequenceClassification":
        return {
            "type": "pooled_classifier",
            "n_classes": config.n_labels(),
            "activation": "relu",
            "dropout": config.number("seq_classif_dropout", 0.2),
        }
    return {"type": "none"}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers, head = spec.encoder.each_layer(), spec.head
    attention, ffn = layers[0].self_attention, layers[0].ffn
    config = {
        "architectures": [architecture_of(spec, "DistilBert")],
        "vocab_size": spec.inputs.vocab_size,
        "max_position_embeddings": spec.position.max_len,
        "dim": spec.d_model,
        "hidden_dim": ffn.d_ff,
        "n_layers": len(layers),
        "n_heads": attention.n_heads,
        "activation": activation_name(ffn.activation),
        "dropout": ffn.output_dropout,
        "attention_dropout": attention.dropout,
        "pad_token_id": spec.inputs.padding_id,
        "tie_word_embeddings": getattr(head, "tied", True),
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        **labels_config(head),
    }
    return config | ({"seq_classif_dropout": head.dropout} if head.type == "pooled_classifier" else {})


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type == "none" else "distilbert."
    ours, theirs = "encoder.layers.{i}", f"{prefix}transformer.layer.{{i}}"
    dense = "vocab_transform" if spec.head.type == "masked_language_model" else "pre_classifier"
    return [
        *tensor("inputs.weight", f"{prefix}embeddings.word_embeddings.weight"),
        *tensor("encoder.position.table.weight", f"{prefix}embeddings.position_embeddings.weight"),
        *module("encoder.input_norm", f"{prefix}embeddings.LayerNorm"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            module(f"{ours}.self_attention.query", f"{theirs}.attention.q_lin"),
            module(f"{ours}.self_attention.key", f"{theirs}.attention.k_lin"),
            module(f"{ours}.self_attention.value", f"{theirs}.attention.v_lin"),
            module(f"{ours}.self_attention.output", f"{theirs}.attention.out_lin"),
            module(f"{ours}.layout.norms.0", f"{theirs}.sa_layer_norm"),
            module(f"{ours}.ffn.inner", f"{theirs}.ffn.lin1"),
            module(f"{ours}.ffn.outer", f"{theirs}.ffn.lin2"),
            module(f"{ours}.layout.norms.1", f"{theirs}.output_layer_norm"),
        ),
        *module("head.dense", dense),
        *module("head.norm", "vocab_layer_norm"),
        *tensor("head.weight", "vocab_projector.weight"),
        *tensor("head.bias", "vocab_projector.bias"),
        *module("head.output", "classifier"),
    ]


_SMALL = {
    "vocab_size": 31,
    "max_position_embeddings": 17,
    "dim": 12,
    "hidden_dim": 29,
    "n_layers": 2,
    "n_heads": 3,
}

FAMILY = Family(
    name="distilbert",
    architectures=(
        "DistilBertForMaskedLM",
        "DistilBertForSequenceClassification",
        "DistilBertForTokenClassification",
        "DistilBertModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"sinusoidal_pos_embds": False},
    bookkeeping=(
        "qa_dropout",  # of a head without a mapping
        "seq_classif_dropout",  # of a head that is not this config's; read where it is
        "tie_weights_",  # older configs have it; nothing reads it
        "tie_word_embeddings",  # read where there is a head to tie
    ),
    prefix="distilbert.",
    ignored=(r"embeddings\.position_ids$",),
    trial=encoder_trial,
    examples=(
        _SMALL,
        {
            **_SMALL,
            "n_layers": 3,
            "activation": "relu",
            "pad_token_id": 4,
            "dropout": 0.2,
            "attention_dropout": 0.3,
            "initializer_range": 0.05,
            "tie_word_embeddings": False,
        },
        {
            **_SMALL,
            "architectures": ["DistilBertForSequenceClassification"],
            "num_labels": 5,
            "seq_classif_dropout": 0.4,
        },
        {**_SMALL, "architectures": ["DistilBertForTokenClassification"], "num_labels": 4},
        {**_SMALL, "architectures": ["DistilBertModel"], "n_layers": 1},
    ),
    published=(
        Published(
            preset="distilbert_base",
            source="huggingface.co/distilbert/distilbert-base-uncased",
            config={
                "activation": "gelu",
                "architectures": ["DistilBertForMaskedLM"],
                "attention_dropout": 0.1,
                "dim": 768,
                "dropout": 0.1,
                "hidden_dim": 3072,
                "initializer_range": 0.02,
                "max_position_embeddings": 512,
                "n_heads": 12,
                "n_layers": 6,
                "pad_token_id": 0,
                "qa_dropout": 0.1,
                "seq_classif_dropout": 0.2,
                "sinusoidal_pos_embds": False,
                "tie_weights_": True,
                "transformers_version": "4.10.0.dev0",
                "vocab_size": 30522,
            },
        ),
    ),
)
