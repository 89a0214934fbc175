"""Llama 4, its decoder of text: Meta 2025. Chunks with rotary positions, whole layers without any, and experts.

Queries and keys are normalised here before they are turned, in transformers after: without a gain that is the same.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field, Head, PerLayer, Plain, Rotary
from zoo.interop.family import Published
from zoo.interop.rules import Rules, Split, Transpose, Unstack, module, tensor
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

_KINDS = ("chunked_attention", "full_attention")
_NETWORK = {"gate": "gate_proj", "inner": "up_proj", "outer": "down_proj"}


def _layers(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    """Which layers turn queries and keys, which see their chunk alone, and which have experts."""
    interval = config.integer("no_rope_layer_interval", 4)
    turns = config.value("no_rope_layers", None) or [(i + 1) % interval != 0 for i in range(n_layers)]
    size = config.nullable_integer("attention_chunk_size", 8192)
    kinds = config.value("layer_types", None) or [_KINDS[not turn or size is None] for turn in turns]
    if len(turns) < n_layers:
        config.refuse("no_rope_layers", f"must say of each of {n_layers} layers 0 or 1, got {turns}")
    if len(kinds) != n_layers or set(kinds) - {*_KINDS[size is None :]}:
        config.refuse("layer_types", f"must say of each layer {' or '.join(_KINDS[size is None :])}")
    every, mixtures = config.integer("interleave_moe_layer_step", 1), config.value("moe_layers", None)
    if mixtures is None:
        mixtures = range(every - 1, n_layers, every)
    dense = {**layer["ffn"]["expert"], "d_ff": config.integer("intermediate_size_mlp", 16384)}
    temperature = {
        "type": "temperature",
        "step": config.integer("floor_scale", 8192),
        "strength": config.number("attn_scale", 0.1),
    }
    unturned = temperature if config.value("attn_temperature_tuning", True) else {"type": "none"}
    norm = {"type": "rms_norm", "gain": False, "eps": layer["norm"]["eps"]}
    is_normed = config.boolean("use_qk_norm", True)

    def form(i: int) -> Plain:
        attention = dict(layer["self_attention"])
        if kinds[i] == _KINDS[0]:
            attention |= {"type": "chunked", "chunk_size": size}
        if turns[i] and is_normed:
            attention["qk_norm"] = norm
        return {
            "self_attention": attention,
            **({} if turns[i] else {"position": unturned}),
            **({} if i in mixtures else {"ffn": dense}),
        }

    return [form(i) for i in range(n_layers)]


def _fields(spec: Any) -> Plain:
    layers = spec.decoder.each_layer()
    turned = [layer for layer in layers if layer.position is None]
    tempered = [layer.position for layer in layers if getattr(layer.position, "type", "") == "temperature"]
    dense = [layer.ffn.d_ff for layer in layers if layer.ffn.type == "glu"]
    sizes = [getattr(layer.self_attention, "chunk_size", None) for layer in layers]
    return {
        "no_rope_layers": [int(layer.position is None) for layer in layers],
        "attention_chunk_size": next((size for size in sizes if size is not None), None),
        "layer_types": [_KINDS[size is None] for size in sizes],
        "use_qk_norm": any(layer.self_attention.qk_norm is not None for layer in turned),
        "attn_temperature_tuning": bool(tempered) or len(turned) == len(layers),
        **({"floor_scale": tempered[0].step, "attn_scale": tempered[0].strength} if tempered else {}),
        "moe_layers": [i for i, layer in enumerate(layers) if layer.ffn.type != "glu"],
        **({"intermediate_size_mlp": dense[0]} if dense else {}),
    }


class _Rotary(Rotary):
    """Rotary positions that change no length where a norm follows: it would take that away, one before does not."""

    def read(self, config: Config, spec: Plain) -> None:
        super().read(config, spec)
        kind = (spec["position"].get("scaling") or {"type": "linear"})["type"]
        if kind in ("yarn", "longrope") and config.boolean("use_qk_norm", True):
            config.refuse(
                "rope_scaling", f"'{kind}' cannot be represented: a norm after it undoes its factor"
            )


def _further(spec: Any, layer: str) -> Rules:
    """A layer's router and experts, which are stacked, their matrices [in, out], a gate's beside what it gates."""
    networks = [layer.ffn for layer in spec.decoder.each_layer()]
    n = max(getattr(network, "n_experts", 0) for network in networks)
    ours, theirs = "decoder.layers.{i}.ffn", f"{layer}.feed_forward"

    def each(*parts: str) -> tuple[str, ...]:
        return tuple(f"{ours}.experts.{e}.{part}.weight" for e in range(n) for part in parts)

    rules = module(f"{ours}.router", f"{theirs}.router")
    for mine, its in _NETWORK.items():
        rules += module(f"{ours}.shared_expert.{mine}", f"{theirs}.shared_expert.{its}")
    steps = (Unstack(n), Transpose())
    rules += tensor(each("gate", "inner"), f"{theirs}.experts.gate_up_proj", *steps, Split(2))
    return [*rules, *tensor(each("outer"), f"{theirs}.experts.down_proj", *steps)]


FAMILY = decoder_family(
    "llama4_text",
    GATED_DECODER.sibling(
        parts={
            "position": {"pairing": "interleaved"},
            "decoder": {
                "layer": {
                    "ffn": {
                        "type": "input_weighted_experts",
                        "expert": {"type": "glu"},
                        "shared_expert": {"type": "glu"},
                        "balance": 0.0,
                    }
                }
            },
        },
        fields={
            "head": Head("Llama4", suffixes=("ForCausalLM", "TextModel")),
            "vocab_size": 202048,
            "d_model": 5120,
            "n_layers": 48,
            "n_heads": 40,
            "n_kv_heads": 8,
            "d_k": 128,
            "eps": Field("layer.norm.eps", "rms_norm_eps", 1e-5),
            "position": _Rotary(base=500000.0, max_len=131072),
            "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
            "d_ff": Field(
                "layer.ffn.expert.d_ff", "intermediate_size", 8192, also=("layer.ffn.shared_expert.d_ff",)
            ),
            "activation": Field(
                "layer.ffn.expert.activation",
                "hidden_act",
                "silu",
                also=("layer.ffn.shared_expert.activation",),
            ),
            "n_experts": Field("layer.ffn.n_experts", "num_local_experts", 16),
            "top_k": Field("layer.ffn.top_k", "num_experts_per_tok", 1),
            "layers": PerLayer(_layers, _fields),
        },
        tensors={f"layer.ffn.{mine}": f"feed_forward.{its}" for mine, its in _NETWORK.items()},
        further=_further,
    ),
    bookkeeping=("for_llm_compressor", "output_router_logits", "router_aux_loss_coef", "router_jitter_noise"),
    writing=Writing(end=2, start=1),
    small={
        **SMALL,
        "head_dim": 4,
        "intermediate_size_mlp": 17,
        "num_local_experts": 5,
        "attention_chunk_size": 3,
        "floor_scale": 2,
        "attn_scale": 0.7,
    },
    examples=(
        {"num_hidden_layers": 4, "interleave_moe_layer_step": 2},
        {
            "num_hidden_layers": 3,
            "no_rope_layers": [0, 1, 1],
            "layer_types": ["chunked_attention", "full_attention", "chunked_attention"],
            "moe_layers": [1],
            "num_experts_per_tok": 2,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "hidden_act": "gelu",
            "rope_theta": 30.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
        {
            "no_rope_layer_interval": 2,
            "attn_temperature_tuning": False,
            "use_qk_norm": False,
            "attention_chunk_size": None,
            "tie_word_embeddings": True,
            "pad_token_id": 3,
            "attention_dropout": 0.1,
        },
    ),
    published=(
        Published(
            source="text_config of huggingface.co/meta-llama/Llama-4-Scout-17B-16E",
            config={
                "attention_bias": False,
                "attention_chunk_size": 8192,
                "attention_dropout": 0.0,
                "bos_token_id": 200000,
                "eos_token_id": [200001, 200007, 200008],
                "for_llm_compressor": False,
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 5120,
                "initializer_range": 0.02,
                "interleave_moe_layer_step": 1,
                "intermediate_size": 8192,
                "intermediate_size_mlp": 16384,
                "max_position_embeddings": 10485760,
                "no_rope_layers": [],
                "num_attention_heads": 40,
                "num_experts_per_tok": 1,
                "num_hidden_layers": 48,
                "num_key_value_heads": 8,
                "num_local_experts": 16,
                "output_router_logits": False,
                "pad_token_id": 200018,
                "rms_norm_eps": 1e-05,
                "rope_scaling": {
                    "factor": 8.0,
                    "high_freq_factor": 4.0,
                    "low_freq_factor": 1.0,
                    "original_max_position_embeddings": 8192,
                    "rope_type": "llama3",
                },
                "rope_theta": 500000.0,
                "router_aux_loss_coef": 0.001,
                "router_jitter_noise": 0.0,
                "torch_dtype": "bfloat16",
                "use_cache": True,
                "use_qk_norm": True,
                "vocab_size": 202048,
            },
        ),
        Published(
            source="text_config of huggingface.co/meta-llama/Llama-4-Maverick-17B-128E",
            config={
                "attention_bias": False,
                "attention_chunk_size": 8192,
                "attention_dropout": 0.0,
                "bos_token_id": 200000,
                "eos_token_id": [200001, 200007, 200008],
                "for_llm_compressor": False,
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 5120,
                "initializer_range": 0.02,
                "interleave_moe_layer_step": 2,
                "intermediate_size": 8192,
                "intermediate_size_mlp": 16384,
                "max_position_embeddings": 1048576,
                "no_rope_layers": [],
                "num_attention_heads": 40,
                "num_experts_per_tok": 1,
                "num_hidden_layers": 48,
                "num_key_value_heads": 8,
                "num_local_experts": 128,
                "output_router_logits": False,
                "pad_token_id": 200018,
                "rms_norm_eps": 1e-05,
                "rope_scaling": None,
                "rope_theta": 500000.0,
                "router_aux_loss_coef": 0.001,
                "router_jitter_noise": 0.0,
                "torch_dtype": "bfloat16",
                "use_cache": True,
                "use_qk_norm": False,
                "vocab_size": 202048,
            },
        ),
    ),
)
