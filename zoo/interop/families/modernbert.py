"""ModernBERT: Warner et al. 2024. Global layers among layers with a window, each kind with a rotary base of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import architecture_of, encoder_trial
from zoo.interop.rules import Rules, Split, for_each, module, tensor

_GLOBAL, _LOCAL = "full_attention", "sliding_attention"


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    vocab_size, norm = config.integer("vocab_size", 50368), _norm(config)
    attention = {
        "type": "multi_head",
        "n_heads": config.integer("num_attention_heads", 12),
        "bias": config.boolean("attention_bias", False),
    }
    config.only(
        "attention_dropout", 0.0, reason=": it would drop the attention's output and not the network's"
    )
    bases = _bases(config)
    windowed = {
        "self_attention": {
            **attention,
            "type": "restricted",
            "radius": config.integer("local_attention", 128) // 2,
        },
        "position": {"type": "rotary", "base": bases[_LOCAL]},
    }
    return {
        "type": "encoder_only",
        "d_model": config.integer("hidden_size", 768),
        "inputs": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "none",
            "padding_id": config.padding_id(default=50283, vocab_size=vocab_size),
        },
        "position": {"type": "rotary", "base": bases[_GLOBAL]},
        "encoder": {
            "input_norm": norm,
            "input_dropout": config.number("embedding_dropout", 0.0),
            "layer": {
                "layout": "pre_norm",
                "norm": norm,
                "self_attention": attention,
                "ffn": {
                    "type": "glu",
                    "d_ff": config.integer("intermediate_size", 1152),
                    "activation": config.activation("hidden_activation", "gelu"),
                    "bias": config.boolean("mlp_bias", False),
                    "dropout": config.number("mlp_dropout", 0.0),
                },
                "dropout": 0.0,
            },
            "layers": _groups([{} if kind == _GLOBAL else windowed for kind in _kinds(config)]),
        },
        "head": _head(config, norm),
        "initialization": {
            "type": "normal",
            "std": config.number("initializer_range", 0.02),
            "residual_scaling": True,
        },
    }


def _norm(config: Config) -> dict[str, Any]:
    return {
        "type": "layer_norm",
        "eps": config.number("norm_eps", 1e-5),
        "bias": config.boolean("norm_bias", False),
    }


def _bases(config: Config) -> dict[str, float]:
    """The rotary base of each kind of layer: by rope_parameters, or, before transformers 5, a field for each."""
    bases = {
        _GLOBAL: config.number("global_rope_theta", 160000.0),
        _LOCAL: config.number("local_rope_theta", 10000.0),
    }
    config.only("rope_scaling", None)
    if parameters := config.part("rope_parameters"):
        for kind in bases:
            if part := parameters.part(kind):
                part.only("rope_type", "default")
                bases[kind] = part.number("rope_theta", bases[kind])
    return bases


def _kinds(config: Config) -> list[str]:
    """The kind of each layer: by layer_types, or, before transformers 5, every so many is global."""
    n_layers, every = config.integer("num_hidden_layers", 22), config.integer("global_attn_every_n_layers", 3)
    kinds = config.value("layer_types", None)
    if kinds is None:
        if every < 1:
            config.refuse("global_attn_every_n_layers", f"must be at least 1, got {every}")
        return _regular(n_layers, every)
    if not isinstance(kinds, list | tuple) or len(kinds) != n_layers or not set(kinds) <= {_GLOBAL, _LOCAL}:
        config.refuse(
            "layer_types", f"must be {_GLOBAL} or {_LOCAL} for each of the {n_layers} layers, got {kinds}"
        )
    return list(kinds)


def _regular(n_layers: int, every: int) -> list[str]:
    return [_LOCAL if i % every else _GLOBAL for i in range(n_layers)]


def _groups(layers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers as groups: the first, whose attention has no norm, then the shortest cycle that gives the others."""
    first, rest = {**layers[0], "attention_norm": "none"}, list(layers[1:])
    if not rest:
        return [{"layer": first}]
    lengths = (n for n in range(1, len(rest) + 1) if len(rest) % n == 0)
    n = next(n for n in lengths if rest == rest[:n] * (len(rest) // n))
    return [{"layer": first}, {"repeat": len(rest) // n, "cycle": rest[:n]}]


def _head(config: Config, norm: dict[str, Any]) -> dict[str, Any]:
    dense = {
        "activation": config.activation("classifier_activation", "gelu"),
        "dense_bias": config.boolean("classifier_bias", False),
        "norm": norm,
    }
    if config.architecture == "ModernBertForMaskedLM":
        return {
            "type": "masked_language_model",
            "tied": config.boolean("tie_word_embeddings", True),
            "bias": config.boolean("decoder_bias", True),
            **dense,
        }
    if config.architecture == "ModernBertModel":
        return {"type": "none"}
    classes = {"n_classes": config.n_labels(), "dropout": config.number("classifier_dropout", 0.0), **dense}
    if config.architecture == "ModernBertForTokenClassification":
        return {"type": "token_classifier", **classes}
    pools = {"cls": "first", "mean": "mean"}
    pooling = config.text("classifier_pooling", "cls")
    if pooling not in pools:
        config.refuse("classifier_pooling", f"must be cls or mean, got '{pooling}'")
    return {"type": "pooled_classifier", "pool": pools[pooling], **classes}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config, in the older form where it can say the layers."""
    layers, head = spec.encoder.each_layer(), spec.head
    attention, ffn = layers[0].self_attention, layers[0].ffn
    windowed = [layer for layer in layers if layer.self_attention.type == "restricted"]
    kinds = [_LOCAL if layer in windowed else _GLOBAL for layer in layers]
    every = next((n for n in range(1, len(kinds) + 1) if _regular(len(kinds), n) == kinds), None)
    config = {
        "architectures": [architecture_of(spec, "ModernBert")],
        "vocab_size": spec.inputs.vocab_size,
        "hidden_size": spec.d_model,
        "intermediate_size": ffn.d_ff,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "hidden_activation": activation_name(ffn.activation),
        "norm_eps": spec.encoder.final_norm.eps,
        "norm_bias": spec.encoder.final_norm.bias,
        "attention_bias": attention.bias,
        "mlp_bias": ffn.bias,
        "mlp_dropout": ffn.dropout,
        "embedding_dropout": spec.encoder.input_dropout,
        "pad_token_id": spec.inputs.padding_id,
        "global_rope_theta": spec.position.base,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
        **({"layer_types": kinds} if every is None else {"global_attn_every_n_layers": every}),
        **labels_config(head),
    }
    if windowed:
        config["local_attention"] = 2 * windowed[0].self_attention.radius
        config["local_rope_theta"] = windowed[0].position.base
    if head.type == "none":
        return config
    config |= {"classifier_activation": activation_name(head.activation), "classifier_bias": head.dense_bias}
    if head.type == "masked_language_model":
        return config | {"decoder_bias": head.bias, "tie_word_embeddings": head.tied}
    config["classifier_dropout"] = head.dropout
    return config | (
        {"classifier_pooling": {"first": "cls"}.get(head.pool, head.pool)} if hasattr(head, "pool") else {}
    )


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type == "none" else "model."
    ours, theirs = "encoder.layers.{i}", f"{prefix}layers.{{i}}"
    qkv = (f"{ours}.self_attention.query", f"{ours}.self_attention.key", f"{ours}.self_attention.value")
    return [
        *tensor("inputs.weight", f"{prefix}embeddings.tok_embeddings.weight"),
        *module("encoder.input_norm", f"{prefix}embeddings.norm"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            module(f"{ours}.layout.norms.0", f"{theirs}.attn_norm"),
            module(qkv, f"{theirs}.attn.Wqkv", Split(3)),
            module(f"{ours}.self_attention.output", f"{theirs}.attn.Wo"),
            module(f"{ours}.layout.norms.1", f"{theirs}.mlp_norm"),
            module((f"{ours}.ffn.gate", f"{ours}.ffn.inner"), f"{theirs}.mlp.Wi", Split(2)),
            module(f"{ours}.ffn.outer", f"{theirs}.mlp.Wo"),
        ),
        *module("encoder.final_norm", f"{prefix}final_norm"),
        *module("head.dense", "head.dense"),
        *module("head.norm", "head.norm"),
        *tensor("head.weight", "decoder.weight"),
        *tensor("head.bias", "decoder.bias"),
        *module("head.output", "classifier"),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "local_attention": 4,
    "pad_token_id": 5,
}

FAMILY = Family(
    name="modernbert",
    architectures=(
        "ModernBertForMaskedLM",
        "ModernBertForSequenceClassification",
        "ModernBertForTokenClassification",
        "ModernBertModel",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"sparse_prediction": False},
    bookkeeping=(
        "classifier_dropout",  # of a head that is not this config's, as the next two; read where it is
        "classifier_pooling",
        "decoder_bias",
        "cls_token_id",
        "deterministic_flash_attn",  # how it is computed
        "initializer_cutoff_factor",
        "layer_norm_eps",  # the authors' config has it beside norm_eps, which is read
        "max_position_embeddings",  # rotary positions end nowhere
        "position_embedding_type",  # the authors' config has it; nothing reads it
        "reference_compile",
        "repad_logits_with_grad",
        "sparse_pred_ignore_index",
        "tie_word_embeddings",  # read where there is a head to tie
    ),
    prefix="model.",
    trial=encoder_trial,
    examples=(
        _SMALL,
        {
            **_SMALL,
            "num_hidden_layers": 5,
            "global_attn_every_n_layers": 2,
            "global_rope_theta": 50.0,
            "local_rope_theta": 20.0,
            "norm_bias": True,
            "norm_eps": 1e-3,
            "attention_bias": True,
            "mlp_bias": True,
            "mlp_dropout": 0.1,
            "embedding_dropout": 0.2,
            "classifier_bias": True,
            "classifier_activation": "relu",
            "hidden_activation": "silu",
            "decoder_bias": False,
            "tie_word_embeddings": False,
            "initializer_range": 0.05,
        },
        {
            **_SMALL,
            "architectures": ["ModernBertForSequenceClassification"],
            "num_hidden_layers": 3,
            "layer_types": [_LOCAL, _LOCAL, _GLOBAL],
            "num_labels": 5,
            "classifier_pooling": "mean",
            "classifier_dropout": 0.3,
        },
        {
            **_SMALL,
            "architectures": ["ModernBertForSequenceClassification"],
            "num_hidden_layers": 1,
            "num_labels": 4,
            "rope_parameters": {
                _GLOBAL: {"rope_type": "default", "rope_theta": 30.0},
                _LOCAL: {"rope_type": "default", "rope_theta": 40.0},
            },
        },
        {
            **_SMALL,
            "architectures": ["ModernBertForTokenClassification"],
            "num_hidden_layers": 2,
            "num_labels": 4,
        },
        {**_SMALL, "architectures": ["ModernBertModel"], "num_hidden_layers": 2},
    ),
    published=(
        Published(
            preset="modernbert_base",
            source="huggingface.co/answerdotai/ModernBERT-base",
            config={
                "architectures": ["ModernBertForMaskedLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 50281,
                "classifier_activation": "gelu",
                "classifier_bias": False,
                "classifier_dropout": 0.0,
                "classifier_pooling": "mean",
                "cls_token_id": 50281,
                "decoder_bias": True,
                "deterministic_flash_attn": False,
                "embedding_dropout": 0.0,
                "eos_token_id": 50282,
                "global_attn_every_n_layers": 3,
                "global_rope_theta": 160000.0,
                "gradient_checkpointing": False,
                "hidden_activation": "gelu",
                "hidden_size": 768,
                "initializer_cutoff_factor": 2.0,
                "initializer_range": 0.02,
                "intermediate_size": 1152,
                "layer_norm_eps": 1e-05,
                "local_attention": 128,
                "local_rope_theta": 10000.0,
                "max_position_embeddings": 8192,
                "mlp_bias": False,
                "mlp_dropout": 0.0,
                "norm_bias": False,
                "norm_eps": 1e-05,
                "num_attention_heads": 12,
                "num_hidden_layers": 22,
                "pad_token_id": 50283,
                "position_embedding_type": "absolute",
                "sep_token_id": 50282,
                "tie_word_embeddings": True,
                "torch_dtype": "float32",
                "transformers_version": "4.47.0.dev0",
                "vocab_size": 50368,
            },
        ),
    ),
)
