"""OPT: Zhang et al. 2022; the 350M, with norms after the residual sums and narrower token vectors, included."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rules, for_each, module, tensor
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, vocab_size = config.integer("hidden_size", 768), config.integer("vocab_size", 50272)
    d_embedding = config.integer("word_embed_proj_dim", None) or d_model
    has_bias = config.boolean("enable_bias", True)
    has_gain = config.boolean("layer_norm_elementwise_affine", True)
    norm = {"type": "layer_norm", "eps": 1e-5, "gain": has_gain, "bias": has_gain}
    is_pre_norm = config.boolean("do_layer_norm_before", True)
    lacks_final_norm = config.boolean("_remove_final_layer_norm", False)
    layer = {
        "layout": "pre_norm" if is_pre_norm else "post_norm",
        "norm": norm,
        "self_attention": {
            "type": "multi_head",
            "n_heads": config.integer("num_attention_heads", 12),
            "bias": has_bias,
            "dropout": config.number("attention_dropout", 0.0),
        },
        "ffn": {
            "type": "mlp",
            "d_ff": config.integer("ffn_dim", 3072),
            "activation": config.activation("activation_function", "relu"),
            "bias": has_bias,
        },
        "dropout": config.number("dropout", 0.1),
    }
    return {
        "type": "decoder_only",
        "d_model": d_model,
        "tokens": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "none",
            "d_embedding": None if d_embedding == d_model else d_embedding,
            "padding_id": config.padding_id(default=1, vocab_size=vocab_size),
        },
        "position": {
            "type": "learned",
            "max_len": config.integer("max_position_embeddings", 2048),
            "offset": 2,
        },
        "decoder": {
            "n_layers": config.integer("num_hidden_layers", 12),
            "layer": layer,
            "final_norm": norm if is_pre_norm and not lacks_final_norm else None,
            "input_dropout": 0.0,
            "layer_drop": config.number("layerdrop", 0.0),
        },
        "head": _head(config, is_projected=d_embedding != d_model),
        "initialization": {"type": "normal", "std": config.number("init_std", 0.02)},
    }


def _head(config: Config, *, is_projected: bool) -> dict[str, Any]:
    is_tied = config.boolean("tie_word_embeddings", True)
    if config.architecture == "OPTForCausalLM":
        return {"type": "language_model", "predicts": "tokens", "tied": is_tied}
    if is_projected:
        config.refuse(
            "word_embed_proj_dim",
            "a classifier of vectors of this width, not hidden_size, cannot be represented",
        )
    return {"type": "pooled_classifier", "n_classes": config.n_labels(), "pool": "last", "bias": False}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.decoder.each_layer()
    layer = layers[0]
    is_pre_norm = layer.layout.type == "pre_norm"
    classifies = spec.head.type == "pooled_classifier"
    return {
        "architectures": ["OPTForSequenceClassification" if classifies else "OPTForCausalLM"],
        "vocab_size": spec.tokens.vocab_size,
        "hidden_size": spec.d_model,
        "word_embed_proj_dim": spec.tokens.d_embedding or spec.d_model,
        "num_hidden_layers": len(layers),
        "num_attention_heads": layer.self_attention.n_heads,
        "ffn_dim": layer.ffn.d_ff,
        "max_position_embeddings": spec.position.max_len,
        "activation_function": activation_name(layer.ffn.activation),
        "do_layer_norm_before": is_pre_norm,
        "_remove_final_layer_norm": is_pre_norm and spec.decoder.final_norm is None,
        "enable_bias": layer.ffn.bias,
        "layer_norm_elementwise_affine": layer.norm.gain,
        "dropout": layer.dropout,
        "attention_dropout": layer.self_attention.dropout,
        "layerdrop": spec.decoder.layer_drop,
        "pad_token_id": spec.tokens.padding_id,
        "tie_word_embeddings": getattr(spec.head, "tied", True),
        "init_std": getattr(spec.initialization, "std", 0.02),
        **labels_config(spec.head),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    ours, theirs = "decoder.layers.{i}", "model.decoder.layers.{i}"
    return [
        *tensor("tokens.weight", "model.decoder.embed_tokens.weight"),
        *module("tokens.projection", "model.decoder.project_in"),
        *tensor("decoder.position.table.weight", "model.decoder.embed_positions.weight"),
        *for_each(
            "i",
            len(spec.decoder.each_layer()),
            module(f"{ours}.layout.norms.0", f"{theirs}.self_attn_layer_norm"),
            module(f"{ours}.self_attention.query", f"{theirs}.self_attn.q_proj"),
            module(f"{ours}.self_attention.key", f"{theirs}.self_attn.k_proj"),
            module(f"{ours}.self_attention.value", f"{theirs}.self_attn.v_proj"),
            module(f"{ours}.self_attention.output", f"{theirs}.self_attn.out_proj"),
            module(f"{ours}.layout.norms.1", f"{theirs}.final_layer_norm"),
            module(f"{ours}.ffn.inner", f"{theirs}.fc1"),
            module(f"{ours}.ffn.outer", f"{theirs}.fc2"),
        ),
        *module("decoder.final_norm", "model.decoder.final_layer_norm"),
        *module("head.projection", "model.decoder.project_out"),
        *tensor("head.weight", "lm_head.weight"),
        *module("head.output", "score"),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "ffn_dim": 29,
    "max_position_embeddings": 23,
}

FAMILY = Family(
    name="opt",
    architectures=("OPTForCausalLM", "OPTForSequenceClassification"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=2, pad=1, max_length=64),
    fixed={"activation_dropout": 0.0},
    prefix="model.",
    trial=last_token_trial,
    examples=(
        _SMALL,
        {**_SMALL, "do_layer_norm_before": False, "word_embed_proj_dim": 7, "num_hidden_layers": 3},
        {
            **_SMALL,
            "enable_bias": False,
            "layer_norm_elementwise_affine": False,
            "word_embed_proj_dim": 18,
            "tie_word_embeddings": False,
            "activation_function": "gelu",
            "pad_token_id": 5,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "_remove_final_layer_norm": True,
            "dropout": 0.2,
            "attention_dropout": 0.05,
            "layerdrop": 0.3,
        },
        {
            **_SMALL,
            "architectures": ["OPTForSequenceClassification"],
            "id2label": {str(i): f"LABEL_{i}" for i in range(5)},
            "label2id": {f"LABEL_{i}": i for i in range(5)},
        },
    ),
    published=(
        Published(
            preset="opt_125m",
            source="huggingface.co/facebook/opt-125m",
            config={
                "_remove_final_layer_norm": False,
                "activation_dropout": 0.0,
                "activation_function": "relu",
                "architectures": ["OPTForCausalLM"],
                "attention_dropout": 0.0,
                "bos_token_id": 2,
                "do_layer_norm_before": True,
                "dropout": 0.1,
                "eos_token_id": 2,
                "ffn_dim": 3072,
                "hidden_size": 768,
                "init_std": 0.02,
                "layerdrop": 0.0,
                "max_position_embeddings": 2048,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "prefix": "</s>",
                "torch_dtype": "float16",
                "use_cache": True,
                "vocab_size": 50272,
                "word_embed_proj_dim": 768,
            },
        ),
        Published(
            preset="opt_350m",
            source="huggingface.co/facebook/opt-350m",
            config={
                "activation_dropout": 0.0,
                "activation_function": "relu",
                "architectures": ["OPTForCausalLM"],
                "attention_dropout": 0.0,
                "bos_token_id": 2,
                "do_layer_norm_before": False,
                "dropout": 0.1,
                "eos_token_id": 2,
                "ffn_dim": 4096,
                "hidden_size": 1024,
                "init_std": 0.02,
                "layerdrop": 0.0,
                "max_position_embeddings": 2048,
                "num_attention_heads": 16,
                "num_hidden_layers": 24,
                "pad_token_id": 1,
                "prefix": "</s>",
                "torch_dtype": "float16",
                "use_cache": True,
                "vocab_size": 50272,
                "word_embed_proj_dim": 512,
            },
        ),
    ),
)
