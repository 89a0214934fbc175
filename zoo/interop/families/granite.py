"""Granite 3: Granite Team 2024. LLaMA with fixed factors on embeddings, scores, sublayers and logits."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import SMALL
from zoo.interop.entries import Field, Head, Plain
from zoo.interop.families.llama import LLAMA
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class _LogitsScaling:
    """What the logits are divided by."""

    order: ClassVar[int] = 1

    def read(self, config: Config, spec: Plain) -> None:
        divisor = config.number("logits_scaling", 1.0)
        if divisor <= 0:
            config.refuse("logits_scaling", f"must be above 0, got {divisor:g}")
        if spec["head"]["type"] == "language_model":
            spec["head"]["scale"] = 1 / divisor

    def written(self, spec: Any) -> Plain:
        if spec.head.type != "language_model":
            return {}
        return {"logits_scaling": float(f"{1 / spec.head.scale:.12g}")}  # as it was before the division


FAMILY = decoder_family(
    "granite",
    LLAMA.sibling(
        parts={"decoder": {"layer": {"layout": {"type": "scaled_branch", "layout": "pre_norm"}}}},
        fields={
            "head": Head("Granite", suffixes=("ForCausalLM", "Model")),
            "embedding_multiplier": Field("tokens.scale", "embedding_multiplier", 1.0),
            "residual_multiplier": Field("layer.layout.factor", "residual_multiplier", 1.0),
            "attention_multiplier": Field("layer.self_attention.scale", "attention_multiplier", 1.0),
            "logits_scaling": _LogitsScaling(),
        },
        tensors={
            "layer.layout.norms.0": None,
            "layer.layout.norms.1": None,
            "layer.layout.inner.norms.0": "input_layernorm",
            "layer.layout.inner.norms.1": "post_attention_layernorm",
        },
    ),
    writing=Writing(end=2, start=1),
    small={
        **SMALL,
        "embedding_multiplier": 12.0,
        "residual_multiplier": 0.22,
        "attention_multiplier": 0.3,
        "logits_scaling": 8.0,
    },
    examples=(
        {"tie_word_embeddings": True},
        {
            "attention_bias": True,
            "mlp_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_theta": 30.0,
            "logits_scaling": 3.7,
        },
        {"num_hidden_layers": 1, "num_key_value_heads": 6, "attention_dropout": 0.1, "hidden_act": "gelu"},
    ),
    published=(
        Published(
            source="huggingface.co/ibm-granite/granite-3.0-2b-base",
            config={
                "architectures": ["GraniteForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.1,
                "attention_multiplier": 0.015625,
                "bos_token_id": 0,
                "embedding_multiplier": 12.0,
                "eos_token_id": 0,
                "hidden_act": "silu",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 8192,
                "logits_scaling": 8.0,
                "max_position_embeddings": 4096,
                "mlp_bias": False,
                "num_attention_heads": 32,
                "num_hidden_layers": 40,
                "num_key_value_heads": 8,
                "pad_token_id": 0,
                "residual_multiplier": 0.22,
                "rms_norm_eps": 1e-05,
                "rope_scaling": None,
                "rope_theta": 10000.0,
                "tie_word_embeddings": True,
                "use_cache": True,
                "vocab_size": 49152,
            },
        ),
    ),
)
