"""Whisper: Radford et al. 2022, and what is distilled from it (Distil-Whisper).

Its encoder reads spectrograms of one length, and the table of its sinusoids is a tensor of the checkpoint.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.components.position.sinusoidal import sinusoids
from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rules, for_each, module, table, tensor
from zoo.interop.trial import Padding, Trial
from zoo.interop.writing import Writing

_BIAS = ["query", "value", "output"]
_TABLE = "model.encoder.embed_positions.weight"
_EPS = 1e-5  # no field of the config: torch's default


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    vocab_size = config.integer("vocab_size", 51865)
    n_encoder_layers = config.integer("encoder_layers", 4)
    config.only("num_hidden_layers", n_encoder_layers, reason=" beside encoder_layers")
    activation = config.activation("activation_function", "gelu")
    dropout = config.number("dropout", 0.0)
    attention_dropout = config.number("attention_dropout", 0.0)
    hidden_dropout = config.number("activation_dropout", 0.0)

    def layer(stack: str) -> dict[str, Any]:
        n_heads = config.integer(f"{stack}_attention_heads", 6)
        attention = {"type": "multi_head", "n_heads": n_heads, "bias": _BIAS, "dropout": attention_dropout}
        d_ff = config.integer(f"{stack}_ffn_dim", 1536)
        return {
            "layout": "pre_norm",
            "norm": {"type": "layer_norm", "eps": _EPS},
            "self_attention": attention,
            "cross_attention": attention if stack == "decoder" else None,
            "ffn": {"type": "mlp", "d_ff": d_ff, "activation": activation, "dropout": hidden_dropout},
            "dropout": dropout,
        }

    return {
        "type": "encoder_decoder",
        "d_model": config.integer("d_model", 384),
        "source": {
            "type": "mel_frames",
            "n_mels": config.integer("num_mel_bins", 80),
            "n_frames": 2 * config.integer("max_source_positions", 1500),
        },
        "target": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "none",
            "padding_id": config.padding_id(default=50256, vocab_size=vocab_size),
        },
        "encoder": {
            "n_layers": n_encoder_layers,
            "position": _encoder_position(config),
            "layer": layer("encoder"),
            "layer_drop": config.number("encoder_layerdrop", 0.0),
        },
        "decoder": {
            "n_layers": config.integer("decoder_layers", 4),
            "position": {"type": "learned", "max_len": config.integer("max_target_positions", 448)},
            "layer": layer("decoder"),
            "layer_drop": config.number("decoder_layerdrop", 0.0),
        },
        "head": {
            "type": "language_model",
            "predicts": "target",
            "tied": config.boolean("tie_word_embeddings", True),
        },
        "initialization": {"type": "normal", "std": config.number("init_std", 0.02)},
    }


def _encoder_position(config: Config) -> dict[str, Any]:
    """The sinusoids, or, where a checkpoint holds them rounded, its own numbers."""
    if _TABLE in config.variant.own_tables:
        return {"type": "learned", "max_len": config.integer("max_source_positions", 1500)}
    return {"type": "sinusoidal", "layout": "concatenated_inclusive"}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    encoder, decoder = spec.encoder.each_layer(), spec.decoder.each_layer()
    return {
        "architectures": ["WhisperForConditionalGeneration"],
        "vocab_size": spec.target.vocab_size,
        "num_mel_bins": spec.source.n_mels,
        "max_source_positions": spec.source.n_frames // 2,
        "max_target_positions": spec.decoder.position.max_len,
        "d_model": spec.d_model,
        "encoder_layers": len(encoder),
        "encoder_attention_heads": encoder[0].self_attention.n_heads,
        "encoder_ffn_dim": encoder[0].ffn.d_ff,
        "encoder_layerdrop": spec.encoder.layer_drop,
        "decoder_layers": len(decoder),
        "decoder_attention_heads": decoder[0].self_attention.n_heads,
        "decoder_ffn_dim": decoder[0].ffn.d_ff,
        "decoder_layerdrop": spec.decoder.layer_drop,
        "activation_function": activation_name(encoder[0].ffn.activation),
        "dropout": encoder[0].dropout,
        "attention_dropout": encoder[0].self_attention.dropout,
        "activation_dropout": encoder[0].ffn.dropout,
        "pad_token_id": spec.target.padding_id,
        "tie_word_embeddings": spec.head.tied,
        "init_std": getattr(spec.initialization, "std", 0.02),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    positions = partial(_sinusoids, spec.source.n_frames // 2, spec.d_model)
    return [
        *module("source.inner", "model.encoder.conv1"),
        *module("source.outer", "model.encoder.conv2"),
        *(
            tensor("encoder.position.table.weight", _TABLE)
            if spec.encoder.position.type == "learned"
            else table(_TABLE, positions)
        ),
        *tensor("target.weight", "model.decoder.embed_tokens.weight"),
        *tensor("decoder.position.table.weight", "model.decoder.embed_positions.weight"),
        *_stack("encoder", len(spec.encoder.each_layer()), ffn=1),
        *_stack("decoder", len(spec.decoder.each_layer()), ffn=2),
        *tensor("head.weight", "proj_out.weight"),
    ]


def _sinusoids(length: int, d_model: int) -> Tensor:
    return sinusoids(torch.arange(length), d_model, 10000.0, "concatenated_inclusive").float()


def _stack(name: str, n_layers: int, *, ffn: int) -> Rules:
    """The rules of one stack, whose network is its layers' sublayer number `ffn`."""
    ours, theirs = f"{name}.layers.{{i}}", f"model.{name}.layers.{{i}}"
    return [
        *for_each(
            "i",
            n_layers,
            _attention(f"{ours}.self_attention", f"{theirs}.self_attn"),
            module(f"{ours}.layout.norms.0", f"{theirs}.self_attn_layer_norm"),
            _attention(f"{ours}.cross_attention", f"{theirs}.encoder_attn"),
            module(f"{ours}.layout.norms.1", f"{theirs}.encoder_attn_layer_norm") if ffn == 2 else [],
            module(f"{ours}.ffn.inner", f"{theirs}.fc1"),
            module(f"{ours}.ffn.outer", f"{theirs}.fc2"),
            module(f"{ours}.layout.norms.{ffn}", f"{theirs}.final_layer_norm"),
        ),
        *module(f"{name}.final_norm", f"model.{name}.layer_norm"),
    ]


