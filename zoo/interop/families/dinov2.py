"""DINOv2: Oquab et al. 2024. ViT with a gain on every sublayer, and, where asked, gated networks; its class token.

transformers interpolates the positions of images that are not square, or not of the config's size: refused. The class
with a classifier reads the mean of the patches besides the class token, which no head here does.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name
from zoo.interop.families import vit
from zoo.interop.family import Family, Published
from zoo.interop.rules import Reshape, Rules, Split, either, for_each, module, tensor


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, size = config.integer("hidden_size", 768), config.integer("image_size", 224)
    patch = config.integer("patch_size", 14)
    if size % patch:
        config.refuse("image_size", f"patches of {patch} pixels leave some of {size} over")
    init = config.number("layerscale_value", 1.0)
    d_ff, activation = d_model * config.integer("mlp_ratio", 4), config.activation("hidden_act", "gelu")
    network = {"type": "mlp", "d_ff": d_ff, "activation": activation}
    if config.boolean("use_swiglu_ffn", False):
        network = {"type": "glu", "d_ff": -(-int(d_ff * 2 / 3) // 8) * 8, "activation": "silu", "bias": True}
    return {
        "type": "encoder_only",
        "d_model": d_model,
        "inputs": {
            "type": "image_patches",
            "image_size": size,
            "patch_size": patch,
            "n_channels": config.integer("num_channels", 3),
        },
        "position": {"type": "learned", "max_len": (size // patch) ** 2 + 1},
        "encoder": {
            "n_layers": config.n_layers("num_hidden_layers", 12),
            "input_dropout": config.number("hidden_dropout_prob", 0.0),
            "layer": {
                "layout": {"type": "layer_scale", "init": init, "layout": "pre_norm"},
                "norm": {"type": "layer_norm", "eps": config.number("layer_norm_eps", 1e-6)},
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("num_attention_heads", 12),
                    "bias": True if config.boolean("qkv_bias", True) else ["output"],
                    "dropout": config.number("attention_probs_dropout_prob", 0.0),
                },
                "ffn": network,
                "dropout": 0.0,
            },
        },
        "head": {"type": "pooled", "pool": "first", "activation": None},
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.encoder.each_layer()
    attention, ffn = layers[0].self_attention, layers[0].ffn
    is_gated = ffn.type == "glu"
    # The width of a gated network is rounded up, so several ratios may give it: of those the least.
    ratios = [ratio for ratio in range(1, 65) if -(-int(spec.d_model * ratio * 2 / 3) // 8) * 8 == ffn.d_ff]
    return {
        "architectures": ["Dinov2Model"],
        "hidden_size": spec.d_model,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "mlp_ratio": next(iter(ratios), 4) if is_gated else ffn.d_ff // spec.d_model,
        "hidden_act": "gelu" if is_gated else activation_name(ffn.activation),
        "use_swiglu_ffn": is_gated,
        "hidden_dropout_prob": spec.encoder.input_dropout,
        "attention_probs_dropout_prob": attention.dropout,
        "layer_norm_eps": layers[0].norm.eps,
        "image_size": spec.inputs.image_size,
        "patch_size": spec.inputs.patch_size,
        "num_channels": spec.inputs.n_channels,
        "qkv_bias": attention.bias is True,
        "layerscale_value": layers[0].layout.init,
        "use_mask_token": False,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
    }


_COMMON = {"layout.inner.norms.0": "norm1", "layout.inner.norms.1": "norm2"}
_ON_DISK = {
    "self_attention.query": "attention.attention.query",
    "self_attention.key": "attention.attention.key",
    "self_attention.value": "attention.attention.value",
    "self_attention.output": "attention.output.dense",
}
_LIVE = {  # since transformers 5
    "self_attention.query": "attention.q_proj",
    "self_attention.key": "attention.k_proj",
    "self_attention.value": "attention.v_proj",
    "self_attention.output": "attention.o_proj",
}


def _modules(theirs: str, names: dict[str, str]) -> Rules:
    rules: Rules = []
    for mine, its in names.items():
        rules += module(f"encoder.layers.{{i}}.{mine}", f"{theirs}.{its}")
    return rules


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    D, C, P, N = spec.d_model, spec.inputs.n_channels, spec.inputs.patch_size, spec.position.max_len
    patches, ours, theirs = (
        "embeddings.patch_embeddings.projection",
        "encoder.layers.{i}",
        "encoder.layer.{i}",
    )
    gated = (f"{ours}.ffn.gate", f"{ours}.ffn.inner")
    plain = {"ffn.inner": "mlp.fc1", "ffn.outer": "mlp.fc2"}
    if spec.encoder.each_layer()[0].ffn.type == "glu":
        on_disk = [
            *module(gated, f"{theirs}.mlp.weights_in", Split(2)),
            *module(f"{ours}.ffn.outer", f"{theirs}.mlp.weights_out"),
        ]
        live = _modules(
            theirs, {"ffn.gate": "mlp.gate_proj", "ffn.inner": "mlp.up_proj", "ffn.outer": "mlp.down_proj"}
        )
    else:
        on_disk = live = _modules(theirs, plain)
    return [
        *tensor("inputs.class_token", "embeddings.cls_token", Reshape((1, 1, D), (1, D))),
        *tensor(
            "encoder.position.table.weight", "embeddings.position_embeddings", Reshape((1, N, D), (N, D))
        ),
        *tensor("inputs.projection.weight", f"{patches}.weight", Reshape((D, C, P, P), (D, C * P * P))),
        *tensor("inputs.projection.bias", f"{patches}.bias"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            either(_modules(theirs, _ON_DISK) + on_disk, _modules(theirs, _LIVE) + live),
            _modules(theirs, _COMMON),
            tensor(f"{ours}.layout.gains.0", f"{theirs}.layer_scale1.lambda1"),
            tensor(f"{ours}.layout.gains.1", f"{theirs}.layer_scale2.lambda1"),
        ),
        *module("encoder.final_norm", "layernorm"),
    ]


_SMALL = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "mlp_ratio": 2,
    "image_size": 10,
    "patch_size": 5,
    "num_channels": 2,
}

FAMILY = Family(
    name="dinov2",
    architectures=("Dinov2Model",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"drop_path_rate": 0.0},
    bookkeeping=(
        "apply_layernorm",  # of a use for other models, as the next
        "out_features",
        "out_indices",
        "reshape_hidden_states",
        "stage_names",
        "use_mask_token",  # of a training by masked patches
    ),
    prefix="dinov2.",
    ignored=(r"embeddings\.mask_token$",),
    examples=(
        _SMALL,
        {
            **_SMALL,
            "use_swiglu_ffn": True,
            "layerscale_value": 0.5,
            "num_channels": 1,
            "use_mask_token": False,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "image_size": 9,
            "patch_size": 3,
            "qkv_bias": False,
            "hidden_act": "relu",
            "layer_norm_eps": 1e-3,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.2,
        },
    ),
    published=(
        Published(
            source="huggingface.co/facebook/dinov2-base",
            config={
                "apply_layernorm": True,
                "architectures": ["Dinov2Model"],
                "attention_probs_dropout_prob": 0.0,
                "drop_path_rate": 0.0,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.0,
                "hidden_size": 768,
                "image_size": 518,
                "initializer_range": 0.02,
                "layer_norm_eps": 1e-06,
                "layerscale_value": 1.0,
                "mlp_ratio": 4,
                "num_attention_heads": 12,
                "num_channels": 3,
                "num_hidden_layers": 12,
                "patch_size": 14,
                "qkv_bias": True,
                "use_mask_token": False,  # a vector that only training reads, and is not counted
                "use_swiglu_ffn": False,
            },
        ),
    ),
    trial=vit.trial,
    paddings=("none",),
)
