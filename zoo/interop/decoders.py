"""Tables that families of decoders begin with.

What LLaMA and its descendants share: pre-norm with RMSNorm, rotary positions, gated networks, grouped heads. And what
GPT-2's code and others share: layer norms, networks without a gate, dropout everywhere, biases in the network.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.entries import Field, Head, Layers, PaddingId, Rotary
from zoo.interop.rules import Rules, Split, Unstack, either, for_each, module, tensor
from zoo.interop.table import Table

SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
}
"""A config for certification, all sizes different."""
QKV = ("layer.self_attention.query", "layer.self_attention.key", "layer.self_attention.value")
GATE_UP = ("layer.ffn.gate", "layer.ffn.inner")
GATED_DECODER = Table(
    parts={
        "type": "decoder_only",
        "tokens": {"type": "tokens", "scale": "none"},
        "position": {"type": "rotary"},
        "decoder": {
            "layer": {
                "layout": "pre_norm",
                "norm": {"type": "rms_norm", "casts_before_gain": True},
                "self_attention": {"type": "multi_head"},
                "ffn": {"type": "glu"},
                "dropout": 0.0,
            }
        },
        "head": {},
        "initialization": {"type": "normal"},
    },
    fields={
        "head": Head("Llama"),
        "vocab_size": Field("tokens.vocab_size", "vocab_size", 32000),
        "padding_id": PaddingId(),
        "d_model": Field("d_model", "hidden_size", 4096),
        "n_layers": Layers("num_hidden_layers", 32),
        "n_heads": Field("layer.self_attention.n_heads", "num_attention_heads", 32),
        "n_kv_heads": Field(
            "layer.self_attention.n_kv_heads",
            "num_key_value_heads",
            None,
            otherwise=lambda at: at("layer.self_attention.n_heads"),
        ),
        "d_k": Field(
            "layer.self_attention.d_k",
            "head_dim",
            None,
            otherwise=lambda at: at("d_model") // at("layer.self_attention.n_heads"),
        ),
        "attention_dropout": Field("layer.self_attention.dropout", "attention_dropout", 0.0),
        "d_ff": Field("layer.ffn.d_ff", "intermediate_size", 11008),
        "activation": Field("layer.ffn.activation", "hidden_act", "silu"),
        "eps": Field("layer.norm.eps", "rms_norm_eps", 1e-6, also=("layer.self_attention.qk_norm.eps",)),
        "position": Rotary(),
        "std": Field("initialization.std", "initializer_range", 0.02),
    },
    tensors={
        "tokens": "embed_tokens",
        "layer.layout.norms.0": "input_layernorm",
        "layer.self_attention.query": "self_attn.q_proj",
        "layer.self_attention.key": "self_attn.k_proj",
        "layer.self_attention.value": "self_attn.v_proj",
        "layer.self_attention.output": "self_attn.o_proj",
        "layer.self_attention.query_norm": "self_attn.q_norm",
        "layer.self_attention.key_norm": "self_attn.k_norm",
        "layer.layout.norms.1": "post_attention_layernorm",
        "layer.ffn.gate": "mlp.gate_proj",
        "layer.ffn.inner": "mlp.up_proj",
        "layer.ffn.outer": "mlp.down_proj",
        "decoder.final_norm": "norm",
        "head": "lm_head",
        "head.output": "score",
    },
)
PLAIN_DECODER = GATED_DECODER.sibling(
    parts={"decoder": {"layer": {"norm": {"type": "layer_norm"}, "ffn": {"type": "mlp"}}}},
    without=("n_kv_heads", "d_k", "padding_id"),
    fields={
        "n_layers": ("n_layer", 28),
        "n_heads": ("n_head", 16),
        "d_model": ("n_embd", 4096),
        "d_ff": Field("layer.ffn.d_ff", "n_inner", None, otherwise=lambda at: 4 * at("d_model")),
        "activation": ("activation_function", "gelu_new"),
        "eps": ("layer_norm_epsilon", 1e-5),
        "attention_dropout": ("attn_pdrop", 0.0),
        "dropout": Field("layer.dropout", "resid_pdrop", 0.0),
        "input_dropout": Field("decoder.input_dropout", "embd_pdrop", 0.0),
    },
    tensors={
        "tokens": "wte",
        "decoder.position.table": "wpe",
        "decoder.final_norm": "ln_f",
        "layer.layout.norms.0": "ln_1",
        "layer.layout.norms.1": "ln_2",
        "layer.self_attention.output": "attn.c_proj",
        "layer.ffn.inner": "mlp.c_fc",
        "layer.ffn.outer": "mlp.c_proj",
    },
    layers="h",
    prefix="transformer.",
)


def by_projection(spec: Any) -> Split:
    """One matrix of the queries, then the keys, then the values of all heads."""
    attention = spec.decoder.each_layer()[0].self_attention
    d_k = attention.d_k or spec.d_model // attention.n_heads
    n_kv_heads = attention.n_kv_heads or attention.n_heads
    return Split((attention.n_heads * d_k, n_kv_heads * d_k, n_kv_heads * d_k))


def experts(spec: Any, layer: str, *, folder: str, names: tuple[str, str, str], live: str = "mlp") -> Rules:
    """A layer's router and experts, which transformers holds stacked, gate above up, in a live module, and a folder
    one by one; names are there those of the gate, the gated and the output."""
    networks = [layer.ffn for layer in spec.decoder.each_layer()]
    ours, n = "decoder.layers.{i}.ffn", max(getattr(network, "n_experts", 0) for network in networks)
    each = [f"{ours}.experts.{e}" for e in range(n)]
    parts = zip(("gate", "inner", "outer"), names, strict=True)
    on_disk = [
        *module(f"{ours}.router", f"{layer}.{folder}.gate"),
        *for_each(
            "e",
            n,
            *(
                module(f"{ours}.experts.{{e}}.{mine}", f"{layer}.{folder}.experts.{{e}}.{its}")
                for mine, its in parts
            ),
        ),
    ]
    stacked = f"{layer}.{live}.experts"
    gates = tuple(f"{expert}.{part}.weight" for expert in each for part in ("gate", "inner"))
    in_memory = [
        *module(f"{ours}.router", f"{layer}.{live}.gate"),
        *tensor(gates, f"{stacked}.gate_up_proj", Unstack(n), Split(2)),
        *tensor(tuple(f"{expert}.outer.weight" for expert in each), f"{stacked}.down_proj", Unstack(n)),
    ]
    return either(on_disk, in_memory)
