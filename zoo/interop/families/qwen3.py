"""Qwen 3, the dense models: Yang et al. 2025. Qwen 2 without biases, with each head's query and key normalised."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zoo.interop.config import Config
from zoo.interop.families.qwen2 import DEFAULTS, window_fields, windows
from zoo.interop.family import Family, Published
from zoo.interop.gated_decoder import (
    PREFIX,
    architectures,
    gated_decoder_config,
    gated_decoder_spec,
    gated_decoder_weights,
    without_words,
)
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing

_DEFAULTS = replace(DEFAULTS, d_k=128)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    bias = config.boolean("attention_bias", False)
    return gated_decoder_spec(
        config, _DEFAULTS, attention={"bias": bias, "qk_norm": "rms_norm"}, windows=windows(config)
    )


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    attention = spec.decoder.each_layer()[0].self_attention
    return {
        **gated_decoder_config(spec, "Qwen3ForCausalLM"),
        **window_fields(spec),
        "attention_bias": attention.bias is True,
    }


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
}

FAMILY = Family(
    name="qwen3",
    architectures=architectures("Qwen3"),
    to_spec=to_spec,
    to_config=to_config,
    weights=gated_decoder_weights,
    prefix=PREFIX,
    trial=last_token_trial,
    ignored=(r"rotary_emb\.inv_freq$",),
    writing=Writing(end=None),
    examples=(
        {**_SMALL, "tie_word_embeddings": True},
        {
            **_SMALL,
            "attention_bias": True,
            "num_key_value_heads": 3,
            "rms_norm_eps": 1e-3,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "hidden_act": "relu",
            "attention_dropout": 0.1,
            "pad_token_id": 4,
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 16,
                "attention_factor": 0.9,
            },
        },
        *without_words("Qwen3", _SMALL),
    ),
    published=(
        Published(
            preset="qwen3_0_6b",
            source="huggingface.co/Qwen/Qwen3-0.6B",
            config={
                "architectures": ["Qwen3ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 151643,
                "eos_token_id": 151645,
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 1024,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "max_position_embeddings": 40960,
                "max_window_layers": 28,
                "num_attention_heads": 16,
                "num_hidden_layers": 28,
                "num_key_value_heads": 8,
                "rms_norm_eps": 1e-06,
                "rope_scaling": None,
                "rope_theta": 1000000,
                "sliding_window": None,
                "tie_word_embeddings": True,
                "torch_dtype": "bfloat16",
                "transformers_version": "4.51.0",
                "use_cache": True,
                "use_sliding_window": False,
                "vocab_size": 151936,
            },
        ),
    ),
)
