"""Mistral 7B and the models of its code: Jiang et al. 2023. LLaMA with a sliding window over the last tokens."""

from __future__ import annotations

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Head, Rotary, Window
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

MISTRAL = GATED_DECODER.sibling(
    fields={
        "head": Head("Mistral"),
        "d_ff": 14336,
        "n_kv_heads": 8,
        "position": Rotary(max_len=131072),
        "window": Window("sliding_window", 4096),
    }
)

FAMILY = decoder_family(
    "mistral",
    MISTRAL,
    writing=Writing(end=2, start=1),
    small=SMALL,
    examples=(
        {"sliding_window": 3},
        {
            "sliding_window": None,
            "num_key_value_heads": 3,
            "head_dim": 4,
            "tie_word_embeddings": True,
        },
        {
            "num_hidden_layers": 1,
            "sliding_window": 2,
            "rms_norm_eps": 1e-3,
            "hidden_act": "relu",
            "attention_dropout": 0.1,
            "pad_token_id": 2,
            "rope_parameters": {"rope_type": "default", "rope_theta": 70.0},
        },
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