def _attention(ours: str, theirs: str) -> Rules:
    return [
        *module(f"{ours}.query", f"{theirs}.q_proj"),
        *module(f"{ours}.key", f"{theirs}.k_proj"),
        *module(f"{ours}.value", f"{theirs}.v_proj"),
        *module(f"{ours}.output", f"{theirs}.out_proj"),
    ]


def trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Spectrograms, which have no padding, and as many tokens in every row."""
    features = torch.randn(3, spec.source.n_mels, spec.source.n_frames, generator=random)
    tokens = torch.randint(spec.target.vocab_size, (3, 7), generator=random)
    return Trial((features, tokens), {"input_features": features, "decoder_input_ids": tokens})


_SMALL = {
    "vocab_size": 31,
    "num_mel_bins": 5,
    "max_source_positions": 9,
    "max_target_positions": 13,
    "d_model": 12,
    "encoder_layers": 2,
    "encoder_attention_heads": 3,
    "encoder_ffn_dim": 19,
    "decoder_layers": 3,
    "decoder_attention_heads": 6,
    "decoder_ffn_dim": 23,
    "pad_token_id": 29,
    "bos_token_id": 29,
    "eos_token_id": 29,
    "decoder_start_token_id": 30,
}

_NOT_SPEECH = [  # brackets, notes, punctuation in a row, and the marks of tasks
    1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31, 58, 59, 60, 61, 62, 63, 90, 91, 92, 93, 359, 503, 522, 542, 873, 893,
    902, 918, 922, 931, 1350, 1853, 1982, 2460, 2627, 3246, 3253, 3268, 3536, 3846, 3961, 4183, 4667, 6585, 6647, 7273,
    9061, 9383, 10428, 10929, 11938, 12033, 12331, 12562, 13793, 14157, 14635, 15265, 15618, 16553, 16604, 18362, 18956,
    20075, 21675, 22520, 26130, 26161, 26435, 28279, 29464, 31650, 32302, 32470, 36865, 42863, 47425, 49870, 50254,
    50258, 50360, 50361, 50362,
]  # fmt: skip

_PUBLISHED = {
    "activation_dropout": 0.0,
    "activation_function": "gelu",
    "architectures": ["WhisperForConditionalGeneration"],
    "attention_dropout": 0.0,
    "begin_suppress_tokens": [220, 50257],
    "bos_token_id": 50257,
    "decoder_layerdrop": 0.0,
    "decoder_start_token_id": 50258,
    "dropout": 0.0,
    "encoder_layerdrop": 0.0,
    "eos_token_id": 50257,
    "forced_decoder_ids": [[1, 50259], [2, 50359], [3, 50363]],
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "max_length": 448,
    "max_source_positions": 1500,
    "max_target_positions": 448,
    "num_mel_bins": 80,
    "pad_token_id": 50257,
    "scale_embedding": False,
    "suppress_tokens": _NOT_SPEECH,
    "torch_dtype": "float32",
    "transformers_version": "4.27.0.dev0",
    "use_cache": True,
    "vocab_size": 51865,
}

FAMILY = Family(
    name="whisper",
    architectures=("WhisperForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={
        "apply_spec_augment": False,
        "scale_embedding": False,  # transformers computes the scale and leaves it unused
    },
    bookkeeping=(
        "classifier_proj_size",
        "mask_feature_length",
        "mask_feature_min_masks",
        "mask_feature_prob",
        "mask_time_length",
        "mask_time_min_masks",
        "mask_time_prob",
        "median_filter_width",
        "use_weighted_layer_sum",
    ),
    prefix="model.",
    examples=(
        _SMALL,
        {
            **_SMALL,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "activation_function": "relu",
            "tie_word_embeddings": False,
            "dropout": 0.1,
            "attention_dropout": 0.2,
            "activation_dropout": 0.3,
            "encoder_layerdrop": 0.05,
            "decoder_layerdrop": 0.15,
        },
        {  # as long as the published ones, where the reference's table, in float32, is least exact
            **_SMALL,
            "num_mel_bins": 2,
            "max_source_positions": 1500,
            "d_model": 6,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "pad_token_id": None,
        },
    ),
    published=(
        Published(
            preset="whisper_tiny",
            source="huggingface.co/openai/whisper-tiny",
            config={
                **_PUBLISHED,
                "_name_or_path": "openai/whisper-tiny",
                "d_model": 384,
                "decoder_attention_heads": 6,
                "decoder_ffn_dim": 1536,
                "decoder_layers": 4,
                "encoder_attention_heads": 6,
                "encoder_ffn_dim": 1536,
                "encoder_layers": 4,
                "num_hidden_layers": 4,
            },
        ),
        Published(
            preset="whisper_small",
            source="huggingface.co/openai/whisper-small, commit 973afd2",
            config={
                **_PUBLISHED,
                "_name_or_path": "openai/whisper-small",
                "d_model": 768,
                "decoder_attention_heads": 12,
                "decoder_ffn_dim": 3072,
                "decoder_layers": 12,
                "encoder_attention_heads": 12,
                "encoder_ffn_dim": 3072,
                "encoder_layers": 12,
                "num_hidden_layers": 12,
            },
        ),
    ),
    writing=Writing(end=50256, start=50257, pad=50256, forbidding="suppress_tokens"),
    trial=trial,
    paddings=("none",),
)
