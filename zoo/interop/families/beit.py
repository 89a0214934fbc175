"""BEiT: Bao et al. 2022. ViT with biases for shifts between patches, gains on sublayers, and the mean of its patches.

transformers interpolates the tables of images that are not square, or not of the config's size: refused.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.families import vit
from zoo.interop.family import Family, Published
from zoo.interop.rules import Reshape, Rules, either, for_each, module, tensor

_NAME = "relative_position_bias_table"
_TABLE = f"relative_position_bias.{_NAME}"
_ABSOLUTE = "use_absolute_position_embeddings"
_EACH, _SHARED = "use_relative_position_bias", "use_shared_relative_position_bias"


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, size = config.integer("hidden_size", 768), config.integer("image_size", 224)
    patch = config.integer("patch_size", 16)
    if size % patch:
        config.refuse("image_size", f"patches of {patch} pixels leave some of {size} over")
    side = size // patch
    learned = {"type": "learned", "max_len": side**2 + 1} if config.boolean(_ABSOLUTE, False) else None
    shifts = {"type": "relative_2d", "height": side, "width": side}
    each, shared = config.boolean(_EACH, False), config.boolean(_SHARED, False)
    if each and shared:
        config.refuse(_SHARED, f"a table for all layers beside one for each ({_EACH}) cannot be represented")
    norm = {"type": "layer_norm", "eps": config.number("layer_norm_eps", 1e-12)}
    position = shifts if shared else learned or {"type": "none"}
    if shared and learned:
        position = {"type": "combined", "embedded": learned, "scored": shifts}
    layers, pools_mean = _layers(config), config.boolean("use_mean_pooling", True)
    return {
        "type": "encoder_only",
        "d_model": d_model,
        "inputs": {
            "type": "image_patches",
            "image_size": size,
            "patch_size": patch,
            "n_channels": config.integer("num_channels", 3),
        },
        "position": position,
        "encoder": {
            **layers,
            "layer": {
                **layers["layer"],
                "norm": norm,
                "self_attention": {
                    "type": "multi_head",
                    "n_heads": config.integer("num_attention_heads", 12),
                    "bias": ["query", "value", "output"],
                    "dropout": config.number("attention_probs_dropout_prob", 0.0),
                },
                "ffn": {
                    "type": "mlp",
                    "d_ff": config.integer("intermediate_size", 3072),
                    "activation": config.activation("hidden_act", "gelu"),
                },
                "dropout": config.number("hidden_dropout_prob", 0.0),
                "position": shifts if each else None,
            },
            "final_norm": None if pools_mean else norm,
        },
        "head": _head(config, norm if pools_mean else None),
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def _layers(config: Config) -> dict[str, Any]:
    """How many layers there are, and their layouts: in training the deeper ones are skipped more often."""
    n_layers, most = config.n_layers("num_hidden_layers", 12), config.number("drop_path_rate", 0.1)
    gain, layout = config.number("layer_scale_init_value", 0.1), "pre_norm"
    plain: Any = {"type": "layer_scale", "init": gain, "layout": layout} if gain > 0 else layout
    if n_layers == 1 or not most:  # the first layer is never skipped
        return {"n_layers": n_layers, "layer": {"layout": plain}}
    shares = [i / (n_layers - 1) for i in range(n_layers)]
    layouts = [{"type": "stochastic_depth", "drop": most * share, "layout": plain} for share in shares]
    return {"layer": {}, "layers": [{"layer": {"layout": each}} for each in layouts]}


def _head(config: Config, norm: dict[str, Any] | None) -> dict[str, Any]:
    pooling = {"pool": "mean_but_first" if norm else "first", "norm": norm}
    if config.architecture == "BeitModel":
        if "pooler.layernorm.weight" in config.variant.lacking:
            return {"type": "none"}
        return {"type": "pooled", "activation": None, **pooling}
    n_classes = config.n_labels()
    if n_classes == 0:
        config.refuse("num_labels", "a classifier without classes cannot be represented")
    return {"type": "pooled_classifier", "n_classes": n_classes, **pooling}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.encoder.each_layer()
    layer, layout, drop = layers[-1], layers[-1].layout, 0.0
    if layout.type == "stochastic_depth":
        layout, drop = layout.layout, layout.drop
    attention, ffn = layer.self_attention, layer.ffn
    return {
        "architectures": [
            "BeitForImageClassification" if spec.head.type == "pooled_classifier" else "BeitModel"
        ],
        "hidden_size": spec.d_model,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "intermediate_size": ffn.d_ff,
        "hidden_act": activation_name(ffn.activation),
        "hidden_dropout_prob": layer.dropout,
        "attention_probs_dropout_prob": attention.dropout,
        "drop_path_rate": drop,
        "layer_norm_eps": layer.norm.eps,
        "layer_scale_init_value": layout.init if layout.type == "layer_scale" else 0.0,
        "image_size": spec.inputs.image_size,
        "patch_size": spec.inputs.patch_size,
        "num_channels": spec.inputs.n_channels,
        _ABSOLUTE: _embedded(spec) == "learned",
        _EACH: layer.position is not None,
        _SHARED: _scored(spec) == "relative_2d",
        "use_mask_token": False,
        "use_mean_pooling": spec.encoder.final_norm is None,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        **labels_config(spec.head),
    }


def _embedded(spec: Any) -> str:
    """What positions add to the embeddings."""
    return str(getattr(spec.position, "embedded", spec.position).type)


def _scored(spec: Any) -> str:
    """What positions add to the scores of all layers."""
    return str(getattr(spec.position, "scored", spec.position).type)


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    base = "" if spec.head.type in ("none", "pooled") else "beit."
    D, C, P, N = spec.d_model, spec.inputs.n_channels, spec.inputs.patch_size, spec.inputs.length
    embeddings, ours = f"{base}embeddings", "encoder.layers.{i}"
    patches, position = f"{embeddings}.patch_embeddings.projection", "encoder.position"
    is_both, layout, scaled = spec.position.type == "combined", spec.encoder.each_layer()[0].layout, "layout"
    if layout.type == "stochastic_depth":
        layout, scaled = layout.layout, "layout.inner"
    norms = f"{scaled}.inner.norms" if layout.type == "layer_scale" else f"{scaled}.norms"
    forms = [
        [
            *vit.layer_weights(where, names, norms=norms),
            *tensor(f"{ours}.position.table.weight", f"{where}.{place}{_TABLE}"),
            *tensor(f"{ours}.{scaled}.gains.0", f"{where}.lambda_1"),
            *tensor(f"{ours}.{scaled}.gains.1", f"{where}.lambda_2"),
        ]
        for where, names, place in (
            (f"{base}encoder.layer.{{i}}", vit.ON_DISK, "attention.attention."),
            (f"{base}layers.{{i}}", vit.LIVE, ""),
        )
    ]
    added = tensor(
        f"{position}.embedded.table.weight" if is_both else f"{position}.table.weight",
        f"{embeddings}.position_embeddings",
        Reshape((1, N, D), (N, D)),
    )
    shared = f"{position}.scored.table.weight" if is_both else f"{position}.table.weight"
    biased = either(
        tensor(shared, f"{base}encoder.{_TABLE}"),
        tensor(shared, f"{base}shared_position_bias.{_NAME}"),
    )
    return [
        *tensor("inputs.class_token", f"{embeddings}.cls_token", Reshape((1, 1, D), (1, D))),
        *tensor("inputs.projection.weight", f"{patches}.weight", Reshape((D, C, P, P), (D, C * P * P))),
        *tensor("inputs.projection.bias", f"{patches}.bias"),
        *(added if _embedded(spec) == "learned" else ()),
        *(biased if _scored(spec) == "relative_2d" else ()),
        *for_each("i", len(spec.encoder.each_layer()), either(*forms)),
        *module("encoder.final_norm", f"{base}layernorm"),
        *(module("head.norm", f"{base}pooler.layernorm") if getattr(spec.head, "norm", None) else ()),
        *module("head.output", "classifier"),
    ]


_SMALL = {
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 19,
    "image_size": 15,
    "patch_size": 5,
    "num_channels": 2,
    "num_labels": 7,
    _EACH: True,
}

FAMILY = Family(
    name="beit",
    architectures=("BeitForImageClassification", "BeitModel"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    bookkeeping=(
        "add_fpn",  # of a use for other models, as the next
        "auxiliary_channels",
        "auxiliary_concat_input",
        "auxiliary_loss_weight",
        "auxiliary_num_convs",
        "out_features",
        "out_indices",
        "pool_scales",
        "reshape_hidden_states",
        "semantic_loss_ignore_index",
        "stage_names",
        "use_auxiliary_head",
        "use_mask_token",  # of a training by masked patches
        "vocab_size",  # of the codes that such a training guesses
    ),
    prefix="beit.",
    ignored=(r"embeddings\.mask_token$", r"relative_position_index$"),
    examples=(
        _SMALL,
        {**_SMALL, "architectures": ["BeitModel"], "drop_path_rate": 0.0, "use_mask_token": True},
        {
            **_SMALL,
            "architectures": ["BeitModel"],
            "num_hidden_layers": 1,
            "use_mean_pooling": False,
            "layer_norm_eps": 1e-3,
            "hidden_act": "relu",
        },
        {
            **_SMALL,
            _EACH: False,
            _SHARED: True,
            "layer_scale_init_value": 0.0,
            "drop_path_rate": 0.3,
            "image_size": 12,
            "patch_size": 3,
            "num_channels": 1,
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.2,
        },
        {**_SMALL, _ABSOLUTE: True, "layer_scale_init_value": 0.5, "use_mean_pooling": False},
        {**_SMALL, _ABSOLUTE: True, _EACH: False, _SHARED: True, "layer_scale_init_value": 0.0},
        {**_SMALL, _ABSOLUTE: True, _EACH: False, "num_hidden_layers": 2, "drop_path_rate": 0.0},
        {**_SMALL, _EACH: False, "num_hidden_layers": 2},
    ),
    published=(
        Published(
            source="huggingface.co/microsoft/beit-base-patch16-224",
            config={
                "_name_or_path": "beit-base-patch16-224",
                "architectures": ["BeitForImageClassification"],
                "attention_probs_dropout_prob": 0.0,
                "auxiliary_channels": 256,
                "auxiliary_concat_input": False,
                "auxiliary_loss_weight": 0.4,
                "auxiliary_num_convs": 1,
                "drop_path_rate": 0.1,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.0,
                "hidden_size": 768,
                **vit.LABELS,
                "image_size": 224,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-12,
                "layer_scale_init_value": 0.1,
                "num_attention_heads": 12,
                "num_channels": 3,
                "num_hidden_layers": 12,
                "out_indices": [3, 5, 7, 11],
                "patch_size": 16,
                "pool_scales": [1, 2, 3, 6],
                "semantic_loss_ignore_index": 255,
                _ABSOLUTE: False,
                "use_auxiliary_head": True,
                "use_mask_token": False,
                "use_mean_pooling": True,
                _EACH: True,
                _SHARED: False,
                "vocab_size": 8192,
            },
        ),
    ),
    trial=vit.trial,
    paddings=("none",),
)
