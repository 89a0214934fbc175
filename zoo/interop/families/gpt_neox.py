"""GPT-NeoX: Black et al. 2022; Pythia, and other models of its code (RedPajama, StableLM alpha, Dolly 2).

query_key_value holds query, key and value head by head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.rotary import rotary_config, rotary_spec
from zoo.interop.rules import Rules, SplitHeads, for_each, module, tensor
from zoo.interop.writing import Writing


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    is_parallel = config.boolean("use_parallel_residual", True)
    dropout = config.number("hidden_dropout", 0.0)
    layer = {
        "layout": "parallel" if is_parallel else "pre_norm",
        "norm": {"type": "layer_norm", "eps": config.number("layer_norm_eps", 1e-5)},
        "self_attention": {
            "type": "multi_head",
            "n_heads": config.integer("num_attention_heads", 64),
            "bias": config.boolean("attention_bias", True),
            "dropout": config.number("attention_dropout", 0.0),
        },
        "ffn": {
            "type": "mlp",
            "d_ff": config.integer("intermediate_size", 24576),
            "activation": config.activation("hidden_act", "gelu"),
        },
        "dropout": dropout,
    }
    return {
        "type": "decoder_only",
        "d_model": config.integer("hidden_size", 6144),
        "tokens": {"type": "tokens", "vocab_size": config.integer("vocab_size", 50432), "scale": "none"},
        "position": _position(config),
        "decoder": {
            "n_layers": config.integer("num_hidden_layers", 44),
            "layer": layer,
            "input_dropout": dropout,
        },
        "head": {
            "type": "language_model",
            "predicts": "tokens",
            "tied": config.boolean("tie_word_embeddings", False),
        },
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def _position(config: Config) -> dict[str, Any]:
    """Rotary, by names of its own in older configs: rotary_emb_base and rotary_pct."""
    base, fraction = config.number("rotary_emb_base", 10000.0), config.number("rotary_pct", 0.25)
    part = config.data.get("rope_scaling") or config.data.get("rope_parameters")
    if isinstance(part, Mapping):
        fraction = part.get("partial_rotary_factor", fraction)
    config.only("rope_theta", base)
    return rotary_spec(config, base=base, max_len=2048, fraction=fraction)


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.decoder.each_layer()
    layer = layers[0]
    rotary = rotary_config(spec.position)
    return {
        "architectures": ["GPTNeoXForCausalLM"],
        "vocab_size": spec.tokens.vocab_size,
        "hidden_size": spec.d_model,
        "intermediate_size": layer.ffn.d_ff,
        "num_hidden_layers": len(layers),
        "num_attention_heads": layer.self_attention.n_heads,
        "hidden_act": activation_name(layer.ffn.activation),
        "layer_norm_eps": layer.norm.eps,
        "use_parallel_residual": layer.layout.type == "parallel",
        "attention_bias": layer.self_attention.bias,
        "attention_dropout": layer.self_attention.dropout,
        "hidden_dropout": layer.dropout,
        "rotary_emb_base": rotary.pop("rope_theta"),
        "rotary_pct": spec.position.fraction,
        **rotary,
        "tie_word_embeddings": spec.head.tied,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    layers = spec.decoder.each_layer()
    ours, theirs = "decoder.layers.{i}", "gpt_neox.layers.{i}"
    qkv = (f"{ours}.self_attention.query", f"{ours}.self_attention.key", f"{ours}.self_attention.value")
    by_head = SplitHeads(layers[0].self_attention.n_heads)
    return [
        *tensor("tokens.weight", "gpt_neox.embed_in.weight"),
        *for_each(
            "i",
            len(layers),
            module(f"{ours}.layout.norms.0", f"{theirs}.input_layernorm"),
            module(qkv, f"{theirs}.attention.query_key_value", by_head),
            module(f"{ours}.self_attention.output", f"{theirs}.attention.dense"),
            module(f"{ours}.layout.norms.1", f"{theirs}.post_attention_layernorm"),
            module(f"{ours}.ffn.inner", f"{theirs}.mlp.dense_h_to_4h"),
            module(f"{ours}.ffn.outer", f"{theirs}.mlp.dense_4h_to_h"),
        ),
        *module("decoder.final_norm", "gpt_neox.final_layer_norm"),
        *tensor("head.weight", "lm_head.weight"),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 48,
    "num_attention_heads": 3,
    "num_hidden_layers": 2,
    "intermediate_size": 29,
    "max_position_embeddings": 40,
}

FAMILY = Family(
    name="gpt_neox",
    architectures=("GPTNeoXForCausalLM",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=0, max_length=64),
    fixed={"attention_probs_dropout_prob": 0, "hidden_dropout_prob": 0},
    bookkeeping=("classifier_dropout",),
    renamed=((r"^embed_out\.", "lm_head."),),
    ignored=(r"\.attention\.(bias|masked_bias)$", r"\.rotary_emb\.inv_freq$"),
    examples=(
        _SMALL,
        {
            **_SMALL,
            "num_hidden_layers": 3,
            "use_parallel_residual": False,
            "attention_bias": False,
            "rotary_pct": 0.5,
            "rotary_emb_base": 50,
            "hidden_act": "gelu_new",
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "tie_word_embeddings": True,
            "layer_norm_eps": 1e-3,
            "hidden_dropout": 0.1,
            "attention_dropout": 0.2,
            "rope_parameters": {
                "rope_type": "linear",
                "factor": 3.0,
                "rope_theta": 70.0,
                "partial_rotary_factor": 1.0,
            },
        },
    ),
    published=(
        Published(
            preset="pythia_160m",
            source="huggingface.co/EleutherAI/pythia-160m",
            config={
                "architectures": ["GPTNeoXForCausalLM"],
                "bos_token_id": 0,
                "eos_token_id": 0,
                "hidden_act": "gelu",
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 2048,
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "rotary_emb_base": 10000,
                "rotary_pct": 0.25,
                "tie_word_embeddings": False,
                "torch_dtype": "float16",
                "use_cache": True,
                "use_parallel_residual": True,
                "vocab_size": 50304,
            },
        ),
    ),
)
