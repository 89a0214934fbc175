"""What LLaMA and its descendants share: pre-norm with RMSNorm, rotary positions, gated networks, grouped heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.rotary import rotary_config, rotary_spec
from zoo.interop.rules import Rules, Split, for_each, module, tensor
from zoo.interop.table import Field, Head, Layers, PaddingId, Rotary, Table

PREFIX = "model."
"""What the names of a model with a head begin with."""
_SUFFIXES = {
    "language_model": "ForCausalLM",
    "none": "Model",
    "pooled_classifier": "ForSequenceClassification",
}

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


def by_projection(spec: Any) -> Split:
    """One matrix of the queries, then the keys, then the values of all heads."""
    attention = spec.decoder.each_layer()[0].self_attention
    d_k = attention.d_k or spec.d_model // attention.n_heads
    n_kv_heads = attention.n_kv_heads or attention.n_heads
    return Split((attention.n_heads * d_k, n_kv_heads * d_k, n_kv_heads * d_k))


@dataclass(frozen=True)
class Defaults:
    """What transformers takes for a field that a config leaves out."""

    vocab_size: int
    d_model: int
    d_ff: int
    n_layers: int
    n_heads: int
    n_kv_heads: int | None
    d_k: int | None = None
    activation: str = "silu"
    eps: float = 1e-6
    base: float = 10000.0
    max_len: int = 2048
    tied: bool = False
    padding_id: int | None = None


def gated_decoder_spec(
    config: Config,
    defaults: Defaults,
    *,
    attention: Mapping[str, Any] | None = None,
    ffn: Mapping[str, Any] | None = None,
    norm: Mapping[str, Any] | None = None,
    windows: Sequence[int | None] | None = None,
) -> dict[str, Any]:
    """A config -> the model's spec as plain data; the mappings add to a part's keys, or replace them.

    windows says for each layer how many tokens a query sees, its own included; None: all before it.
    """
    d_model, vocab_size = (
        config.integer("hidden_size", defaults.d_model),
        config.integer("vocab_size", defaults.vocab_size),
    )
    n_heads, n_layers = config.integer("num_attention_heads", defaults.n_heads), layer_count(config, defaults)
    n_kv_heads = config.nullable_integer("num_key_value_heads", defaults.n_kv_heads)
    d_k = config.integer("head_dim", None) or defaults.d_k or d_model // n_heads
    norms = {
        "type": "rms_norm",
        "eps": config.number("rms_norm_eps", defaults.eps),
        **(norm or {"casts_before_gain": True}),
    }
    heads = {
        "n_heads": n_heads,
        "n_kv_heads": n_kv_heads or n_heads,
        "d_k": d_k,
        "dropout": config.number("attention_dropout", 0.0),
        **(attention or {}),
    }
    if "qk_norm" in heads:
        heads["qk_norm"] = norms
    network = {
        "type": "glu",
        "d_ff": config.integer("intermediate_size", defaults.d_ff),
        "activation": config.activation("hidden_act", defaults.activation),
        **(ffn or {}),
    }
    layer = {"layout": "pre_norm", "norm": norms, "ffn": network, "dropout": 0.0}
    groups: list[dict[str, Any]] = [
        {"repeat": len(list(group)), "layer": {"self_attention": _windowed(heads, window)}}
        for window, group in groupby(windows or [None] * n_layers)
    ]
    decoder: dict[str, Any] = {"layer": layer, "layers": groups}
    if len(groups) == 1:
        decoder = {"n_layers": n_layers, "layer": {**layer, **groups[0]["layer"]}}
    return {
        "type": "decoder_only",
        "d_model": d_model,
        "tokens": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "none",
            "padding_id": config.padding_id(default=defaults.padding_id, vocab_size=vocab_size),
        },
        "position": rotary_spec(config, base=defaults.base, max_len=defaults.max_len),
        "decoder": decoder,
        "head": _head(config, is_tied=config.boolean("tie_word_embeddings", defaults.tied)),
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def architectures(stem: str) -> tuple[str, ...]:
    """The classes of transformers that are mapped, of a family whose classes begin so."""
    return (f"{stem}ForCausalLM", f"{stem}Model", f"{stem}ForSequenceClassification")


def without_words(stem: str, small: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Examples of the classes that predict no words, from a small config of the one that does."""
    _, base, classifier = architectures(stem)
    one_layer = {**small, "num_hidden_layers": 1}
    labels = [f"LABEL_{i}" for i in range(5)]
    return (
        {**one_layer, "architectures": [base]},
        {
            **one_layer,
            "architectures": [classifier],
            "pad_token_id": 4,
            "id2label": {str(i): label for i, label in enumerate(labels)},
            "label2id": {label: i for i, label in enumerate(labels)},
        },
    )


