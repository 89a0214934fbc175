"""gpt-oss 20B and 120B: OpenAI 2025. Sinks in attention, windows in every other layer, and experts with clamped gates.

Its folders hold experts in four bits (MXFP4), which is refused by quantization_config; copies in bfloat16 are read.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field, Head, PerLayer, Plain, Rotary
from zoo.interop.families.gemma2 import kinds, window_fields
from zoo.interop.family import Published
from zoo.interop.rules import Interleaved, Rules, Transpose, Unstack, module, tensor
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

_YARN = {"type": "yarn", "factor": 32.0, "original_max_len": 4096, "truncate": False}


class _Yarn(Rotary):
    """Rotary positions, where a config says none those of the published models."""

    def read(self, config: Config, spec: Plain) -> None:
        super().read(config, spec)
        if config.value("rope_scaling", None) is None and config.value("rope_parameters", None) is None:
            spec["position"]["scaling"] = dict(_YARN)

    def written(self, spec: Any) -> Plain:
        fields = super().written(spec)  # null would mean YaRN
        return {**fields, "rope_scaling": fields["rope_scaling"] or {"rope_type": "default"}}


def _windows(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    radius = config.integer("sliding_window", 128) - 1
    attention = layer["self_attention"]
    sees = {"sliding_attention": {**attention, "radius": radius}, "full_attention": attention}
    return [{"self_attention": sees[kind]} for kind in kinds(config, n_layers, 2)]


def _experts(spec: Any, layer: str) -> Rules:
    """A layer's experts, stacked; their matrices are [in, out], a gate's column beside that of what it gates."""
    ours, theirs = "decoder.layers.{i}.ffn", f"{layer}.mlp"
    n = spec.decoder.each_layer()[0].ffn.n_experts

    def each(*parts: str) -> tuple[str, ...]:
        return tuple(f"{ours}.experts.{e}.{part}" for e in range(n) for part in parts)

    rules = module(f"{ours}.router", f"{theirs}.router")
    for leaf, suffix in (("weight", ""), ("bias", "_bias")):
        gates = each(f"gate.{leaf}", f"inner.{leaf}")
        steps = (Unstack(n), Transpose())
        rules += tensor(gates, f"{theirs}.experts.gate_up_proj{suffix}", *steps, Interleaved(2))
        rules += tensor(each(f"outer.{leaf}"), f"{theirs}.experts.down_proj{suffix}", *steps)
    return [*rules, *tensor("decoder.layers.{i}.self_attention.sinks", f"{layer}.self_attn.sinks")]


FAMILY = decoder_family(
    "gpt_oss",
    GATED_DECODER.sibling(
        parts={
            "decoder": {
                "layer": {
                    "norm": {"type": "rms_norm", "casts_before_gain": False},
                    "self_attention": {"type": "sink"},
                    "ffn": {
                        "type": "mixture_of_experts",
                        "expert": {"type": "clamped_glu"},
                        "router_bias": True,
                    },
                }
            }
        },
        without=("activation",),
        fields={
            "head": Head("GptOss"),
            "vocab_size": 201088,
            "d_model": 2880,
            "n_layers": 36,
            "n_heads": 64,
            "n_kv_heads": 8,
            "d_k": 64,
            "d_ff": Field("layer.ffn.expert.d_ff", "intermediate_size", 2880),
            "eps": 1e-5,
            "position": _Yarn(base=150000.0, max_len=131072),
            "attention_bias": Field("layer.self_attention.bias", "attention_bias", True),
            "limit": Field("layer.ffn.expert.limit", "swiglu_limit", 7.0),
            "slope": Field("layer.ffn.expert.slope", "swiglu_alpha", 1.702),
            "n_experts": Field("layer.ffn.n_experts", "num_local_experts", 128, alias="num_experts"),
            "top_k": Field("layer.ffn.top_k", "num_experts_per_tok", 4, alias="experts_per_token"),
            "balance": Field("layer.ffn.balance", "router_aux_loss_coef", 0.001),
            "windows": PerLayer(_windows, window_fields),
        },
        tensors={
            "layer.ffn.gate": None,
            "layer.ffn.inner": None,
            "layer.ffn.outer": None,
        },
        further=_experts,
    ),
    bookkeeping=("hidden_act", "initial_context_length", "output_router_logits"),  # its gate is not silu
    writing=Writing(end=None),
    small={
        **SMALL,
        "head_dim": 4,
        "num_local_experts": 5,
        "num_experts_per_tok": 2,
        "sliding_window": 3,
        "swiglu_limit": 1.5,
    },
    examples=(
        {},
        {
            "num_hidden_layers": 3,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention"],
            "attention_bias": False,
            "rms_norm_eps": 1e-3,
            "swiglu_alpha": 0.9,
            "router_aux_loss_coef": 0.02,
            "rope_scaling": {"rope_type": "linear", "factor": 2.0},
            "rope_theta": 30.0,
        },
        {"num_hidden_layers": 1, "tie_word_embeddings": True, "pad_token_id": 3, "attention_dropout": 0.1},
    ),
    published=(
        Published(
            source="huggingface.co/openai/gpt-oss-20b",
            config={
                "architectures": ["GptOssForCausalLM"],
                "attention_bias": True,
                "attention_dropout": 0.0,
                "eos_token_id": 200002,
                "experts_per_token": 4,
                "head_dim": 64,
                "hidden_act": "silu",
                "hidden_size": 2880,
                "initial_context_length": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 2880,
                "layer_types": ["sliding_attention", "full_attention"] * 12,
                "max_position_embeddings": 131072,
                "num_attention_heads": 64,
                "num_experts_per_tok": 4,
                "num_hidden_layers": 24,
                "num_key_value_heads": 8,
                "num_local_experts": 32,
                "output_router_logits": False,
                "pad_token_id": 199999,
                "rms_norm_eps": 1e-05,
                "rope_scaling": {
                    "beta_fast": 32.0,
                    "beta_slow": 1.0,
                    "factor": 32.0,
                    "original_max_position_embeddings": 4096,
                    "rope_type": "yarn",
                    "truncate": False,
                },
                "rope_theta": 150000,
                "router_aux_loss_coef": 0.9,
                "sliding_window": 128,
                "swiglu_limit": 7.0,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 201088,
            },
        ),
    ),
)
