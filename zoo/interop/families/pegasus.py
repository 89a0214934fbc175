"""Pegasus: Zhang et al. 2020. mBART without norms of embeddings, with Marian's sinusoids."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.interop.config import Config
from zoo.interop.families.marian import sinusoid_table
from zoo.interop.family import Family, Published
from zoo.interop.pair import EXAMPLES, pair_config, pair_spec, pair_weights
from zoo.interop.rules import Rules, table, tensor
from zoo.interop.writing import Writing


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    max_len = config.integer("max_position_embeddings", 1024)
    return pair_spec(
        config,
        vocab_size=50265,
        padding_id=0,
        norms_input=False,
        position={
            "type": "sinusoidal",
            "layout": "concatenated",
            "counts_padding": True,
            "max_len": max_len,
        },
        head={"bias": "fixed"},
        layout="pre_norm",
    )


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    return {"architectures": ["PegasusForConditionalGeneration"], **pair_config(spec)}


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    copies = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
    sinusoids = partial(sinusoid_table, spec.position.max_len, spec.d_model)
    return [
        *tensor("source.weight", "model.shared.weight", copies=copies),
        *table("model.encoder.embed_positions.weight", sinusoids),
        *table("model.decoder.embed_positions.weight", sinusoids),
        *pair_weights(spec, "model."),
    ]


FAMILY = Family(
    name="pegasus",
    architectures=("PegasusForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=1, start=0, pad=0, max_length="source + 50"),
    fixed={
        "add_final_layer_norm": True,
        "extra_pos_embeddings": (0, 1),
        "normalize_before": True,
        "normalize_embedding": False,
        "static_position_embeddings": True,
        "tie_word_embeddings": True,
    },
    bookkeeping=(
        "add_bias_logits",
        "classif_dropout",
        "classifier_dropout",
        "force_bos_token_to_be_generated",
    ),
    prefix="model.",
    examples=EXAMPLES,
    published=(
        Published(
            source="huggingface.co/google/pegasus-xsum",
            config={
                "activation_dropout": 0.1,
                "activation_function": "relu",
                "add_final_layer_norm": True,
                "architectures": ["PegasusForConditionalGeneration"],
                "attention_dropout": 0.1,
                "bos_token_id": 0,
                "d_model": 1024,
                "decoder_attention_heads": 16,
                "decoder_ffn_dim": 4096,
                "decoder_layerdrop": 0.0,
                "decoder_layers": 16,
                "decoder_start_token_id": 0,
                "dropout": 0.1,
                "encoder_attention_heads": 16,
                "encoder_ffn_dim": 4096,
                "encoder_layerdrop": 0.0,
                "encoder_layers": 16,
                "eos_token_id": 1,
                "init_std": 0.02,
                "is_encoder_decoder": True,
                "max_position_embeddings": 512,
                "normalize_before": True,
                "normalize_embedding": False,
                "num_hidden_layers": 16,
                "pad_token_id": 0,
                "scale_embedding": True,
                "static_position_embeddings": True,
                "vocab_size": 96103,
            },
        ),
    ),
    beam=4,
)