def _head(config: Config, *, is_tied: bool) -> dict[str, Any]:
    if config.architecture.endswith("ForCausalLM"):
        return {"type": "language_model", "predicts": "tokens", "tied": is_tied}
    if config.architecture.endswith("ForSequenceClassification"):
        return {"type": "pooled_classifier", "n_classes": config.n_labels(), "pool": "last", "bias": False}
    return {"type": "none"}


def layer_count(config: Config, defaults: Defaults) -> int:
    """The number of layers."""
    return config.n_layers("num_hidden_layers", defaults.n_layers)


def _windowed(heads: Mapping[str, Any], window: int | None) -> dict[str, Any]:
    if window is None:
        return {"type": "multi_head", **heads}
    return {
        "type": "restricted",
        "radius": window - 1,
        **heads,
    }  # their window counts the query's own position


def gated_decoder_config(spec: Any, architecture: str) -> dict[str, Any]:
    """The model's spec -> the fields that all these families have; architecture is the class that predicts words."""
    layers = spec.decoder.each_layer()
    attention, ffn = layers[0].self_attention, layers[0].ffn
    network = getattr(ffn, "expert", ffn)
    return {
        "architectures": [architecture.removesuffix("ForCausalLM") + _SUFFIXES[spec.head.type]],
        "vocab_size": spec.tokens.vocab_size,
        "hidden_size": spec.d_model,
        "intermediate_size": network.d_ff,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "num_key_value_heads": attention.n_kv_heads or attention.n_heads,
        "head_dim": attention.d_k or spec.d_model // attention.n_heads,
        "hidden_act": activation_name(network.activation),
        "rms_norm_eps": layers[0].norm.eps,
        "attention_dropout": attention.dropout,
        "tie_word_embeddings": getattr(spec.head, "tied", False),
        **labels_config(spec.head),
        "pad_token_id": spec.tokens.padding_id,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        **rotary_config(spec.position),
    }


def gated_decoder_weights(spec: Any, *ffn: Rules) -> Rules:
    """Which tensors are which; ffn are the rules of a layer's network, by default one gated network."""
    prefix = "" if spec.head.type == "none" else PREFIX
    ours, theirs = "decoder.layers.{i}", f"{prefix}layers.{{i}}"
    attention, their_attention = f"{ours}.self_attention", f"{theirs}.self_attn"
    return [
        *tensor("tokens.weight", f"{prefix}embed_tokens.weight"),
        *for_each(
            "i",
            len(spec.decoder.each_layer()),
            module(f"{ours}.layout.norms.0", f"{theirs}.input_layernorm"),
            module(f"{attention}.query", f"{their_attention}.q_proj"),
            module(f"{attention}.key", f"{their_attention}.k_proj"),
            module(f"{attention}.value", f"{their_attention}.v_proj"),
            module(f"{attention}.output", f"{their_attention}.o_proj"),
            module(f"{attention}.query_norm", f"{their_attention}.q_norm"),
            module(f"{attention}.key_norm", f"{their_attention}.k_norm"),
            module(f"{ours}.layout.norms.1", f"{theirs}.post_attention_layernorm"),
            *(ffn or (gated_network(f"{ours}.ffn", f"{theirs}.mlp"),)),
        ),
        *module("decoder.final_norm", f"{prefix}norm"),
        *tensor("head.weight", "lm_head.weight"),
        *tensor("head.output.weight", "score.weight"),
    ]


def gated_network(ours: str, theirs: str) -> Rules:
    """The three matrices of a gated network."""
    return [
        *module(f"{ours}.gate", f"{theirs}.gate_proj"),
        *module(f"{ours}.inner", f"{theirs}.up_proj"),
        *module(f"{ours}.outer", f"{theirs}.down_proj"),
    ]
