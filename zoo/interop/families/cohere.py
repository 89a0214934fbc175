"""Command R and R+: Cohere 2024. Attention and gated network side by side under one norm; scaled logits."""

from __future__ import annotations

from typing import Any

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Choice, Field, Head, PaddingId, Rotary
from zoo.interop.family import Published
from zoo.interop.rules import Rules, Unstack, tensor
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

_NORM = {"type": "layer_norm", "bias": False}


def _norms_of_heads(spec: Any, layer: str) -> Rules:
    """Their norms have a row of gains a head."""
    attention = spec.decoder.each_layer()[0].self_attention
    numbers = {"query": attention.n_heads, "key": attention.n_kv_heads or attention.n_heads}
    rules: Rules = []
    for name, n in numbers.items():
        ours = tuple(f"decoder.layers.{{i}}.self_attention.{name}_norm.{h}.weight" for h in range(n))
        rules += tensor(ours, f"{layer}.self_attn.{name[0]}_norm.weight", Unstack(n))
    return rules


FAMILY = decoder_family(
    "cohere",
    GATED_DECODER.sibling(
        parts={
            "position": {"pairing": "interleaved"},
            "decoder": {"layer": {"layout": {"type": "parallel", "shared_norm": True}, "norm": _NORM}},
        },
        fields={
            "head": Head("Cohere", tied=True, suffixes=("ForCausalLM", "Model")),
            "vocab_size": 256000,
            "padding_id": PaddingId(0),
            "d_model": 8192,
            "d_ff": 22528,
            "n_layers": 40,
            "n_heads": 64,
            "eps": ("layer_norm_eps", 1e-5),
            "position": Rotary(base=500000.0, max_len=8192),
            "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
            "qk_norm": Choice(
                "layer.self_attention.qk_norm", "use_qk_norm", False, ((False, None), (True, dict(_NORM)))
            ),
            "qk_norm_over": Choice(
                "layer.self_attention.qk_norm_over",
                "use_qk_norm",
                False,
                ((False, "head"), (True, "each_head")),
            ),
            "logit_scale": Field("head.scale", "logit_scale", 0.0625),
        },
        tensors={
            "layer.layout.norms.1": None,
            "layer.self_attention.query_norm": None,
            "layer.self_attention.key_norm": None,
        },
        further=_norms_of_heads,
    ),
    writing=Writing(end=255001, start=5, pad=0),
    small={**SMALL, "hidden_size": 24, "pad_token_id": None},
    examples=(
        {},
        {
            "use_qk_norm": True,
            "pad_token_id": 3,
            "layer_norm_eps": 1e-3,
            "rope_theta": 30.0,
            "logit_scale": 0.8,
        },
        {
            "num_hidden_layers": 1,
            "attention_bias": True,
            "num_key_value_heads": 6,
            "tie_word_embeddings": False,
            "attention_dropout": 0.1,
            "hidden_act": "gelu",
        },
    ),
    published=(
        Published(
            source="huggingface.co/CohereForAI/c4ai-command-r-v01",
            config={
                "architectures": ["CohereForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 5,
                "eos_token_id": 255001,
                "hidden_act": "silu",
                "hidden_size": 8192,
                "initializer_range": 0.02,
                "intermediate_size": 22528,
                "layer_norm_eps": 1e-05,
                "logit_scale": 0.0625,
                "max_position_embeddings": 8192,
                "num_attention_heads": 64,
                "num_hidden_layers": 40,
                "num_key_value_heads": 64,
                "pad_token_id": 0,
                "rope_theta": 8000000.0,
                "use_cache": True,
                "use_qk_norm": False,
                "vocab_size": 256000,
            },
        ),
    ),
)
