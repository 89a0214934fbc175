"""Gemma 2: Gemma Team 2024b. Norms around each sublayer, capped scores and logits, local and global layers by turns."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import SMALL
from zoo.interop.entries import Field, Head, PerLayer, Plain, windowed, windows_of
from zoo.interop.families.gemma import GEMMA
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class Scale:
    """What scores are multiplied by: 1/√query_pre_attn_scalar."""

    order: ClassVar[int] = 1

    def read(self, config: Config, spec: Plain) -> None:
        scale = config.number("query_pre_attn_scalar", 256.0) ** -0.5
        spec["decoder"]["layer"]["self_attention"]["scale"] = scale

    def written(self, spec: Any) -> Plain:
        attention = spec.decoder.each_layer()[0].self_attention
        d_k = attention.d_k or spec.d_model // attention.n_heads
        return {"query_pre_attn_scalar": d_k if attention.scale is None else round(attention.scale**-2)}


def kinds(config: Config, n_layers: int, every: int) -> list[str]:
    """The kind of each layer: by layer_types, or every so many is global."""
    found = config.value("layer_types", None)
    if found is None:
        return ["sliding_attention" if (i + 1) % every else "full_attention" for i in range(n_layers)]
    if len(found) != n_layers or set(found) - {"full_attention", "sliding_attention"}:
        config.refuse("layer_types", "must say of each layer sliding_attention or full_attention")
    return list(found)


def _windows(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    window = config.integer("sliding_window", 4096)
    config.only("sliding_window_size", window, reason=" beside sliding_window")
    sees = {"sliding_attention": window, "full_attention": None}
    return [
        {"self_attention": windowed(layer["self_attention"], sees[kind])}
        for kind in kinds(config, n_layers, 2)
    ]


def window_fields(spec: Any) -> Plain:
    """The fields that say the windows of a spec's layers."""
    windows = windows_of(spec)
    return {
        "sliding_window": next((window for window in windows if window is not None), 4096),
        "layer_types": ["full_attention" if window is None else "sliding_attention" for window in windows],
    }


GEMMA2 = GEMMA.sibling(
    parts={"decoder": {"layer": {"layout": "sandwich"}}},
    fields={
        "head": Head("Gemma2", tied=True),
        "d_model": 2304,
        "d_ff": 9216,
        "n_layers": 26,
        "n_heads": 8,
        "n_kv_heads": 4,
        "activation": Field("layer.ffn.activation", "hidden_activation", "gelu_pytorch_tanh"),
        "scale": Scale(),
        "cap": Field(
            "layer.self_attention.soft_cap", "attn_logit_softcapping", 50.0, otherwise=lambda at: None
        ),
        "last_cap": Field("head.soft_cap", "final_logit_softcapping", 30.0, otherwise=lambda at: None),
        "windows": PerLayer(_windows, window_fields),
    },
    tensors={
        "layer.layout.output_norms.0": "post_attention_layernorm",
        "layer.layout.norms.1": "pre_feedforward_layernorm",
        "layer.layout.output_norms.1": "post_feedforward_layernorm",
    },
)

FAMILY = decoder_family(
    "gemma2",
    GEMMA2,
    fixed={"use_bidirectional_attention": (None, False)},
    bookkeeping=("cache_implementation", "hidden_act"),  # hidden_activation is what is read
    writing=Writing(end=1, start=2, pad=0),
    small={
        **SMALL,
        "head_dim": 4,
        "query_pre_attn_scalar": 5,
        "attn_logit_softcapping": 2.5,
        "final_logit_softcapping": 1.5,
        "sliding_window": 3,
    },
    examples=(
        {},
        {
            "num_hidden_layers": 4,
            "num_key_value_heads": 3,
            "layer_types": ["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
            "sliding_window": 2,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": 40.0,
        },
        {
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
