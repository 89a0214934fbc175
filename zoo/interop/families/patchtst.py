"""PatchTST: Nie et al. 2023, that forecasts, or as a base model.

Each variable of a series is a row of ours. How many there are is a matter of the data and not of the model, so that no
spec says it: num_input_channels is a further field of an exported config, where it is not 1.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.components.position.standardised_sinusoidal import standardised_sinusoids
from zoo.interop.config import Config, activation_name, shown
from zoo.interop.family import Family, Published
from zoo.interop.rules import Reshape, Rules, batch_norm, for_each, module, table, tensor
from zoo.interop.trial import Padding, Trial

_TABLE = "encoder.positional_encoder.position_enc"
_SCALINGS = {"std": ("standard", 1e-5), "mean": ("mean_size", 1e-10), True: ("mean_size", 1e-10)}
"""By what a series is scaled: our name, and their least scale or what is added to the variance."""
_LAYOUTS = {True: "pre_norm", False: "post_norm"}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    for name, only in (("share_embedding", True), ("channel_attention", False)):
        config.only(name, only)
    if config.integer("num_input_channels", 1) < 1:
        config.refuse("num_input_channels", "a series without variables cannot be forecast")
    is_base = config.architecture == "PatchTSTModel"
    if is_base:
        config.only("do_mask_input", None, False, reason=": a training by masked patches")
    d_model, has_class = config.integer("d_model", 128), config.boolean("use_cls_token", False)
    length, patch = config.integer("context_length", 32), config.integer("patch_length", 1)
    stride = config.integer("patch_stride", 1)
    if patch < 1 or stride < 1 or length <= patch:
        config.refuse(
            "context_length", f"{length} values cannot be cut to patches of {patch}, {stride} apart"
        )
    n_places = has_class + (length - patch) // stride + 1
    if has_class and config.number("positional_dropout", 0.0):
        text = "beside use_cls_token, which it spares, it cannot be represented; only 0 can"
        config.refuse("positional_dropout", text)
    return {
        "type": "encoder_only",
        "d_model": d_model,
        "inputs": {
            "type": "series_patches",
            "series_length": length,
            "patch_len": patch,
            "stride": stride,
            "pad_end": False,
            "left_out": "start" if (length - patch) % stride else "end",
            "class_token": has_class,
            **_scaling(config),
        },
        "position": _position(config, n_places),
        "encoder": {
            "n_layers": config.n_layers("num_hidden_layers", 3),
            "layer": {
                "layout": _LAYOUTS[config.boolean("pre_norm", True)],
                "norm": _norm(config),
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("num_attention_heads", 4),
                    "bias": True,
                    "dropout": config.number("attention_dropout", 0.0),
                },
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("ffn_dim", 512),
                    "activation": config.activation("activation_function", "gelu"),
                    "bias": config.boolean("bias", True),
                    "dropout": config.number("ff_dropout", 0.0),
                },
                "dropout": config.number("path_dropout", 0.0),
            },
            "final_norm": None,
            "input_dropout": config.number("positional_dropout", 0.0),
        },
        "head": {"type": "none"} if is_base else _head(config, n_places, has_class=has_class),
        "initialization": {"type": "normal", "std": config.number("init_std", 0.02)},
    }


def _scaling(config: Config) -> dict[str, Any]:
    """How a series is brought to a level of its own."""
    for name, only in (("scaling_dim", 1), ("keepdim", True), ("default_scale", None)):
        config.only(name, only)
    value = config.value("scaling", "std")
    if value is None or value is False:
        config.value("minimum_scale", None)
        return {"scaling": "none"}
    if not isinstance(value, str | bool) or value not in _SCALINGS:
        config.refuse("scaling", f"must be 'std', 'mean', true, false or null, got {shown(value)}")
    scaling, eps = _SCALINGS[value]
    return {"scaling": scaling, "scaling_eps": config.number("minimum_scale", eps)}


def _position(config: Config, n_places: int) -> dict[str, Any]:
    """Positions that are learned, or sinusoids; rounded ones a checkpoint keeps."""
    kind = config.text("positional_encoding_type", "sincos")
    if kind not in ("sincos", "random"):
        config.refuse("positional_encoding_type", f"must be 'sincos' or 'random', got {shown(kind)}")
    is_own = {_TABLE, f"model.{_TABLE}"} & config.variant.own_tables
    form = "learned" if kind == "random" or is_own else "standardised_sinusoidal"
    return {"type": form, "max_len": n_places}


def _norm(config: Config) -> dict[str, Any]:
    kind, eps = config.text("norm_type", "batchnorm"), config.number("norm_eps", 1e-5)
    if kind not in ("batchnorm", "layernorm"):
        config.refuse("norm_type", f"must be 'batchnorm' or 'layernorm', got {shown(kind)}")
    return {"type": kind.replace("norm", "_norm"), "eps": eps}


def _head(config: Config, n_places: int, *, has_class: bool) -> dict[str, Any]:
    """A forecast of all patches side by side, of their mean or largest values, or of the class token."""
    config.only("share_projection", True)
    config.only("loss", "mse", reason=", for ours forecasts numbers and no distribution")
    pooling = config.value("pooling_type", "mean")
    if pooling not in (None, "mean", "max"):
        config.refuse("pooling_type", f"must be 'mean', 'max' or null, got {shown(pooling)}")
    numbers = {
        "n_outputs": config.integer("prediction_length", 24),
        "dropout": config.number("head_dropout", 0.0),
    }
    if has_class or pooling:
        return {"type": "pooled_regression", "pool": "first" if has_class else pooling, **numbers}
    return {"type": "flattened_regression", "n_places": n_places, **numbers}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers, inputs = spec.encoder.each_layer(), spec.inputs
    layer = layers[0]
    scaling = {ours: theirs for theirs, (ours, _) in _SCALINGS.items() if theirs is not True}
    config = {
        "architectures": ["PatchTSTModel" if spec.head.type == "none" else "PatchTSTForPrediction"],
        "d_model": spec.d_model,
        "context_length": inputs.series_length,
        "patch_length": inputs.patch_len,
        "patch_stride": inputs.stride,
        "use_cls_token": inputs.class_token,
        "scaling": scaling.get(inputs.scaling),
        "positional_encoding_type": "random" if _positions(spec).type == "learned" else "sincos",
        "positional_dropout": spec.encoder.input_dropout,
        "num_hidden_layers": len(layers),
        "pre_norm": layer.layout.type == "pre_norm",
        "norm_type": layer.norm.type.replace("_", ""),
        "norm_eps": layer.norm.eps,
        "num_attention_heads": layer.self_attention.n_heads,
        "attention_dropout": layer.self_attention.dropout,
        "ffn_dim": layer.ffn.d_ff,
        "activation_function": activation_name(layer.ffn.activation),
        "bias": layer.ffn.bias,
        "ff_dropout": layer.ffn.dropout,
        "path_dropout": layer.dropout,
        "init_std": getattr(spec.initialization, "std", 0.02),
    }
    if inputs.scaling != "none" and inputs.scaling_eps != dict(_SCALINGS.values())[inputs.scaling]:
        config["minimum_scale"] = inputs.scaling_eps
    if spec.head.type == "none":
        return config
    pool = getattr(spec.head, "pool", None)
    return {
        **config,
        "pooling_type": "mean" if pool == "first" else pool,
        "prediction_length": spec.head.n_outputs,
        "head_dropout": spec.head.dropout,
    }


def _positions(spec: Any) -> Any:
    return spec.encoder.position or spec.position


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix, D = "" if spec.head.type == "none" else "model.", spec.d_model
    positions = _positions(spec)
    sinusoids = partial(_sinusoids, positions.max_len, D)
    norm = batch_norm if spec.encoder.each_layer()[0].norm.type == "batch_norm" else module
    suffix = ".batchnorm" if norm is batch_norm else ""
    ours, theirs = "encoder.layers.{i}.", f"{prefix}encoder.layers.{{i}}."
    layer = (
        *(
            module(f"{ours}self_attention.{name}", f"{theirs}self_attn.{other}_proj")
            for name, other in (("query", "q"), ("key", "k"), ("value", "v"), ("output", "out"))
        ),
        norm(f"{ours}layout.norms.0", f"{theirs}norm_sublayer1{suffix}"),
        module(f"{ours}ffn.inner", f"{theirs}ff.0"),
        module(f"{ours}ffn.outer", f"{theirs}ff.3"),
        norm(f"{ours}layout.norms.1", f"{theirs}norm_sublayer3{suffix}"),
    )
    return [
        *module("inputs.projection", f"{prefix}encoder.embedder.input_embedding"),
        *tensor(
            "inputs.class_token",
            f"{prefix}encoder.positional_encoder.cls_token",
            Reshape((1, 1, 1, D), (1, D)),
        ),
        *(
            tensor("encoder.position.table.weight", f"{prefix}{_TABLE}")
            if positions.type == "learned"
            else table(f"{prefix}{_TABLE}", sinusoids)
        ),
        *for_each("i", len(spec.encoder.each_layer()), *layer),
        *module("head.output", "head.projection"),
    ]


def _sinusoids(length: int, size: int) -> Tensor:
    return standardised_sinusoids(length, size, 10000.0, 0.1).float()


_N_VARIABLES = 3


def _trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Series of three variables, each of a level of its own; they have no padding."""
    V, is_base = _N_VARIABLES, spec.head.type == "none"
    series = torch.randn(2, spec.inputs.series_length, V, generator=random)
    series = series * torch.rand(2, 1, V, generator=random) * 4 + torch.randn(2, 1, V, generator=random)

    def as_ours(output: Tensor) -> Tensor:
        """[B, V, S, D] or [B, horizon, V] -> [B·V, S, D] or [B·V, horizon]."""
        return (output if is_base else output.transpose(1, 2)).flatten(0, 1)

    return Trial(
        (series.transpose(1, 2).flatten(0, 1),),
        {"past_values": series},
        as_ours=as_ours,
        fields={"num_input_channels": V},
    )


