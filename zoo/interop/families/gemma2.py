"""Gemma 2: Gemma Team 2024b. Norms around each sublayer, capped scores and logits, local and global layers by turns."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.gated_decoder import (
    Defaults,
    gated_decoder_config,
    gated_decoder_spec,
    gated_network,
    layer_count,
)
from zoo.interop.rules import Rules, for_each, module, tensor
from zoo.interop.table import windows_of
from zoo.interop.writing import Writing

_DEFAULTS = Defaults(
    vocab_size=256000,
    d_model=2304,
    d_ff=9216,
    n_layers=26,
    n_heads=8,
    n_kv_heads=4,
    d_k=256,
    activation="gelu_pytorch_tanh",
    max_len=8192,
    tied=True,
    padding_id=0,
)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    spec = gated_decoder_spec(
        config,
        _DEFAULTS,
        attention={
            "bias": config.boolean("attention_bias", False),
            "scale": config.number("query_pre_attn_scalar", 256) ** -0.5,
            "soft_cap": _cap(config, "attn_logit_softcapping", 50.0),
        },
        ffn={"activation": config.activation("hidden_activation", "gelu_pytorch_tanh")},
        norm={"unit_offset": True},
        windows=_windows(config),
    )
    spec["tokens"]["scale"] = "sqrt_d_model"
    spec["decoder"]["layer"]["layout"] = "sandwich"
    spec["head"]["soft_cap"] = _cap(config, "final_logit_softcapping", 30.0)
    return spec


def _cap(config: Config, name: str, default: float) -> float | None:
    return config.number(name, None) if name in config else default


def _windows(config: Config) -> list[int | None]:
    """For each layer how many tokens a query sees."""
    window, n_layers = config.integer("sliding_window", 4096), layer_count(config, _DEFAULTS)
    config.only("sliding_window_size", window, reason=" beside sliding_window")
    kinds = config.value("layer_types", None)
    if kinds is None:
        kinds = ["full_attention" if i % 2 else "sliding_attention" for i in range(n_layers)]
    if len(kinds) != n_layers or set(kinds) - {"full_attention", "sliding_attention"}:
        config.refuse("layer_types", "must say of each layer sliding_attention or full_attention")
    return [window if kind == "sliding_attention" else None for kind in kinds]


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    attention, windows = spec.decoder.each_layer()[0].self_attention, windows_of(spec)
    d_k = attention.d_k or spec.d_model // attention.n_heads
    return {
        **gated_decoder_config(spec, "Gemma2ForCausalLM"),
        "hidden_activation": activation_name(spec.decoder.each_layer()[0].ffn.activation),
        "attention_bias": attention.bias is True,
        "query_pre_attn_scalar": d_k if attention.scale is None else round(attention.scale**-2),
        "attn_logit_softcapping": attention.soft_cap,
        "final_logit_softcapping": spec.head.soft_cap,
        "sliding_window": next((window for window in windows if window is not None), 4096),
        "layer_types": ["full_attention" if window is None else "sliding_attention" for window in windows],
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    ours, theirs = "decoder.layers.{i}", "model.layers.{i}"
    attention, their_attention = f"{ours}.self_attention", f"{theirs}.self_attn"
    return [
        *tensor("tokens.weight", "model.embed_tokens.weight"),
        *for_each(
            "i",
            len(spec.decoder.each_layer()),
            module(f"{ours}.layout.norms.0", f"{theirs}.input_layernorm"),
            module(f"{attention}.query", f"{their_attention}.q_proj"),
            module(f"{attention}.key", f"{their_attention}.k_proj"),
            module(f"{attention}.value", f"{their_attention}.v_proj"),
            module(f"{attention}.output", f"{their_attention}.o_proj"),
            module(f"{ours}.layout.output_norms.0", f"{theirs}.post_attention_layernorm"),
            module(f"{ours}.layout.norms.1", f"{theirs}.pre_feedforward_layernorm"),
            gated_network(f"{ours}.ffn", f"{theirs}.mlp"),
            module(f"{ours}.layout.output_norms.1", f"{theirs}.post_feedforward_layernorm"),
        ),
        *module("decoder.final_norm", "model.norm"),
        *tensor("head.weight", "lm_head.weight"),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "query_pre_attn_scalar": 5,
    "attn_logit_softcapping": 2.5,
    "final_logit_softcapping": 1.5,
    "sliding_window": 3,
}

FAMILY = Family(
    name="gemma2",
    architectures=("Gemma2ForCausalLM",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"use_bidirectional_attention": (None, False)},
    bookkeeping=("cache_implementation", "hidden_act"),  # hidden_activation is what is read
    prefix="model.",
    ignored=(r"rotary_emb\.inv_freq$",),
    writing=Writing(end=1, start=2, pad=0),
    examples=(
        _SMALL,
        {
            **_SMALL,
            "num_hidden_layers": 4,
            "num_key_value_heads": 3,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "sliding_window": 2,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": 40.0,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "layer_types": ["full_attention"],
            "attn_logit_softcapping": None,
            "final_logit_softcapping": None,
            "hidden_activation": "silu",
            "hidden_act": "gelu",
            "pad_token_id": None,
            "tie_word_embeddings": False,
            "attention_dropout": 0.1,
        },
    ),
    published=(
        Published(
            preset="gemma2_2b",
            source="huggingface.co/google/gemma-2-2b",
            config={
                "architectures": ["Gemma2ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "attn_logit_softcapping": 50.0,
                "bos_token_id": 2,
                "cache_implementation": "hybrid",
                "eos_token_id": 1,
                "final_logit_softcapping": 30.0,
                "head_dim": 256,
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_activation": "gelu_pytorch_tanh",
                "hidden_size": 2304,
                "initializer_range": 0.02,
                "intermediate_size": 9216,
                "max_position_embeddings": 8192,
                "num_attention_heads": 8,
                "num_hidden_layers": 26,
                "num_key_value_heads": 4,
                "pad_token_id": 0,
                "query_pre_attn_scalar": 256,
                "rms_norm_eps": 1e-06,
                "rope_theta": 10000.0,
                "sliding_window": 4096,
                "torch_dtype": "float32",
                "transformers_version": "4.42.4",
                "use_cache": True,
                "vocab_size": 256000,
            },
        ),
    ),
)
