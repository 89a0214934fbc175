"""Qwen 3, the dense models: Yang et al. 2025. Qwen 2 without biases, with each head's query and key normalised."""

from __future__ import annotations

from zoo.interop.decoders import SMALL
from zoo.interop.entries import Field, Head
from zoo.interop.families.qwen2 import QWEN2
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

QWEN3 = QWEN2.sibling(
    parts={
        "decoder": {"layer": {"self_attention": {"qk_norm": {"type": "rms_norm", "casts_before_gain": True}}}}
    },
    fields={
        "head": Head("Qwen3"),
        "d_k": 128,
        "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
    },
)

FAMILY = decoder_family(
    "qwen3",
    QWEN3,
    writing=Writing(end=None),
    small={**SMALL, "head_dim": 8},
    examples=(
        {"tie_word_embeddings": True},
        {
            "attention_bias": True,
            "num_key_value_heads": 3,
            "rms_norm_eps": 1e-3,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
        {
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
