"""StableLM 3B and 2: Tow et al. 2023, Bellagente et al. 2024. LLaMA with layer norms, of which a quarter turns; the
largest norms each head of queries and keys by itself, its attention and network side by side."""

from __future__ import annotations

from typing import Any

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Choice, Head, Rotary, at
from zoo.interop.family import Published
from zoo.interop.rules import Rules, module
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def _norms_of_heads(spec: Any, layer: str) -> Rules:
    """Each head's own norm, of queries and of keys."""
    attention = at(spec, "layer.self_attention")
    rules: Rules = []
    if attention.qk_norm is None:
        return rules
    for name, n in (("query", attention.n_heads), ("key", attention.n_kv_heads or attention.n_heads)):
        for head in range(n):
            ours = f"decoder.layers.{{i}}.self_attention.{name}_norm.{head}"
            rules += module(ours, f"{layer}.self_attn.{name[0]}_layernorm.norms.{head}")
    return rules


FAMILY = decoder_family(
    "stablelm",
    GATED_DECODER.sibling(
        parts={"decoder": {"layer": {"norm": {"type": "layer_norm"}}}},
        without=("d_k",),
        fields={
            "head": Head("StableLm"),
            "vocab_size": 50304,
            "d_model": 2560,
            "d_ff": 6912,
            "n_kv_heads": 32,
            "eps": ("layer_norm_eps", 1e-5),
            "position": Rotary(max_len=4096, fraction=0.25),
            "attention_bias": Choice(
                "layer.self_attention.bias",
                "use_qkv_bias",
                False,
                ((False, False), (True, ["query", "key", "value"])),
            ),
            "qk_norm": Choice(
                "layer.self_attention.qk_norm",
                "qk_layernorm",
                False,
                ((False, None), (True, {"type": "layer_norm", "bias": False})),
            ),
            "qk_norm_over": Choice(
                "layer.self_attention.qk_norm_over",
                "qk_layernorm",
                False,
                ((False, "head"), (True, "each_head")),
            ),
            "layout": Choice(
                "layer.layout",
                "use_parallel_residual",
                False,
                ((False, "pre_norm"), (True, {"type": "parallel", "shared_norm": True})),
            ),
        },
        tensors={"layer.self_attention.query_norm": None, "layer.self_attention.key_norm": None},
        further=_norms_of_heads,
    ),
    fixed={"hidden_dropout": 0.0},
    writing=Writing(end=0, start=0),
    small={**SMALL, "hidden_size": 48, "num_key_value_heads": 3},
    examples=(
        {"use_qkv_bias": True, "partial_rotary_factor": 0.5},
        {"use_parallel_residual": True, "num_key_value_heads": 6, "layer_norm_eps": 1e-3},
        {"use_parallel_residual": True, "qk_layernorm": True, "layer_norm_eps": 1e-3},
        {"num_hidden_layers": 1, "rope_theta": 30.0, "tie_word_embeddings": True, "hidden_act": "gelu"},
    ),
    published=(
        Published(
            source="huggingface.co/stabilityai/stablelm-3b-4e1t",
            config={
                "architectures": ["StableLmForCausalLM"],
                "bos_token_id": 0,
                "eos_token_id": 0,
                "hidden_act": "silu",
                "hidden_size": 2560,
                "initializer_range": 0.02,
                "intermediate_size": 6912,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 4096,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 32,
                "partial_rotary_factor": 0.25,
                "rope_theta": 10000,
                "tie_word_embeddings": False,
                "use_cache": True,
                "use_qkv_bias": False,
                "vocab_size": 50304,
            },
        ),
        Published(
            source="huggingface.co/stabilityai/stablelm-2-12b",
            config={
                "architectures": ["StableLmForCausalLM"],
                "bos_token_id": 100257,
                "eos_token_id": 100257,
                "hidden_act": "silu",
                "hidden_size": 5120,
                "initializer_range": 0.02,
                "intermediate_size": 13824,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 4096,
                "num_attention_heads": 32,
                "num_hidden_layers": 40,
                "num_key_value_heads": 8,
                "partial_rotary_factor": 0.25,
                "qk_layernorm": True,
                "rope_theta": 10000,
                "tie_word_embeddings": False,
                "use_cache": True,
                "use_parallel_residual": True,
                "use_qkv_bias": False,
                "vocab_size": 100352,
            },
        ),
    ),
)
