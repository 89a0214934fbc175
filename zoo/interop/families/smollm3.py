"""SmolLM3: Bakouch et al. 2025. LLaMA without positions in every fourth layer."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import SMALL
from zoo.interop.entries import Head, PaddingId, PerLayer, Plain, Rotary
from zoo.interop.families.llama import LLAMA
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def _positions(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    """Which layers have no positions, by a list of 1 and 0, or every so many."""
    every = config.integer("no_rope_layer_interval", 4)
    turned = config.value("no_rope_layers", None) or [int((i + 1) % every != 0) for i in range(n_layers)]
    if len(turned) < n_layers or set(turned) - {0, 1}:
        config.refuse("no_rope_layers", f"it must say 1 or 0 for each of {n_layers} layers")
    config.only("layer_types", None, ["full_attention"] * n_layers)
    return [{} if turns else {"position": "none"} for turns in turned[:n_layers]]


def _fields(spec: Any) -> Plain:
    return {"no_rope_layers": [int(layer.position is None) for layer in spec.decoder.each_layer()]}


FAMILY = decoder_family(
    "smollm3",
    LLAMA.sibling(
        fields={
            "head": Head("SmolLM3", tied=True),
            "vocab_size": 128256,
            "padding_id": PaddingId(128004),
            "d_model": 2048,
            "n_layers": 36,
            "n_heads": 16,
            "n_kv_heads": 4,
            "position": Rotary(base=2e6, max_len=32768),
            "positions": PerLayer(_positions, _fields),
        }
    ),
    fixed={"use_sliding_window": False},
    bookkeeping=(
        "max_window_layers",
        "pretraining_tp",
        "sliding_window",
    ),  # read beside use_sliding_window only
    writing=Writing(end=128001, start=128000, pad=128004),
    small={**SMALL, "pad_token_id": None},
    examples=(
        {"num_hidden_layers": 5, "tie_word_embeddings": False, "pad_token_id": 3},
        {"no_rope_layers": [0, 1, 1], "num_hidden_layers": 3, "attention_bias": True, "mlp_bias": True},
        {"no_rope_layer_interval": 2, "head_dim": 4, "rms_norm_eps": 1e-3, "rope_theta": 30.0},
    ),
    published=(
        Published(
            source="huggingface.co/HuggingFaceTB/SmolLM3-3B",
            config={
                "architectures": ["SmolLM3ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": None,
                "eos_token_id": 128012,
                "hidden_act": "silu",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 11008,
                "max_position_embeddings": 65536,
                "max_window_layers": 28,
                "mlp_bias": False,
                "no_rope_layer_interval": 4,
                "num_attention_heads": 16,
                "num_hidden_layers": 36,
                "num_key_value_heads": 4,
                "pad_token_id": 128004,
                "pretraining_tp": 2,
                "rms_norm_eps": 1e-06,
                "rope_scaling": None,
                "rope_theta": 5000000.0,
                "sliding_window": None,
                "use_cache": False,
                "use_sliding_window": False,
                "vocab_size": 128256,
            },
        ),
    ),
)
