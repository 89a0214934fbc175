"""GPT-Neo: Black et al. 2021. GPT-2 with scores that are not scaled and a window in every other layer."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import PLAIN_DECODER
from zoo.interop.entries import Field, Head, PerLayer, Plain, windowed, windows_of
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def _windows(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    """The layers that see a window, by a list of kinds and how often they follow each other."""
    window = config.integer("window_size", 256)
    types = config.value("attention_types", None) or [[["global", "local"], 12]]
    kinds = [kind for several, n in types for kind in several * n]
    config.only("attention_layers", kinds, reason=" beside attention_types")
    if len(kinds) != n_layers or set(kinds) - {"global", "local"}:
        config.refuse("attention_types", f"it must say global or local for each of {n_layers} layers")
    seen = {"global": None, "local": window}
    return [{"self_attention": windowed(layer["self_attention"], seen[kind])} for kind in kinds]


def _fields(spec: Any) -> Plain:
    windows = windows_of(spec)
    return {
        "attention_types": [[["global" if window is None else "local"], 1] for window in windows],
        "window_size": next((window for window in windows if window is not None), 256),
    }


FAMILY = decoder_family(
    "gpt_neo",
    PLAIN_DECODER.sibling(
        parts={
            "position": {"type": "learned"},
            "decoder": {"layer": {"self_attention": {"bias": ["output"], "scale": 1.0}}},
        },
        fields={
            "head": Head("GPTNeo", True, ("ForCausalLM", "Model")),
            "vocab_size": 50257,
            "n_layers": ("num_layers", 24),
            "n_heads": ("num_heads", 16),
            "d_model": ("hidden_size", 2048),
            "d_ff": ("intermediate_size", None),
            "attention_dropout": ("attention_dropout", 0.0),
            "dropout": ("resid_dropout", 0.0),
            "input_dropout": ("embed_dropout", 0.0),
            "position": Field("position.max_len", "max_position_embeddings", 2048),
            "windows": PerLayer(_windows, _fields),
        },
        tensors={
            "layer.self_attention.query": "attn.attention.q_proj",
            "layer.self_attention.key": "attn.attention.k_proj",
            "layer.self_attention.value": "attn.attention.v_proj",
            "layer.self_attention.output": "attn.attention.out_proj",
        },
    ),
    bookkeeping=(
        "classifier_dropout",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    ),
    ignored=(r"\.attn\.attention\.(bias|masked_bias)$",),
    writing=Writing(end=50256, start=50256),
    small={
        "vocab_size": 31,
        "hidden_size": 12,
        "num_heads": 3,
        "num_layers": 1,
        "max_position_embeddings": 19,
        "window_size": 3,
        "attention_types": [[["local"], 1]],
    },
    examples=(
        {
            "num_layers": 4,
            "attention_types": [[["global", "local"], 2]],
            "intermediate_size": 29,
            "tie_word_embeddings": False,
        },
        {
            "num_layers": 3,
            "attention_types": [[["local"], 2], [["global"], 1]],
            "activation_function": "relu",
        },
        {
            "layer_norm_epsilon": 1e-3,
            "attention_dropout": 0.1,
            "resid_dropout": 0.2,
            "embed_dropout": 0.3,
        },
    ),
    published=(
        Published(
            source="huggingface.co/EleutherAI/gpt-neo-125m",
            config={
                "activation_function": "gelu_new",
                "architectures": ["GPTNeoForCausalLM"],
                "attention_dropout": 0,
                "attention_layers": ["global", "local"] * 6,
                "attention_types": [[["global", "local"], 6]],
                "bos_token_id": 50256,
                "embed_dropout": 0,
                "eos_token_id": 50256,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": None,
                "layer_norm_epsilon": 1e-05,
                "max_position_embeddings": 2048,
                "num_heads": 12,
                "num_layers": 12,
                "resid_dropout": 0,
                "use_cache": True,
                "vocab_size": 50257,
                "window_size": 256,
            },
        ),
    ),
)
