"""Mistral 7B and the models of its code: Jiang et al. 2023. LLaMA with a sliding window over the last tokens."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.gated_decoder import (
    PREFIX,
    Defaults,
    architectures,
    gated_decoder_config,
    gated_decoder_spec,
    gated_decoder_weights,
    layer_count,
    without_words,
)
from zoo.interop.table import windows_of
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing

_DEFAULTS = Defaults(
    vocab_size=32000, d_model=4096, d_ff=14336, n_layers=32, n_heads=32, n_kv_heads=8, max_len=131072
)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    window = config.nullable_integer("sliding_window", 4096)
    return gated_decoder_spec(config, _DEFAULTS, windows=[window] * layer_count(config, _DEFAULTS))


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    return {**gated_decoder_config(spec, "MistralForCausalLM"), "sliding_window": windows_of(spec)[0]}


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}

FAMILY = Family(
    name="mistral",
    architectures=architectures("Mistral"),
    to_spec=to_spec,
    to_config=to_config,
    weights=gated_decoder_weights,
    prefix=PREFIX,
    trial=last_token_trial,
    ignored=(r"rotary_emb\.inv_freq$",),
    writing=Writing(end=2, start=1),
    examples=(
        {**_SMALL, "sliding_window": 3},
        {
            **_SMALL,
            "sliding_window": None,
            "num_key_value_heads": 3,
            "head_dim": 4,
            "tie_word_embeddings": True,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "sliding_window": 2,
            "rms_norm_eps": 1e-3,
            "hidden_act": "relu",
            "attention_dropout": 0.1,
            "pad_token_id": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 70.0},
        },
        *without_words("Mistral", _SMALL),
    ),
    published=(
        Published(
            preset="mistral_7b",
            source="huggingface.co/mistralai/Mistral-7B-v0.1",
            config={
                "architectures": ["MistralForCausalLM"],
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_act": "silu",
                "hidden_size": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 14336,
                "max_position_embeddings": 32768,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 8,
                "rms_norm_eps": 1e-05,
                "rope_theta": 10000.0,
                "sliding_window": 4096,
                "tie_word_embeddings": False,
                "torch_dtype": "bfloat16",
                "transformers_version": "4.34.0.dev0",
                "use_cache": True,
                "vocab_size": 32000,
            },
        ),
    ),
)
