"""Phi-3 and Phi-4: Abdin et al. 2024. LLaMA with one matrix for queries, keys and values; longrope for long texts."""

from __future__ import annotations

from zoo.interop.decoders import GATE_UP, GATED_DECODER, QKV, SMALL, by_projection
from zoo.interop.entries import Field, Head, PaddingId, Rotary, Window
from zoo.interop.family import Published
from zoo.interop.rules import Split
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

_LONG = {
    "num_hidden_layers": 1,
    "hidden_size": 24,
    "max_position_embeddings": 160,
    "original_max_position_embeddings": 64,
    "rope_scaling": {"type": "longrope", "short_factor": [1.0, 1.25], "long_factor": [2.0, 3.5]},
}

FAMILY = decoder_family(
    "phi3",
    GATED_DECODER.sibling(
        parts={"decoder": {"input_dropout": 0.0}},
        fields={
            "head": Head("Phi3"),
            "vocab_size": 32064,
            "padding_id": PaddingId(32000),
            "d_model": 3072,
            "d_ff": 8192,
            "eps": 1e-5,
            "position": Rotary(max_len=4096, fraction=1.0, original_len=4096),
            "dropout": Field("layer.dropout", "resid_pdrop", 0.0),
            "window": Window("sliding_window"),
        },
        tensors={
            QKV: ("self_attn.qkv_proj", by_projection),
            GATE_UP: ("mlp.gate_up_proj", Split(2)),
        },
    ),
    fixed={"attention_bias": False},
    bookkeeping=(
        "embd_pdrop",
        "original_max_position_embeddings",
    ),  # nothing is dropped there; read with longrope
    writing=Writing(end=32000, start=1, pad=32000),
    small={**SMALL, "pad_token_id": None},
    examples=(
        {"tie_word_embeddings": True, "pad_token_id": 3},
        {"sliding_window": 3, "head_dim": 8, "partial_rotary_factor": 0.75, "rms_norm_eps": 1e-3},
        {"num_hidden_layers": 1, "resid_pdrop": 0.1, "attention_dropout": 0.2, "num_key_value_heads": 6},
        _LONG,
        {**_LONG, "original_max_position_embeddings": 4},  # so that all trials are longer
    ),
    published=(
        Published(
            source="huggingface.co/microsoft/Phi-3-mini-4k-instruct",
            config={
                "architectures": ["Phi3ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 1,
                "embd_pdrop": 0.0,
                "eos_token_id": 32000,
                "hidden_act": "silu",
                "hidden_size": 3072,
                "initializer_range": 0.02,
                "intermediate_size": 8192,
                "max_position_embeddings": 4096,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 32,
                "original_max_position_embeddings": 4096,
                "pad_token_id": 32000,
                "resid_pdrop": 0.0,
                "rms_norm_eps": 1e-05,
                "rope_scaling": None,
                "rope_theta": 10000.0,
                "sliding_window": 2047,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 32064,
            },
        ),
    ),
)
