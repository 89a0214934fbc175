"""GLM-4-0414: GLM Team 2024. LLaMA with norms around each sublayer; half of a head turns, by neighbours."""

from __future__ import annotations

from zoo.interop.decoders import GATE_UP, GATED_DECODER, SMALL
from zoo.interop.entries import Choice, Head, PaddingId, Rotary
from zoo.interop.family import Published
from zoo.interop.rules import Split
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

FAMILY = decoder_family(
    "glm4",
    GATED_DECODER.sibling(
        parts={"position": {"pairing": "interleaved"}, "decoder": {"layer": {"layout": "sandwich"}}},
        fields={
            "head": Head("Glm4"),
            "vocab_size": 151552,
            "padding_id": PaddingId(151329),
            "d_ff": 13696,
            "n_layers": 40,
            "n_kv_heads": 2,
            "d_k": 128,
            "eps": 1.5625e-07,
            "position": Rotary(max_len=131072, fraction=0.5),
            "attention_bias": Choice(
                "layer.self_attention.bias",
                "attention_bias",
                True,
                ((True, ["query", "key", "value"]), (False, False)),
            ),
        },
        tensors={
            GATE_UP: ("mlp.gate_up_proj", Split(2)),
            "layer.layout.output_norms.0": "post_self_attn_layernorm",
            "layer.layout.output_norms.1": "post_mlp_layernorm",
        },
    ),
    writing=Writing(end=151329, pad=151329),
    small={**SMALL, "head_dim": 8, "pad_token_id": None},
    examples=(
        {"tie_word_embeddings": True, "pad_token_id": 3},
        {"attention_bias": False, "partial_rotary_factor": 0.25, "rms_norm_eps": 1e-3, "rope_theta": 50.0},
    ),
    published=(
        Published(
            source="huggingface.co/zai-org/GLM-4-9B-0414",
            config={
                "architectures": ["Glm4ForCausalLM"],
                "attention_bias": True,
                "attention_dropout": 0.0,
                "eos_token_id": [151329, 151336, 151338],
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 13696,
                "max_position_embeddings": 32768,
                "num_attention_heads": 32,
                "num_hidden_layers": 40,
                "num_key_value_heads": 2,
                "pad_token_id": 151329,
                "partial_rotary_factor": 0.5,
                "rms_norm_eps": 1e-05,
                "rope_theta": 10000.0,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 151552,
            },
        ),
    ),
)
