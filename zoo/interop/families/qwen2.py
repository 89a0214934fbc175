"""Qwen 2 and 2.5: Yang et al. 2024. LLaMA with biases of query, key and value, and windows in some layers on demand."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Head, PerLayer, Plain, Rotary, windowed, windows_of
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def windows(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
    """The layers that see a window: by layer_types, or all from a first one on, where use_sliding_window says so."""
    window = config.nullable_integer("sliding_window", 4096)
    if not config.boolean("use_sliding_window", False):
        window = None
    first = config.integer("max_window_layers", 28)
    kinds = config.value("layer_types", None)
    if kinds is None:
        kinds = [
            "full_attention" if i < first or window is None else "sliding_attention" for i in range(n_layers)
        ]
    known = {"full_attention": None, "sliding_attention": window}
    if not isinstance(kinds, list) or len(kinds) != n_layers or any(kind not in known for kind in kinds):
        config.refuse(
            "layer_types", f"it must say full_attention or sliding_attention for each of {n_layers} layers"
        )
    if "sliding_attention" in kinds and window is None:
        config.refuse(
            "layer_types", "it says sliding_attention, but sliding_window and use_sliding_window say none"
        )
    return [{"self_attention": windowed(layer["self_attention"], known[kind])} for kind in kinds]


def window_fields(spec: Any) -> Plain:
    """The fields that say the windows of a spec's layers."""
    found = windows_of(spec)
    sizes = [window for window in found if window is not None]
    if not sizes:
        return {"use_sliding_window": False, "sliding_window": None, "max_window_layers": len(found)}
    return {
        "use_sliding_window": True,
        "sliding_window": sizes[0],
        "max_window_layers": found.index(sizes[0]),
        "layer_types": ["full_attention" if window is None else "sliding_attention" for window in found],
    }


QWEN2 = GATED_DECODER.sibling(
    parts={"decoder": {"layer": {"self_attention": {"bias": ["query", "key", "value"]}}}},
    fields={
        "head": Head("Qwen2"),
        "vocab_size": 151936,
        "d_ff": 22016,
        "n_kv_heads": 32,
        "position": Rotary(max_len=32768),
        "windows": PerLayer(windows, window_fields),
    },
)

FAMILY = decoder_family(
    "qwen2",
    QWEN2,
    fixed={"use_mrope": (False, None)},
    writing=Writing(end=None),
    small=SMALL,
    examples=(
        {"tie_word_embeddings": True},
        {
            "num_hidden_layers": 3,
            "use_sliding_window": True,
            "sliding_window": 3,
            "max_window_layers": 1,
        },
        {
            "use_sliding_window": True,
            "sliding_window": 2,
            "layer_types": ["sliding_attention", "full_attention"],
            "num_key_value_heads": 6,
            "rms_norm_eps": 1e-3,
            "hidden_act": "gelu",
            "attention_dropout": 0.1,
            "pad_token_id": 5,
            "rope_theta": 40.0,
        },
    ),
    published=(
        Published(
            preset="qwen2_0_5b",
            source="huggingface.co/Qwen/Qwen2-0.5B",
            config={
                "architectures": ["Qwen2ForCausalLM"],
                "attention_dropout": 0.0,
                "bos_token_id": 151643,
                "eos_token_id": 151643,
                "hidden_act": "silu",
                "hidden_size": 896,
                "initializer_range": 0.02,
                "intermediate_size": 4864,
                "max_position_embeddings": 131072,
                "max_window_layers": 24,
                "num_attention_heads": 14,
                "num_hidden_layers": 24,
                "num_key_value_heads": 2,
                "rms_norm_eps": 1e-06,
                "rope_theta": 1000000.0,
                "sliding_window": 131072,
                "tie_word_embeddings": True,
                "torch_dtype": "bfloat16",
                "transformers_version": "4.40.1",
                "use_cache": True,
                "use_sliding_window": False,
                "vocab_size": 151936,
            },
        ),
    ),
)
