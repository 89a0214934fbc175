"""Phi-1, 1.5 and 2: Gunasekar et al. 2023, Li et al. 2023. GPT-J's layers with biases; a part of a head turns."""

from __future__ import annotations

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Choice, Field, Head, Rotary
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

FAMILY = decoder_family(
    "phi",
    GATED_DECODER.sibling(
        parts={
            "decoder": {
                "layer": {
                    "layout": {"type": "parallel", "shared_norm": True},
                    "norm": {"type": "layer_norm"},
                    "self_attention": {"bias": True},
                    "ffn": {"type": "mlp"},
                }
            },
            "head": {"bias": True},
        },
        fields={
            "head": Head("Phi"),
            "vocab_size": 51200,
            "d_model": 2048,
            "d_ff": 8192,
            "n_layers": 24,
            "activation": "gelu_new",
            "eps": ("layer_norm_eps", 1e-5),
            "position": Rotary(fraction=0.5),
            "dropout": Field("layer.dropout", "resid_pdrop", 0.0),
            "input_dropout": Field("decoder.input_dropout", "embd_pdrop", 0.0),
            "qk_norm": Choice(
                "layer.self_attention.qk_norm",
                "qk_layernorm",
                False,
                ((False, None), (True, {"type": "layer_norm"})),
            ),
        },
        tensors={
            "layer.self_attention.output": "self_attn.dense",
            "layer.self_attention.query_norm": "self_attn.q_layernorm",
            "layer.self_attention.key_norm": "self_attn.k_layernorm",
            "layer.ffn.inner": "mlp.fc1",
            "layer.ffn.outer": "mlp.fc2",
            "decoder.final_norm": "final_layernorm",
        },
    ),
    writing=Writing(end=2, start=1),
    small={**SMALL, "hidden_size": 48, "num_key_value_heads": 3},
    examples=(
        {"qk_layernorm": True, "partial_rotary_factor": 0.25, "layer_norm_eps": 1e-3},
        {"num_key_value_heads": 6, "tie_word_embeddings": True, "hidden_act": "relu", "rope_theta": 30.0},
        {"num_hidden_layers": 1, "resid_pdrop": 0.1, "embd_pdrop": 0.2, "attention_dropout": 0.3},
    ),
    published=(
        Published(
            source="huggingface.co/microsoft/phi-2",
            config={
                "architectures": ["PhiForCausalLM"],
                "attention_dropout": 0.0,
                "bos_token_id": 50256,
                "embd_pdrop": 0.0,
                "eos_token_id": 50256,
                "hidden_act": "gelu_new",
                "hidden_size": 2560,
                "initializer_range": 0.02,
                "intermediate_size": 10240,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 2048,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 32,
                "partial_rotary_factor": 0.4,
                "qk_layernorm": False,
                "resid_pdrop": 0.1,
                "rope_scaling": None,
                "rope_theta": 10000.0,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 51200,
            },
        ),
    ),
)
