"""Qwen 3 with experts: Yang et al. 2025. Qwen 3 with a mixture of experts in place of each, or some, gated networks."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import SMALL, experts
from zoo.interop.entries import Field, Head, PerLayer, Plain, windowed, windows_of
from zoo.interop.families.qwen3 import QWEN3
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def _layers(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    """The window, which is one for all layers, and those layers that have one network only."""
    window = config.nullable_integer("sliding_window", 4096)
    seen = window if config.boolean("use_sliding_window", False) else None
    attention = windowed(layer["self_attention"], seen)
    dense = {**layer["ffn"]["expert"], "d_ff": config.integer("intermediate_size", 6144)}
    every, plain = config.integer("decoder_sparse_step", 1), config.value("mlp_only_layers", None) or []
    is_dense = [i in plain or (i + 1) % every != 0 for i in range(n_layers)]
    return [{"self_attention": attention, **({"ffn": dense} if one else {})} for one in is_dense]


def _fields(spec: Any) -> Plain:
    layers, window = spec.decoder.each_layer(), windows_of(spec)[0]
    dense = [i for i, layer in enumerate(layers) if layer.ffn.type != "mixture_of_experts"]
    return {
        "use_sliding_window": window is not None,
        "sliding_window": window,
        "mlp_only_layers": dense,
        **({"intermediate_size": layers[dense[0]].ffn.d_ff} if dense else {}),
    }


FAMILY = decoder_family(
    "qwen3_moe",
    QWEN3.sibling(
        parts={"decoder": {"layer": {"ffn": {"type": "mixture_of_experts", "expert": {"type": "glu"}}}}},
        without=("windows",),
        fields={
            "head": Head("Qwen3Moe"),
            "d_model": 2048,
            "n_layers": 24,
            "n_kv_heads": 4,
            "d_k": None,
            "d_ff": Field("layer.ffn.expert.d_ff", "moe_intermediate_size", 768),
            "activation": Field("layer.ffn.expert.activation", "hidden_act", "silu"),
            "n_experts": Field("layer.ffn.n_experts", "num_experts", 128, alias="num_local_experts"),
            "top_k": Field("layer.ffn.top_k", "num_experts_per_tok", 8),
            "normalised": Field("layer.ffn.normalised", "norm_topk_prob", False),
            "balance": Field("layer.ffn.balance", "router_aux_loss_coef", 0.001),
            "layers": PerLayer(_layers, _fields),
        },
        further=partial(experts, folder="mlp", names=("gate_proj", "up_proj", "down_proj")),
    ),
    bookkeeping=("max_window_layers", "output_router_logits"),
    writing=Writing(end=None),
    small={**SMALL, "head_dim": 8, "num_experts": 5, "num_experts_per_tok": 2, "moe_intermediate_size": 7},
    examples=(
        {"norm_topk_prob": True, "tie_word_embeddings": True},
        {
            "num_hidden_layers": 3,
            "mlp_only_layers": [2],
            "use_sliding_window": True,
            "sliding_window": 3,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
        },
        {"decoder_sparse_step": 2, "num_experts": 4, "router_aux_loss_coef": 0.02, "hidden_act": "gelu"},
    ),
    published=(
        Published(
            source="huggingface.co/Qwen/Qwen3-30B-A3B",
            config={
                "architectures": ["Qwen3MoeForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 151643,
                "decoder_sparse_step": 1,
                "eos_token_id": 151645,
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 6144,
                "max_position_embeddings": 40960,
                "max_window_layers": 48,
                "mlp_only_layers": [],
                "moe_intermediate_size": 768,
                "norm_topk_prob": True,
                "num_attention_heads": 32,
                "num_experts": 128,
                "num_experts_per_tok": 8,
                "num_hidden_layers": 48,
                "num_key_value_heads": 4,
                "output_router_logits": False,
                "rms_norm_eps": 1e-06,
                "rope_scaling": None,
                "rope_theta": 1000000.0,
                "router_aux_loss_coef": 0.001,
                "sliding_window": None,
                "tie_word_embeddings": False,
                "use_cache": True,
                "use_sliding_window": False,
                "vocab_size": 151936,
            },
        ),
    ),
)
