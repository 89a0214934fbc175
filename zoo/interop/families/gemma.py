"""Gemma (the first one): Gemma Team 2024a. LLaMA with gains of 1 + w, embeddings times √d_model and wide heads.

Its first configs say `hidden_act: gelu`, by which transformers means the tanh approximation, as the published code has.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field, Head, PaddingId, Rotary
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class _Activation(Field):
    def _value(self, config: Config) -> Any:
        found = super()._value(config)
        return "gelu_tanh" if config.value(self.name, None) == "gelu" else found


GEMMA = GATED_DECODER.sibling(
    parts={
        "tokens": {"scale": "sqrt_d_model"},
        "decoder": {"layer": {"norm": {"unit_offset": True, "casts_before_gain": False}}},
    },
    fields={
        "head": Head("Gemma", tied=True),
        "vocab_size": 256000,
        "padding_id": PaddingId(0),
        "d_model": 3072,
        "d_ff": 24576,
        "n_layers": 28,
        "n_heads": 16,
        "n_kv_heads": 16,
        "d_k": 256,
        "activation": _Activation("layer.ffn.activation", "hidden_act", "gelu_pytorch_tanh"),
        "position": Rotary(max_len=8192),
        "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
    },
)

FAMILY = decoder_family(
    "gemma",
    GEMMA,
    fixed={
        # what the first versions read instead of hidden_act
        "hidden_activation": (None, "gelu_pytorch_tanh"),
        "use_bidirectional_attention": (None, False),
    },
    writing=Writing(end=1, start=2, pad=0),
    small={**SMALL, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 10},
    examples=(
        {"hidden_act": "gelu"},
        {
            "num_key_value_heads": 3,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": 40.0,
        },
        {
            "num_hidden_layers": 1,
            "hidden_act": "silu",
            "pad_token_id": None,
            "tie_word_embeddings": False,
            "attention_dropout": 0.1,
        },
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
