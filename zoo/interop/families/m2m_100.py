"""M2M-100 and NLLB-200: Fan et al. 2021, NLLB Team 2022. mBART without norms of embeddings, with fairseq's sinusoids.

Positions begin after the padding id and padding does not count. In transformers a token of that id within an output has
no position, and the table of sinusoids grows with the text: max_position_embeddings is no end.
"""

from __future__ import annotations

from typing import Any

import torch

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.pair import EXAMPLES, pair_config, pair_spec, pair_weights
from zoo.interop.rules import Rules, tensor
from zoo.interop.trial import Padding, Trial, token_trial
from zoo.interop.writing import Writing

_DEFAULTS = {  # of transformers' class, where they are not those of the other pairs
    "activation_function": "relu",
    "attention_dropout": 0.1,
    "decoder_layerdrop": 0.05,
    "encoder_layerdrop": 0.05,
    "scale_embedding": True,
}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    padding_id = config.integer("pad_token_id", 1)
    if padding_id < 0:
        config.refuse("pad_token_id", f"positions begin after it, so {padding_id} cannot be represented")
    return pair_spec(
        config,
        vocab_size=128112,
        padding_id=1,
        norms_input=False,
        position={"type": "sinusoidal", "layout": "concatenated_inclusive", "offset": padding_id + 1},
        head={},
        layout="pre_norm",
        defaults=_DEFAULTS,
    )


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = {"architectures": ["M2M100ForConditionalGeneration"], **pair_config(spec)}
    del config["max_position_embeddings"]
    return config


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    copies = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight")
    return [
        *tensor("source.weight", "model.shared.weight", copies=copies),
        *pair_weights(spec, "model.", has_bias=False),
    ]


def _trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Random tokens; padding holds the padding id and nothing else does, for positions count by it."""
    given = token_trial(spec, padding, random)
    pad, (source, target) = spec.source.padding_id, given.ours
    mask = given.ours_named["source_mask"]
    source, target = (torch.where(tokens == pad, pad + 1, tokens) for tokens in (source, target))
    source = source.masked_fill(~mask, pad)
    theirs = {**given.theirs, "input_ids": source, "decoder_input_ids": target}
    return Trial((source, target), theirs, given.ours_named, given.real)


FAMILY = Family(
    name="m2m_100",
    architectures=("M2M100ForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=2, pad=1, max_length="source + 50"),
    fixed={"tie_word_embeddings": True},
    bookkeeping=("max_position_embeddings",),
    prefix="model.",
    examples=tuple({"pad_token_id": 5, **example} for example in EXAMPLES),
    published=(
        Published(
            source="huggingface.co/facebook/m2m100_418M",
            config={
                "activation_dropout": 0.0,
                "activation_function": "relu",
                "architectures": ["M2M100ForConditionalGeneration"],
                "attention_dropout": 0.1,
                "bos_token_id": 0,
                "d_model": 1024,
                "decoder_attention_heads": 16,
                "decoder_ffn_dim": 4096,
                "decoder_layerdrop": 0.05,
                "decoder_layers": 12,
                "decoder_start_token_id": 2,
                "dropout": 0.1,
                "encoder_attention_heads": 16,
                "encoder_ffn_dim": 4096,
                "encoder_layerdrop": 0.05,
                "encoder_layers": 12,
                "eos_token_id": 2,
                "init_std": 0.02,
                "is_encoder_decoder": True,
                "max_position_embeddings": 1024,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "scale_embedding": True,
                "vocab_size": 128112,
            },
        ),
        Published(
            source="huggingface.co/facebook/nllb-200-distilled-600M",
            config={
                "activation_dropout": 0.0,
                "activation_function": "relu",
                "architectures": ["M2M100ForConditionalGeneration"],
                "attention_dropout": 0.1,
                "bos_token_id": 0,
                "d_model": 1024,
                "decoder_attention_heads": 16,
                "decoder_ffn_dim": 4096,
                "decoder_layerdrop": 0,
                "decoder_layers": 12,
                "decoder_start_token_id": 2,
                "dropout": 0.1,
                "encoder_attention_heads": 16,
                "encoder_ffn_dim": 4096,
                "encoder_layerdrop": 0,
                "encoder_layers": 12,
                "eos_token_id": 2,
                "init_std": 0.02,
                "is_encoder_decoder": True,
                "max_length": 200,
                "max_position_embeddings": 1024,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "scale_embedding": True,
                "tokenizer_class": "NllbTokenizer",
                "vocab_size": 256206,
            },
        ),
    ),
    trial=_trial,
    beam=4,
)
