"""DeiT: Touvron et al. 2021. ViT with a second token, which its teacher's classes were read from.

That token stays in the model; the class that reads its own classifier from it too cannot be represented.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.interop.config import Config
from zoo.interop.families import vit
from zoo.interop.family import Family, Published
from zoo.interop.rules import Reshape, Rules, tensor


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    spec = vit.to_spec(config)
    spec["inputs"]["n_registers"] = 1
    spec["position"]["max_len"] += 1
    return spec


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    base, D = "" if spec.head.type in ("none", "pooled") else "deit.", spec.d_model
    token = f"{base}embeddings.distillation_token"
    return [
        *vit.weights(spec, "deit."),
        *tensor("inputs.registers", token, Reshape((1, 1, D), (1, D))),
    ]


FAMILY = Family(
    name="deit",
    architectures=("DeiTForImageClassification", "DeiTModel"),
    to_spec=to_spec,
    to_config=partial(vit.to_config, stem="DeiT"),
    weights=weights,
    bookkeeping=("encoder_stride", "pooler_act", "pooler_output_size"),
    prefix="deit.",
    ignored=(r"embeddings\.mask_token$",),
    examples=(
        vit.SMALL,
        {**vit.SMALL, "architectures": ["DeiTModel"], "num_hidden_layers": 1},
        {**vit.SMALL, "image_size": [6, 9], "patch_size": 3, "qkv_bias": False, "layer_norm_eps": 1e-3},
    ),
    published=(
        Published(
            source="huggingface.co/facebook/deit-base-distilled-patch16-224",
            config={
                "architectures": ["DeiTModel"],  # its own class has two classifiers besides
                "attention_probs_dropout_prob": 0.0,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.0,
                "hidden_size": 768,
                "image_size": 224,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-12,
                "num_attention_heads": 12,
                "num_channels": 3,
                "num_hidden_layers": 12,
                "patch_size": 16,
                "qkv_bias": True,
                **vit.LABELS,
            },
        ),
    ),
    trial=vit.trial,
    paddings=("none",),
)
