"""BLOOM: Le Scao et al. 2022, and BLOOMZ. query_key_value holds query, key and value head by head."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rules, SplitHeads, for_each, module, tensor
from zoo.interop.writing import Writing


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model = config.integer("hidden_size", 64)
    d_model = config.integer("n_embed", None) or d_model  # the older name
    n_layers, n_heads = config.integer("n_layer", 2), config.integer("n_head", 8)
    n_layers, n_heads = (
        config.integer("num_hidden_layers", n_layers),
        config.integer("num_attention_heads", n_heads),
    )
    norm = {"type": "layer_norm", "eps": config.number("layer_norm_epsilon", 1e-5)}
    norms_residual = config.boolean("apply_residual_connection_post_layernorm", False)
    config.only("n_inner", None, 4 * d_model, reason=" with this hidden_size")
    layer = {
        "layout": "residual_after_norm" if norms_residual else "pre_norm",
        "norm": norm,
        "self_attention": {
            "type": "multi_head",
            "n_heads": n_heads,
            "bias": True,
            "dropout": config.number("attention_dropout", 0.0),
        },
        "ffn": {"type": "mlp", "d_ff": 4 * d_model, "activation": "gelu_tanh"},
        "dropout": config.number("hidden_dropout", 0.0),
    }
    return {
        "type": "decoder_only",
        "d_model": d_model,
        "tokens": {"type": "tokens", "vocab_size": config.integer("vocab_size", 250880), "scale": "none"},
        "position": {"type": "alibi"},
        "decoder": {
            "n_layers": n_layers,
            "layer": layer,
            "input_norm": norm,
            "final_norm": norm,
            "input_dropout": 0.0,
        },
        "head": {
            "type": "language_model",
            "predicts": "tokens",
            "tied": config.boolean("tie_word_embeddings", True),
        },
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.decoder.each_layer()
    layer = layers[0]
    return {
        "architectures": ["BloomForCausalLM"],
        "vocab_size": spec.tokens.vocab_size,
        "hidden_size": spec.d_model,
        "n_layer": len(layers),
        "n_head": layer.self_attention.n_heads,
        "layer_norm_epsilon": layer.norm.eps,
        "apply_residual_connection_post_layernorm": layer.layout.type == "residual_after_norm",
        "attention_dropout": layer.self_attention.dropout,
        "hidden_dropout": layer.dropout,
        "tie_word_embeddings": spec.head.tied,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    layers = spec.decoder.each_layer()
    ours, theirs = "decoder.layers.{i}", "transformer.h.{i}"
    qkv = (f"{ours}.self_attention.query", f"{ours}.self_attention.key", f"{ours}.self_attention.value")
    by_head = SplitHeads(layers[0].self_attention.n_heads)
    return [
        *tensor("tokens.weight", "transformer.word_embeddings.weight"),
        *module("decoder.input_norm", "transformer.word_embeddings_layernorm"),
        *for_each(
            "i",
            len(layers),
            module(f"{ours}.layout.norms.0", f"{theirs}.input_layernorm"),
            module(qkv, f"{theirs}.self_attention.query_key_value", by_head),
            module(f"{ours}.self_attention.output", f"{theirs}.self_attention.dense"),
            module(f"{ours}.layout.norms.1", f"{theirs}.post_attention_layernorm"),
            module(f"{ours}.ffn.inner", f"{theirs}.mlp.dense_h_to_4h"),
            module(f"{ours}.ffn.outer", f"{theirs}.mlp.dense_4h_to_h"),
        ),
        *module("decoder.final_norm", "transformer.ln_f"),
        *tensor("head.weight", "lm_head.weight"),
    ]


_SMALL = {"vocab_size": 31, "hidden_size": 20, "n_head": 5, "n_layer": 2}

FAMILY = Family(
    name="bloom",
    architectures=("BloomForCausalLM",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=1, max_length=64),
    bookkeeping=(
        "attention_softmax_in_fp32",
        "bias_dropout_fusion",
        "masked_softmax_fusion",
        "offset_alibi",  # no code of transformers reads it
        "pretraining_tp",  # changes the order of sums only, with slow_but_exact
        "seq_length",
        "skip_bias_add",
        "skip_bias_add_qkv",
        "slow_but_exact",
    ),
    prefix="transformer.",
    examples=(
        _SMALL,
        {
            **_SMALL,
            "n_head": 4,
            "n_layer": 1,
            "layer_norm_epsilon": 1e-3,
            "apply_residual_connection_post_layernorm": True,
        },
        {
            "vocab_size": 37,
            "n_embed": 18,
            "num_attention_heads": 6,
            "n_layer": 3,
            "tie_word_embeddings": False,
            "hidden_dropout": 0.1,
            "attention_dropout": 0.2,
        },
    ),
    published=(
        Published(
            preset="bloom_560m",
            source="huggingface.co/bigscience/bloom-560m",
            config={
                "apply_residual_connection_post_layernorm": False,
                "architectures": ["BloomForCausalLM"],
                "attention_dropout": 0.0,
                "attention_softmax_in_fp32": True,
                "bias_dropout_fusion": True,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_dropout": 0.0,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "masked_softmax_fusion": True,
                "n_embed": 1024,
                "n_inner": None,
                "n_layer": 24,
                "num_attention_heads": 16,
                "offset_alibi": 100,
                "pad_token_id": 3,
                "pretraining_tp": 1,
                "seq_length": 2048,
                "skip_bias_add": True,
                "skip_bias_add_qkv": False,
                "slow_but_exact": False,
                "unk_token_id": 0,
                "use_cache": True,
                "vocab_size": 250880,
            },
        ),
    ),
)
