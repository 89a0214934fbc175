"""Gemma (the first one): Gemma Team 2024a. LLaMA with gains of 1 + w, embeddings times √d_model and wide heads.

Its first configs say `hidden_act: gelu`, by which transformers means the tanh approximation, as the published code has.
"""

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
    without_words,
)
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing

_DEFAULTS = Defaults(
    vocab_size=256000,
    d_model=3072,
    d_ff=24576,
    n_layers=28,
    n_heads=16,
    n_kv_heads=16,
    d_k=256,
    activation="gelu_pytorch_tanh",
    max_len=8192,
    tied=True,
    padding_id=0,
)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    activation = config.activation("hidden_act", "gelu_pytorch_tanh")
    spec = gated_decoder_spec(
        config,
        _DEFAULTS,
        attention={"bias": config.boolean("attention_bias", False)},
        ffn={"activation": "gelu_tanh" if config.value("hidden_act", None) == "gelu" else activation},
        norm={"unit_offset": True},
    )
    spec["tokens"]["scale"] = "sqrt_d_model"
    return spec


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    attention = spec.decoder.each_layer()[0].self_attention
    return {**gated_decoder_config(spec, "GemmaForCausalLM"), "attention_bias": attention.bias is True}


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "head_dim": 10,
}

FAMILY = Family(
    name="gemma",
    architectures=architectures("Gemma"),
    to_spec=to_spec,
    to_config=to_config,
    weights=gated_decoder_weights,
    fixed={
        "hidden_activation": (
            None,
            "gelu_pytorch_tanh",
        ),  # what the first versions read instead of hidden_act
        "use_bidirectional_attention": (None, False),
    },
    prefix=PREFIX,
    trial=last_token_trial,
    ignored=(r"rotary_emb\.inv_freq$",),
    writing=Writing(end=1, start=2, pad=0),
    examples=(
        {**_SMALL, "hidden_act": "gelu"},
        {
            **_SMALL,
            "num_key_value_heads": 3,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": 40.0,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "hidden_act": "silu",
            "pad_token_id": None,
            "tie_word_embeddings": False,
            "attention_dropout": 0.1,
        },
        *without_words("Gemma", _SMALL),
    ),
    published=(
        Published(
            preset="gemma_2b",
            source="huggingface.co/google/gemma-2b",
            config={
                "architectures": ["GemmaForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 2,
                "eos_token_id": 1,
                "head_dim": 256,
                "hidden_act": "gelu",
                "hidden_activation": "gelu_pytorch_tanh",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 16384,
                "max_position_embeddings": 8192,
                "num_attention_heads": 8,
                "num_hidden_layers": 18,
                "num_key_value_heads": 1,
                "pad_token_id": 0,
                "rms_norm_eps": 1e-06,
                "rope_scaling": None,
                "rope_theta": 10000.0,
                "torch_dtype": "bfloat16",
                "transformers_version": "4.38.0.dev0",
                "use_cache": True,
                "vocab_size": 256000,
            },
        ),
    ),
)
