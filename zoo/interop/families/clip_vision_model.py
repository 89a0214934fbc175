"""CLIP's vision tower: Radford et al. 2021. ViT with a norm before its layers; its class token, projected or not."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name
from zoo.interop.families import vit
from zoo.interop.family import Family, Published
from zoo.interop.rules import Reshape, Rules, for_each, module, tensor

_CLASSES = ("CLIPVisionModelWithProjection", "CLIPVisionModel")
_LAYER = {
    "self_attention.query": "self_attn.q_proj",
    "self_attention.key": "self_attn.k_proj",
    "self_attention.value": "self_attn.v_proj",
    "self_attention.output": "self_attn.out_proj",
    "ffn.inner": "mlp.fc1",
    "ffn.outer": "mlp.fc2",
    "layout.norms.0": "layer_norm1",
    "layout.norms.1": "layer_norm2",
}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    size, patch = config.integer("image_size", 224), config.integer("patch_size", 32)
    if size % patch:
        config.refuse("image_size", f"patches of {patch} pixels leave some of {size} over")
    head: dict[str, Any] = {"type": "pooled", "pool": "first", "activation": None}
    d_pooled = config.integer("projection_dim", 512)
    if config.architecture == _CLASSES[0]:
        head |= {"activation": "identity", "d_pooled": d_pooled, "bias": False}
    norm = {"type": "layer_norm", "eps": config.number("layer_norm_eps", 1e-5)}
    return {
        "type": "encoder_only",
        "d_model": config.integer("hidden_size", 768),
        "inputs": {
            "type": "image_patches",
            "image_size": size,
            "patch_size": patch,
            "n_channels": config.integer("num_channels", 3),
            "bias": False,
        },
        "position": {"type": "learned", "max_len": (size // patch) ** 2 + 1},
        "encoder": {
            "input_norm": norm,
            "n_layers": config.n_layers("num_hidden_layers", 12),
            "layer": {
                "layout": "pre_norm",
                "norm": norm,
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("num_attention_heads", 12),
                    "bias": True,
                    "dropout": config.number("attention_dropout", 0.0),
                },
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("intermediate_size", 3072),
                    "activation": config.activation("hidden_act", "quick_gelu"),
                },
                "dropout": 0.0,
            },
        },
        "head": head,
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers, is_projected = spec.encoder.each_layer(), spec.head.activation is not None
    return {
        "architectures": [_CLASSES[0] if is_projected else _CLASSES[1]],
        "hidden_size": spec.d_model,
        "intermediate_size": layers[0].ffn.d_ff,
        "num_hidden_layers": len(layers),
        "num_attention_heads": layers[0].self_attention.n_heads,
        "num_channels": spec.inputs.n_channels,
        "image_size": spec.inputs.image_size,
        "patch_size": spec.inputs.patch_size,
        "hidden_act": activation_name(layers[0].ffn.activation),
        "layer_norm_eps": layers[0].norm.eps,
        "attention_dropout": layers[0].self_attention.dropout,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        **({"projection_dim": spec.head.d_pooled or spec.d_model} if is_projected else {}),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    base = "" if spec.head.activation is None else "vision_model."
    D, C, P = spec.d_model, spec.inputs.n_channels, spec.inputs.patch_size
    flat = Reshape((D, C, P, P), (D, C * P * P))
    return [
        *tensor("inputs.class_token", f"{base}embeddings.class_embedding", Reshape((D,), (1, D))),
        *tensor("encoder.position.table.weight", f"{base}embeddings.position_embedding.weight"),
        *tensor("inputs.projection.weight", f"{base}embeddings.patch_embedding.weight", flat),
        *module("encoder.input_norm", f"{base}pre_layrnorm"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            *(
                module(f"encoder.layers.{{i}}.{ours}", f"{base}encoder.layers.{{i}}.{theirs}")
                for ours, theirs in _LAYER.items()
            ),
        ),
        *module("encoder.final_norm", f"{base}post_layernorm"),
        *module("head.dense", "visual_projection"),
    ]


_SMALL = {
    "hidden_size": 12,
    "intermediate_size": 19,
    "projection_dim": 7,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_channels": 2,
    "image_size": 10,
    "patch_size": 5,
}

FAMILY = Family(
    name="clip_vision_model",
    architectures=_CLASSES,
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    bookkeeping=("projection_dim",),  # of the class that projects
    prefix="vision_model.",
    ignored=(r"embeddings\.position_ids$",),
    examples=(
        _SMALL,
        {**_SMALL, "hidden_act": "gelu", "layer_norm_eps": 1e-3, "attention_dropout": 0.1, "num_channels": 1},
        {
            **_SMALL,
            "architectures": ["CLIPVisionModel"],
            "num_hidden_layers": 1,
            "image_size": 9,
            "patch_size": 3,
        },
    ),
    published=(
        Published(
            source="huggingface.co/openai/clip-vit-base-patch32",
            config={
                "architectures": ["CLIPVisionModelWithProjection"],  # its vision_config
                "attention_dropout": 0.0,
                "dropout": 0.0,
                "hidden_act": "quick_gelu",
                "hidden_size": 768,
                "image_size": 224,
                "initializer_factor": 1.0,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-05,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "patch_size": 32,
                "projection_dim": 512,
            },
        ),
    ),
    fixed={"dropout": 0.0},
    trial=vit.trial,
    paddings=("none",),
)