_SMALL = {
    "num_input_channels": _N_VARIABLES,
    "context_length": 15,
    "patch_length": 4,
    "patch_stride": 3,
    "prediction_length": 5,
    "d_model": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "ffn_dim": 19,
    "pooling_type": None,
}

FAMILY = Family(
    name="patchtst",
    architectures=("PatchTSTForPrediction", "PatchTSTModel"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    bookkeeping=(
        "channel_consistent_masking",  # this and what follows of a training by masked patches
        "do_mask_input",
        "mask_type",
        "mask_value",
        "num_forecast_mask_patches",
        "random_mask_ratio",
        "unmasked_channel_indices",
        "distribution_output",  # of another loss
        "num_parallel_samples",
        "dropout",  # in published configs, and read by nothing
        "head_dropout",  # this and what follows of other heads
        "loss",
        "num_targets",
        "output_range",
        "pooling_type",
        "prediction_length",
        "share_projection",
    ),
    prefix="model.",
    examples=(
        _SMALL,
        {
            **_SMALL,
            "architectures": ["PatchTSTModel"],
            "patch_stride": 4,
            "positional_encoding_type": "random",
        },
        {
            **_SMALL,
            "context_length": 16,
            "use_cls_token": True,
            "pre_norm": False,
            "scaling": "mean",
            "norm_eps": 1e-3,
            "path_dropout": 0.1,
            "ff_dropout": 0.2,
            "attention_dropout": 0.3,
            "head_dropout": 0.4,
        },
        {
            **_SMALL,
            "pooling_type": "max",
            "norm_type": "layernorm",
            "scaling": None,
            "activation_function": "relu",
            "bias": False,
            "positional_dropout": 0.1,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "pooling_type": "mean",
            "norm_type": "layernorm",
            "positional_encoding_type": "random",
            "pre_norm": False,
            "minimum_scale": 1e-3,
        },
        {**_SMALL, "architectures": ["PatchTSTModel"], "num_hidden_layers": 1, "use_cls_token": True},
    ),
    published=(
        Published(
            # The sizes as remembered, not read from there: what is held is the reference's count for them.
            source="huggingface.co/ibm-granite/granite-timeseries-patchtst",
            config={
                "activation_function": "gelu",
                "architectures": ["PatchTSTForPrediction"],
                "attention_dropout": 0.0,
                "bias": True,
                "channel_attention": False,
                "channel_consistent_masking": False,
                "context_length": 512,
                "d_model": 128,
                "distribution_output": "student_t",
                "do_mask_input": False,
                "dropout": 0.2,
                "ff_dropout": 0.0,
                "ffn_dim": 512,
                "head_dropout": 0.2,
                "init_std": 0.02,
                "loss": "mse",
                "mask_type": "random",
                "mask_value": 0,
                "norm_eps": 1e-05,
                "norm_type": "batchnorm",
                "num_attention_heads": 16,
                "num_forecast_mask_patches": [2],
                "num_hidden_layers": 3,
                "num_input_channels": 7,
                "num_parallel_samples": 100,
                "num_targets": 1,
                "output_range": None,
                "patch_length": 12,
                "patch_stride": 12,
                "path_dropout": 0.0,
                "pooling_type": None,
                "positional_dropout": 0.0,
                "positional_encoding_type": "sincos",
                "pre_norm": True,
                "prediction_length": 96,
                "random_mask_ratio": 0.4,
                "scaling": "std",
                "share_embedding": True,
                "share_projection": True,
                "unmasked_channel_indices": None,
                "use_cls_token": False,
            },
        ),
    ),
    trial=_trial,
    paddings=("none",),
)
