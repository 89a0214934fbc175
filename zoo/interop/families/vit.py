"""ViT: Dosovitskiy et al. 2021, for classes of images, or as a base model."""

from __future__ import annotations

from typing import Any

import torch

from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.rules import Reshape, Rules, either, for_each, module, tensor
from zoo.interop.trial import Padding, Trial


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, eps = config.integer("hidden_size", 768), config.number("layer_norm_eps", 1e-12)
    height, width = _sides(config, "image_size", 224)
    patch = _sides(config, "patch_size", 16)
    if patch[0] != patch[1]:
        config.refuse(
            "patch_size", f"patches of {patch[0]} × {patch[1]} cannot be represented, only square ones"
        )
    if height % patch[0] or width % patch[0]:
        config.refuse("image_size", f"patches of {patch[0]} pixels leave some of {height} × {width} over")
    dropout = config.number("hidden_dropout_prob", 0.0)
    return {
        "type": "encoder_only",
        "d_model": d_model,
        "inputs": {
            "type": "image_patches",
            "image_size": config.value("image_size", 224),
            "patch_size": patch[0],
            "n_channels": config.integer("num_channels", 3),
        },
        "position": {"type": "learned", "max_len": (height // patch[0]) * (width // patch[0]) + 1},
        "encoder": {
            "n_layers": config.integer("num_hidden_layers", 12),
            "layer": {
                "layout": "pre_norm",
                "norm": {"type": "layer_norm", "eps": eps},
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("num_attention_heads", 12),
                    "d_k": config.integer("head_dim", None),
                    "bias": True if config.boolean("qkv_bias", True) else ["output"],
                    "dropout": config.number("attention_probs_dropout_prob", 0.0),
                },
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("intermediate_size", 3072),
                    "activation": config.activation("hidden_act", "gelu"),
                },
                "dropout": dropout,
            },
        },
        "head": _head(config, d_model),
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def _sides(config: Config, name: str, default: int) -> tuple[int, int]:
    """Height and width of a field that is one number or two."""
    value = config.value(name, default)
    sides = [value, value] if isinstance(value, int) else value
    if (
        not isinstance(sides, list | tuple)
        or len(sides) != 2
        or not all(type(side) is int and side > 0 for side in sides)
    ):
        config.refuse(name, f"must be a number of pixels, or height and width, got {value!r}")
    return sides[0], sides[1]


def _head(config: Config, d_model: int) -> dict[str, Any]:
    if config.architecture.endswith("Model") and "pooler.dense.weight" in config.variant.lacking:
        return {"type": "none"}
    if config.architecture.endswith("Model"):
        size = config.integer("pooler_output_size", None) or d_model
        return {
            "type": "pooled",
            "pool": "first",
            "d_pooled": size,
            "activation": config.activation("pooler_act", "tanh"),
        }
    n_classes = config.n_labels()
    if n_classes == 0:
        config.refuse("num_labels", "a classifier without classes cannot be represented")
    return {"type": "pooled_classifier", "pool": "first", "n_classes": n_classes}


def to_config(spec: Any, stem: str = "ViT") -> dict[str, Any]:
    """The model's spec -> a config; stem is what the classes begin with."""
    layers = spec.encoder.each_layer()
    attention, ffn, size = layers[0].self_attention, layers[0].ffn, spec.inputs.image_size
    config = {
        "architectures": [f"{stem}ForImageClassification"],
        "hidden_size": spec.d_model,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "intermediate_size": ffn.d_ff,
        "hidden_act": activation_name(ffn.activation),
        "hidden_dropout_prob": layers[0].dropout,
        "attention_probs_dropout_prob": attention.dropout,
        "layer_norm_eps": layers[0].norm.eps,
        "image_size": list(size) if isinstance(size, tuple) else size,
        "patch_size": spec.inputs.patch_size,
        "num_channels": spec.inputs.n_channels,
        "qkv_bias": attention.bias is True,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
    }
    if attention.d_k:
        config["head_dim"] = attention.d_k
    if spec.head.type == "pooled":
        pooler = {
            "pooler_output_size": spec.head.d_pooled,
            "pooler_act": activation_name(spec.head.activation),
        }
        return {**config, "architectures": [f"{stem}Model"], **pooler}
    if spec.head.type == "none":
        return {**config, "architectures": [f"{stem}Model"]}
    return {**config, "num_labels": spec.head.n_classes}


def weights(spec: Any, prefix: str = "vit.") -> Rules:
    """Which tensors are which; prefix stands before the names of a model with a classifier."""
    base = "" if spec.head.type in ("none", "pooled") else prefix
    D, C, P, N = spec.d_model, spec.inputs.n_channels, spec.inputs.patch_size, spec.position.max_len
    embeddings, patches = f"{base}embeddings", f"{base}embeddings.patch_embeddings.projection"
    on_disk = layer_weights(f"{base}encoder.layer.{{i}}", ON_DISK)
    live = layer_weights(f"{base}layers.{{i}}", LIVE)
    return [
        *tensor("inputs.class_token", f"{embeddings}.cls_token", Reshape((1, 1, D), (1, D))),
        *tensor(
            "encoder.position.table.weight", f"{embeddings}.position_embeddings", Reshape((1, N, D), (N, D))
        ),
        *tensor("inputs.projection.weight", f"{patches}.weight", Reshape((D, C, P, P), (D, C * P * P))),
        *tensor("inputs.projection.bias", f"{patches}.bias"),
        *for_each("i", len(spec.encoder.each_layer()), either(on_disk, live)),
        *module("encoder.final_norm", f"{base}layernorm"),
        *(module("head.dense", "pooler.dense") if spec.head.type == "pooled" else ()),
        *module("head.output", "classifier"),
    ]


_OURS = (
    "self_attention.query",
    "self_attention.key",
    "self_attention.value",
    "self_attention.output",
    "ffn.inner",
    "ffn.outer",
    "layout.norms.0",
    "layout.norms.1",
)
ON_DISK = (
    "attention.attention.query",
    "attention.attention.key",
    "attention.attention.value",
    "attention.output.dense",
    "intermediate.dense",
    "output.dense",
    "layernorm_before",
    "layernorm_after",
)
LIVE = (  # since transformers 5
    "attention.q_proj",
    "attention.k_proj",
    "attention.v_proj",
    "attention.o_proj",
    "mlp.fc1",
    "mlp.fc2",
    "layernorm_before",
    "layernorm_after",
)


def layer_weights(where: str, names: tuple[str, ...], *, norms: str = "layout.norms") -> Rules:
    """The modules of layer {i}, theirs at a place by ON_DISK or LIVE; norms are ours in the layout."""
    rules: Rules = []
    for ours, theirs in zip(_OURS, names, strict=True):
        rules += module(f"encoder.layers.{{i}}.{ours}".replace("layout.norms", norms), f"{where}.{theirs}")
    return rules


def trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Images, which have no padding."""
    images = torch.randn(3, spec.inputs.n_channels, *spec.inputs.sides, generator=random)
    return Trial((images,), {"pixel_values": images})


SMALL = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 19,
    "image_size": 10,
    "patch_size": 5,
    "num_channels": 2,
    "num_labels": 7,
}

_CLASSES = [f"class {i}" for i in range(1000)]  # there, ImageNet's names for them
LABELS = {
    "id2label": {str(i): name for i, name in enumerate(_CLASSES)},
    "label2id": {name: i for i, name in enumerate(_CLASSES)},
}

FAMILY = Family(
    name="vit",
    architectures=("ViTForImageClassification", "ViTModel"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    bookkeeping=("encoder_stride", "pooler_act", "pooler_output_size"),
    prefix="vit.",
    ignored=(r"embeddings\.mask_token$",),  # of a training by masked patches
    examples=(
        SMALL,
        {**SMALL, "architectures": ["ViTModel"]},
        {
            **SMALL,
            "num_hidden_layers": 1,
            "head_dim": 5,
            "image_size": [6, 9],
            "patch_size": [3, 3],
            "num_channels": 1,
            "qkv_bias": False,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.2,
        },
    ),
    published=(
        Published(
            preset="vit_base",
            source="huggingface.co/google/vit-base-patch16-224",
            config={
                "_name_or_path": "google/vit-base-patch16-224-in21k",
                "architectures": ["ViTForImageClassification"],
                "attention_probs_dropout_prob": 0.0,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.0,
                "hidden_size": 768,
                "image_size": 224,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                **LABELS,
                "layer_norm_eps": 1e-12,
                "num_attention_heads": 12,
                "num_channels": 3,
                "num_hidden_layers": 12,
                "patch_size": 16,
                "qkv_bias": True,
                "transformers_version": "4.13.0.dev0",
            },
        ),
    ),
    trial=trial,
    paddings=("none",),
)
