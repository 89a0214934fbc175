"""Qwen 1.5 and 2 with experts: Yang et al. 2024. Qwen 2 with a mixture, and a shared expert behind its own gate."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import SMALL, experts
from zoo.interop.entries import Choice, Field, Head, PerLayer, Plain, Rotary
from zoo.interop.families import qwen2
from zoo.interop.family import Published
from zoo.interop.rules import Rules, module
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def _layers(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    """The windows, as in Qwen 2, and those layers that have one network only."""
    dense = {**layer["ffn"]["expert"], "d_ff": config.integer("intermediate_size", 5632)}
    every, plain = config.integer("decoder_sparse_step", 1), config.value("mlp_only_layers", None) or []
    forms = qwen2.windows(config, n_layers, layer)
    is_dense = [i in plain or (i + 1) % every != 0 for i in range(n_layers)]
    return [{**form, **({"ffn": dense} if one else {})} for form, one in zip(forms, is_dense, strict=True)]


def _fields(spec: Any) -> Plain:
    layers = spec.decoder.each_layer()
    dense = [i for i, layer in enumerate(layers) if layer.ffn.type != "mixture_of_experts"]
    return {
        **qwen2.window_fields(spec),
        "mlp_only_layers": dense,
        **({"intermediate_size": layers[dense[0]].ffn.d_ff} if dense else {}),
    }


def _further(spec: Any, layer: str) -> Rules:
    shared = "decoder.layers.{i}.ffn.shared_expert"
    names = {"gate": "gate_proj", "inner": "up_proj", "outer": "down_proj"}
    rules = module(f"{shared}.gate", f"{layer}.mlp.shared_expert_gate")
    for ours, theirs in names.items():
        rules += module(f"{shared}.ffn.{ours}", f"{layer}.mlp.shared_expert.{theirs}")
    return [*rules, *experts(spec, layer, folder="mlp", names=("gate_proj", "up_proj", "down_proj"))]


FAMILY = decoder_family(
    "qwen2_moe",
    qwen2.QWEN2.sibling(
        parts={
            "decoder": {
                "layer": {
                    "ffn": {
                        "type": "mixture_of_experts",
                        "expert": {"type": "glu"},
                        "shared_expert": {"type": "gated", "ffn": {"type": "glu"}},
                    }
                }
            }
        },
        without=("windows",),
        fields={
            "head": Head("Qwen2Moe", suffixes=("ForCausalLM", "Model")),
            "d_model": 2048,
            "n_layers": 24,
            "n_heads": 16,
            "n_kv_heads": 16,
            "position": Rotary(max_len=32768),
            "attention_bias": Choice(
                "layer.self_attention.bias",
                "qkv_bias",
                True,
                ((True, ["query", "key", "value"]), (False, False)),
            ),
            "d_ff": Field("layer.ffn.expert.d_ff", "moe_intermediate_size", 1408),
            "d_shared": Field("layer.ffn.shared_expert.ffn.d_ff", "shared_expert_intermediate_size", 5632),
            "activation": Field(
                "layer.ffn.expert.activation",
                "hidden_act",
                "silu",
                also=("layer.ffn.shared_expert.ffn.activation",),
            ),
            "n_experts": Field("layer.ffn.n_experts", "num_experts", 60),
            "top_k": Field("layer.ffn.top_k", "num_experts_per_tok", 4),
            "normalised": Field("layer.ffn.normalised", "norm_topk_prob", False),
            "balance": Field("layer.ffn.balance", "router_aux_loss_coef", 0.001),
            "layers": PerLayer(_layers, _fields),
        },
        further=_further,
    ),
    bookkeeping=("output_router_logits",),
    writing=Writing(end=None),
    small={
        **SMALL,
        "num_experts": 5,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 7,
        "shared_expert_intermediate_size": 11,
    },
    examples=(
        {"norm_topk_prob": True, "tie_word_embeddings": True},
        {
            "num_hidden_layers": 3,
            "mlp_only_layers": [2],
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
            "qkv_bias": False,
            "rms_norm_eps": 1e-3,
        },
        {"decoder_sparse_step": 2, "num_experts": 4, "router_aux_loss_coef": 0.02, "hidden_act": "gelu"},
    ),
    published=(
        Published(
            source="huggingface.co/Qwen/Qwen1.5-MoE-A2.7B",
            config={
                "architectures": ["Qwen2MoeForCausalLM"],
                "attention_dropout": 0.0,
                "bos_token_id": 151643,
                "decoder_sparse_step": 1,
                "eos_token_id": 151643,
                "hidden_act": "silu",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 5632,
                "max_position_embeddings": 8192,
                "max_window_layers": 21,
                "moe_intermediate_size": 1408,
                "norm_topk_prob": False,
                "num_attention_heads": 16,
                "num_experts": 60,
                "num_experts_per_tok": 4,
                "num_hidden_layers": 24,
                "num_key_value_heads": 16,
                "output_router_logits": False,
                "rms_norm_eps": 1e-06,
                "rope_theta": 1000000.0,
                "router_aux_loss_coef": 0.001,
                "shared_expert_intermediate_size": 5632,
                "sliding_window": 32768,
                "tie_word_embeddings": False,
                "use_cache": True,
                "use_sliding_window": False,
                "vocab_size": 151936,
            },
        ),
    ),
)
