"""Gemma 3, its text models: Gemma Team 2025. Gemma 2 with normed queries and keys in place of caps, and two bases."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import SMALL
from zoo.interop.entries import Field, Head, PerLayer, Plain, windowed
from zoo.interop.families.gemma2 import GEMMA2, kinds, window_fields
from zoo.interop.family import Published
from zoo.interop.rotary import part_spec, rotary_config, rotary_spec
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class _Positions:
    """Windows, and rotary positions with a base for local layers: a field of its own, or, since transformers 5, parts
    of rope_parameters."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        base = config.number("rope_local_base_freq", 10000.0)
        if (parts := config.part("rope_parameters")) is None:
            spec["position"] = rotary_spec(config, base=1e6, max_len=131072)
        else:
            theta = config.number("rope_theta", 1e6)
            length = config.integer("max_position_embeddings", 131072)
            config.only("rope_scaling", None, reason=" beside rope_parameters")
            whole, local = parts.part("full_attention"), parts.part("sliding_attention")
            spec["position"] = part_spec(whole, theta, length) if whole else {"type": "rotary", "base": theta}
            if local:
                local.only("rope_type", "default")
                base = local.number("rope_theta", base)
        position = {"type": "rotary", "base": base}
        window, every = config.integer("sliding_window", 4096), config.integer("sliding_window_pattern", 6)

        def forms(config: Config, n_layers: int, layer: Plain) -> list[Plain]:
            local = {"self_attention": windowed(layer["self_attention"], window), "position": position}
            found = kinds(config, n_layers, every)
            return [local if kind == "sliding_attention" else {} for kind in found]

        PerLayer(forms, window_fields).read(config, spec)

    def written(self, spec: Any) -> Plain:
        own = [layer.position for layer in spec.decoder.each_layer() if layer.position is not None]
        base = own[0].base if own else 10000.0
        return {**rotary_config(spec.position), "rope_local_base_freq": base, **window_fields(spec)}


FAMILY = decoder_family(
    "gemma3_text",
    GEMMA2.sibling(
        parts={
            "decoder": {"layer": {"self_attention": {"qk_norm": {"type": "rms_norm", "unit_offset": True}}}}
        },
        without=("position", "cap"),
        fields={
            "head": Head("Gemma3", True, ("ForCausalLM", "TextModel", "TextForSequenceClassification")),
            "vocab_size": 262208,
            "last_cap": Field("head.soft_cap", "final_logit_softcapping", None, kind=float),
            "windows": _Positions(),
        },
    ),
    fixed={"attn_logit_softcapping": None, "use_bidirectional_attention": (None, False)},
    bookkeeping=("_sliding_window_pattern", "cache_implementation"),
    writing=Writing(end=1, start=2, pad=0),
    small={**SMALL, "head_dim": 4, "query_pre_attn_scalar": 5, "sliding_window": 3},
    examples=(
        {"num_hidden_layers": 3, "sliding_window_pattern": 3},
        {
            "num_hidden_layers": 3,
            "layer_types": ["full_attention", "sliding_attention", "full_attention"],
            "final_logit_softcapping": 1.5,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": 40.0,
            "rope_local_base_freq": 20.0,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            "pad_token_id": None,
        },
        {
            "sliding_window_pattern": 2,
            "tie_word_embeddings": False,
            "hidden_activation": "silu",
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 50.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 30.0},
            },
        },
    ),
    published=(
        Published(
            source="huggingface.co/google/gemma-3-1b-pt",
            config={
                "architectures": ["Gemma3ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "attn_logit_softcapping": None,
                "bos_token_id": 2,
                "cache_implementation": "hybrid",
                "eos_token_id": 1,
                "final_logit_softcapping": None,
                "head_dim": 256,
                "hidden_activation": "gelu_pytorch_tanh",
                "hidden_size": 1152,
                "initializer_range": 0.02,
                "intermediate_size": 6912,
                "max_position_embeddings": 32768,
                "num_attention_heads": 4,
                "num_hidden_layers": 26,
                "num_key_value_heads": 1,
                "pad_token_id": 0,
                "query_pre_attn_scalar": 256,
                "rms_norm_eps": 1e-06,
                "rope_local_base_freq": 10000,
                "rope_scaling": None,
                "rope_theta": 1000000,
                "sliding_window": 512,
                "sliding_window_pattern": 6,
                "use_cache": True,
                "vocab_size": 262144,
            },
        ),
    ),
)
