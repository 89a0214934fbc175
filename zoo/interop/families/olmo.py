"""OLMo, the first one: Groeneveld et al. 2024. LLaMA with layer norms that have neither gain nor bias."""

from __future__ import annotations

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field, Head, PaddingId
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

NORM = {"type": "layer_norm", "gain": False, "bias": False, "eps": 1e-5}

FAMILY = decoder_family(
    "olmo",
    GATED_DECODER.sibling(
        parts={"decoder": {"layer": {"norm": NORM}}},
        without=("eps",),
        fields={
            "head": Head("Olmo"),
            "vocab_size": 50304,
            "padding_id": PaddingId(1),
            "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
        },
    ),
    fixed={"clip_qkv": None},
    writing=Writing(end=50279, pad=1),
    small={**SMALL, "pad_token_id": None},
    examples=(
        {"tie_word_embeddings": True},
        {"attention_bias": True, "head_dim": 4, "pad_token_id": 3, "rope_theta": 30.0, "hidden_act": "gelu"},
    ),
    published=(
        Published(
            source="huggingface.co/allenai/OLMo-1B-hf",
            config={
                "architectures": ["OlmoForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "clip_qkv": None,
                "eos_token_id": 50279,
                "hidden_act": "silu",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 8192,
                "max_position_embeddings": 2048,
                "num_attention_heads": 16,
                "num_hidden_layers": 16,
                "num_key_value_heads": 16,
                "pad_token_id": 1,
                "rope_scaling": None,
                "rope_theta": 10000.0,
                "tie_word_embeddings": True,
                "use_cache": True,
                "vocab_size": 50304,
            },
        ),
    ),
)
