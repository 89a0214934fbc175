"""LED: Beltagy et al. 2020. BART whose encoder has Longformer's windows and global tokens.

What transformers calls global_attention_mask is our model's global_tokens; the authors make the first token global, and
transformers none that it is not told, as here. Its padding to a multiple of the window is its kernel's need, not ours.
"""

from __future__ import annotations

from typing import Any

import torch

from zoo.interop.config import Config
from zoo.interop.families.longformer import windows, with_global_tokens
from zoo.interop.family import Family, Published
from zoo.interop.pair import EXAMPLES, pair_config, pair_spec, pair_weights
from zoo.interop.rules import Rules, tensor
from zoo.interop.trial import Padding, Trial, token_trial
from zoo.interop.writing import Writing

_SELF = "longformer_self_attn"
_PROJECTIONS = ("query", "key", "value", "query_global", "key_global", "value_global")
_ENCODER = {**{name: f"{_SELF}.{name}" for name in _PROJECTIONS}, "output": "output"}
_LENGTHS = {
    "encoder": ("max_encoder_position_embeddings", 16384),
    "decoder": ("max_decoder_position_embeddings", 1024),
}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    config.only("scale_embedding", False)
    positions = {
        name: {"type": "learned", "max_len": config.integer(*field), "counts_padding": True}
        for name, field in _LENGTHS.items()
    }
    spec = pair_spec(
        config,
        vocab_size=50265,
        padding_id=1,
        norms_input=True,
        position=positions["decoder"],
        head={"bias": "fixed"},
    )
    encoder = spec["encoder"]
    layer, n_layers = encoder["layer"], encoder.pop("n_layers")
    attention = {**layer["self_attention"], "type": "global_local"}
    encoder["layers"] = [
        {"layer": {"self_attention": {**attention, "radius": window // 2}}}
        for window in windows(config, n_layers)
    ]
    encoder["position"] = positions["encoder"]
    return spec


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = pair_config(spec)
    for name in ("max_position_embeddings", "scale_embedding"):
        del config[name]
    positions = {name: getattr(spec, name).position or spec.position for name in _LENGTHS}
    return {
        "architectures": ["LEDForConditionalGeneration"],
        **config,
        **{field: positions[name].max_len for name, (field, _) in _LENGTHS.items()},
        "attention_window": [2 * layer.self_attention.radius for layer in spec.encoder.each_layer()],
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    copies = ("led.encoder.embed_tokens.weight", "led.decoder.embed_tokens.weight")
    return [
        *tensor("source.weight", "led.shared.weight", copies=copies),
        *tensor("encoder.position.table.weight", "led.encoder.embed_positions.weight"),
        *tensor("decoder.position.table.weight", "led.decoder.embed_positions.weight"),
        *pair_weights(spec, "led.", encoder_attention=_ENCODER),
    ]


def trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Two sequences, most sources with some global tokens; without padding none is named."""
    given = token_trial(spec, padding, random)
    if padding == "none":
        return given
    return with_global_tokens(given, given.ours_named["source_mask"], spec, random)


def _example(given: dict[str, Any], **fields: Any) -> dict[str, Any]:
    kept = {
        name: value
        for name, value in given.items()
        if name not in ("max_position_embeddings", "scale_embedding")
    }
    return {**kept, "max_encoder_position_embeddings": 37, "max_decoder_position_embeddings": 40, **fields}


FAMILY = Family(
    name="led",
    architectures=("LEDForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=2, pad=1, max_length="source + 50"),
    fixed={"tie_word_embeddings": True},
    bookkeeping=("_num_labels", "classif_dropout", "classifier_dropout"),
    prefix="led.",
    trial=trial,
    examples=(
        _example(EXAMPLES[0], attention_window=4),
        _example(EXAMPLES[1], attention_window=[8, 4]),
    ),
    published=(
        Published(
            source="huggingface.co/allenai/led-base-16384",
            config={
                "_num_labels": 3,
                "activation_dropout": 0.0,
                "activation_function": "gelu",
                "architectures": ["LEDForConditionalGeneration"],
                "attention_dropout": 0.0,
                "attention_window": [1024] * 6,
                "bos_token_id": 0,
                "classif_dropout": 0.0,
                "classifier_dropout": 0.0,
                "d_model": 768,
                "decoder_attention_heads": 12,
                "decoder_ffn_dim": 3072,
                "decoder_layerdrop": 0.0,
                "decoder_layers": 6,
                "decoder_start_token_id": 2,
                "dropout": 0.1,
                "encoder_attention_heads": 12,
                "encoder_ffn_dim": 3072,
                "encoder_layerdrop": 0.0,
                "encoder_layers": 6,
                "eos_token_id": 2,
                "gradient_checkpointing": False,
                "init_std": 0.02,
                "is_encoder_decoder": True,
                "max_decoder_position_embeddings": 1024,
                "max_encoder_position_embeddings": 16384,
                "num_hidden_layers": 6,
                "pad_token_id": 1,
                "use_cache": False,
                "vocab_size": 50265,
            },
        ),
    ),
    beam=4,
)
