"""Marian: the OPUS-MT models of Tiedemann and Thottingal 2020, as converted to transformers.

Its sinusoids are tensors of the checkpoint, with an end at max_position_embeddings. The bias on the logits was learned
in Marian; transformers keeps it fixed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.components.position.sinusoidal import sinusoids
from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.pair import (
    SMALL,
    pair_config,
    pair_spec,
    pair_weights,
)
from zoo.interop.rules import Rules, table, tensor
from zoo.interop.writing import Writing

_TABLES = {stack: f"model.{stack}.embed_positions.weight" for stack in ("encoder", "decoder")}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    shares = config.boolean("share_encoder_decoder_embeddings", True)
    is_tied = config.boolean("tie_word_embeddings", True)
    max_len = config.integer("max_position_embeddings", 1024)
    position = {"type": "sinusoidal", "layout": "concatenated"}
    if config.variant.own_tables.intersection(_TABLES.values()):  # the sinusoids, rounded
        position = {"type": "learned"}
    spec = pair_spec(
        config,
        vocab_size=58101,
        padding_id=58100,
        norms_input=False,
        position={**position, "counts_padding": True, "max_len": max_len},
        head={"tied": is_tied, "bias": "fixed"},
    )
    vocab_size = spec["source"]["vocab_size"]
    if shares:
        config.only("decoder_vocab_size", vocab_size, None, reason=" with share_encoder_decoder_embeddings")
        if not is_tied:
            config.refuse(
                "tie_word_embeddings",
                "false unties all embeddings that share_encoder_decoder_embeddings shares",
            )
        return spec
    target_size = config.integer("decoder_vocab_size", None) or vocab_size
    padding_id = config.padding_id(default=58100, vocab_size=target_size)
    return {**spec, "target": {**spec["source"], "vocab_size": target_size, "padding_id": padding_id}}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    return {
        "architectures": ["MarianMTModel"],
        **pair_config(spec),
        "decoder_vocab_size": spec.slots["target"].vocab_size,
        "share_encoder_decoder_embeddings": spec.target is not spec.slots["target"],
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    source, target = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"
    sinusoid = partial(sinusoid_table, spec.position.max_len, spec.d_model)
    has_own_tables = spec.position.type == "learned"
    shares = spec.target is not spec.slots["target"]
    return [
        *(
            tensor("source.weight", "model.shared.weight", copies=(source, target))
            if shares
            else [*tensor("source.weight", source), *tensor("target.weight", target)]
        ),
        *(
            rule
            for stack, name in _TABLES.items()
            for rule in (
                tensor(f"{stack}.position.table.weight", name) if has_own_tables else table(name, sinusoid)
            )
        ),
        *pair_weights(spec, "model."),
    ]


def sinusoid_table(n_positions: int, d_model: int) -> Tensor:
    """The sinusoids [n_positions, d_model], as a checkpoint has them."""
    return sinusoids(torch.arange(n_positions), d_model, 10000.0, "concatenated").float()


_SMALL = {**SMALL, "pad_token_id": 30, "decoder_start_token_id": 30}
_LABELS = {f"LABEL_{i}": i for i in range(3)}

FAMILY = Family(
    name="marian",
    architectures=("MarianMTModel",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=0, start=58100, pad=58100, max_length="source + 50"),
    fixed={
        "add_final_layer_norm": False,
        "do_blenderbot_90_layernorm": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "static_position_embeddings": True,
    },
    bookkeeping=(
        "_num_labels",
        "add_bias_logits",
        "classif_dropout",
        "classifier_dropout",
        "extra_pos_embeddings",
    ),
    examples=(
        {**_SMALL, "scale_embedding": True, "activation_function": "swish"},
        {
            **_SMALL,
            "share_encoder_decoder_embeddings": False,
            "decoder_vocab_size": 37,
            "encoder_layers": 2,
            "decoder_layers": 1,
        },
        {
            **_SMALL,
            "share_encoder_decoder_embeddings": False,
            "decoder_vocab_size": 33,
            "tie_word_embeddings": False,
            "activation_function": "relu",
            "dropout": 0.2,
            "attention_dropout": 0.05,
            "activation_dropout": 0.3,
            "encoder_layerdrop": 0.15,
            "decoder_layerdrop": 0.25,
        },
    ),
    published=(
        Published(
            preset="marian_en_de",
            source="huggingface.co/Helsinki-NLP/opus-mt-en-de",
            config={
                "_num_labels": 3,
                "activation_dropout": 0.0,
                "activation_function": "swish",
                "add_bias_logits": False,
                "add_final_layer_norm": False,
                "architectures": ["MarianMTModel"],
                "attention_dropout": 0.0,
                "bad_words_ids": [[58100]],
                "bos_token_id": 0,
                "classif_dropout": 0.0,
                "classifier_dropout": 0.0,
                "d_model": 512,
                "decoder_attention_heads": 8,
                "decoder_ffn_dim": 2048,
                "decoder_layerdrop": 0.0,
                "decoder_layers": 6,
                "decoder_start_token_id": 58100,
                "decoder_vocab_size": 58101,
                "dropout": 0.1,
                "encoder_attention_heads": 8,
                "encoder_ffn_dim": 2048,
                "encoder_layerdrop": 0.0,
                "encoder_layers": 6,
                "eos_token_id": 0,
                "forced_eos_token_id": 0,
                "gradient_checkpointing": False,
                "id2label": {str(i): label for label, i in _LABELS.items()},
                "init_std": 0.02,
                "is_encoder_decoder": True,
                "label2id": _LABELS,
                "max_length": 512,
                "max_position_embeddings": 512,
                "normalize_before": False,
                "normalize_embedding": False,
                "num_beams": 4,
                "num_hidden_layers": 6,
                "pad_token_id": 58100,
                "scale_embedding": True,
                "share_encoder_decoder_embeddings": True,
                "static_position_embeddings": True,
                "use_cache": True,
                "vocab_size": 58101,
            },
        ),
    ),
    beam=4,
)
