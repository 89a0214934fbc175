"""OLMo 2: Walsh et al. 2025. LLaMA with norms behind sublayers, and of the queries and keys of all heads together."""

from __future__ import annotations

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field, Head, PaddingId
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

OLMO2 = GATED_DECODER.sibling(
    parts={
        "decoder": {
            "layer": {
                "layout": "output_norm",
                "norm": {"type": "rms_norm", "casts_before_gain": False},
                "self_attention": {"qk_norm": {"type": "rms_norm"}, "qk_norm_over": "all"},
            }
        }
    },
    fields={
        "head": Head("Olmo2"),
        "vocab_size": 50304,
        "padding_id": PaddingId(1),
        "eps": 1e-5,
        "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
    },
    tensors={
        "layer.layout.norms.0": "post_attention_layernorm",
        "layer.layout.norms.1": "post_feedforward_layernorm",
    },
)

FAMILY = decoder_family(
    "olmo2",
    OLMO2,
    writing=Writing(end=50279, pad=1),
    small={**SMALL, "pad_token_id": None},
    examples=(
        {"tie_word_embeddings": True},
        {"attention_bias": True, "head_dim": 4, "pad_token_id": 3, "rope_theta": 30.0, "rms_norm_eps": 1e-3},
        {"num_hidden_layers": 1, "num_key_value_heads": 6, "hidden_act": "gelu", "attention_dropout": 0.1},
    ),
    published=(
        Published(
            source="huggingface.co/allenai/OLMo-2-1124-7B",
            config={
                "architectures": ["Olmo2ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "eos_token_id": 100257,
                "hidden_act": "silu",
                "hidden_size": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 11008,
                "max_position_embeddings": 4096,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 32,
                "pad_token_id": 100277,
                "rms_norm_eps": 1e-06,
                "rope_scaling": None,
                "rope_theta": 500000,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 100352,
            },
        ),
    ),
)
