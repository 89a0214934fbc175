"""GPT-2: Radford et al. 2019, and the many models of its code (DistilGPT-2, DialoGPT, Cerebras-GPT).

Its linear layers are Conv1D, whose matrices are [in, out], and c_attn holds query, key and value side by side.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rules, Split, Transpose, for_each, module, tensor
from zoo.interop.writing import Writing

_PREFIX = "transformer."


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, n_heads = config.integer("n_embd", 768), config.integer("n_head", 12)
    n_layers = config.n_layers("n_layer", 12)
    eps = config.number("layer_norm_epsilon", 1e-5)
    scale = None if config.boolean("scale_attn_weights", True) else 1.0
    attention = {
        "type": "multi_head",
        "n_heads": n_heads,
        "bias": True,
        "scale": scale,
        "dropout": config.number("attn_pdrop", 0.1),
    }
    layer = {
        "layout": "pre_norm",
        "norm": {"type": "layer_norm", "eps": eps},
        "self_attention": attention,
        "ffn": {
            "type": "mlp",
            "d_ff": config.integer("n_inner", None) or 4 * d_model,
            "activation": config.activation("activation_function", "gelu_new"),
        },
        "dropout": config.number("resid_pdrop", 0.1),
    }
    decoder: dict[str, Any] = {"n_layers": n_layers, "layer": layer}
    if config.boolean("scale_attn_by_inverse_layer_idx", False):
        first = scale or (d_model // n_heads) ** -0.5
        groups = [{"layer": {"self_attention": {"scale": first / (i + 1)}}} for i in range(n_layers)]
        decoder = {"layer": layer, "layers": groups}
    head = {
        "type": "language_model",
        "predicts": "tokens",
        "tied": config.boolean("tie_word_embeddings", True),
    }
    max_len = config.integer("n_positions", 1024)
    config.only("n_ctx", max_len, reason=" beside n_positions")
    return {
        "type": "decoder_only",
        "d_model": d_model,
        "tokens": {"type": "tokens", "vocab_size": config.integer("vocab_size", 50257), "scale": "none"},
        "position": {"type": "learned", "max_len": max_len},
        "decoder": {**decoder, "input_dropout": config.number("embd_pdrop", 0.1)},
        "head": {"type": "none"} if config.architecture == "GPT2Model" else head,
        "initialization": {
            "type": "normal",
            "std": config.number("initializer_range", 0.02),
            "residual_scaling": True,
        },
    }


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layers = spec.decoder.each_layer()
    layer, attention = layers[0], layers[0].self_attention
    scales = [each.self_attention.scale for each in layers]
    return {
        "architectures": ["GPT2Model" if spec.head.type == "none" else "GPT2LMHeadModel"],
        "vocab_size": spec.tokens.vocab_size,
        "n_positions": spec.position.max_len,
        "n_embd": spec.d_model,
        "n_layer": len(layers),
        "n_head": attention.n_heads,
        "n_inner": layer.ffn.d_ff,
        "activation_function": activation_name(layer.ffn.activation),
        "layer_norm_epsilon": layer.norm.eps,
        "scale_attn_weights": attention.scale != 1.0,
        "scale_attn_by_inverse_layer_idx": len(set(scales)) > 1,
        "attn_pdrop": attention.dropout,
        "resid_pdrop": layer.dropout,
        "embd_pdrop": spec.decoder.input_dropout,
        "tie_word_embeddings": getattr(spec.head, "tied", True),
        "initializer_range": getattr(spec.initialization, "std", 0.02),
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type == "none" else _PREFIX
    ours, theirs = "decoder.layers.{i}", f"{prefix}h.{{i}}"
    qkv = (f"{ours}.self_attention.query", f"{ours}.self_attention.key", f"{ours}.self_attention.value")
    return [
        *tensor("tokens.weight", f"{prefix}wte.weight"),
        *tensor("decoder.position.table.weight", f"{prefix}wpe.weight"),
        *for_each(
            "i",
            len(spec.decoder.each_layer()),
            module(f"{ours}.layout.norms.0", f"{theirs}.ln_1"),
            module(qkv, f"{theirs}.attn.c_attn", Transpose(), Split(3)),
            module(f"{ours}.self_attention.output", f"{theirs}.attn.c_proj", Transpose()),
            module(f"{ours}.layout.norms.1", f"{theirs}.ln_2"),
            module(f"{ours}.ffn.inner", f"{theirs}.mlp.c_fc", Transpose()),
            module(f"{ours}.ffn.outer", f"{theirs}.mlp.c_proj", Transpose()),
        ),
        *module("decoder.final_norm", f"{prefix}ln_f"),
        *tensor("head.weight", "lm_head.weight"),
    ]


_SMALL = {"vocab_size": 31, "n_positions": 17, "n_embd": 12, "n_head": 3, "n_layer": 2}

FAMILY = Family(
    name="gpt2",
    architectures=("GPT2LMHeadModel", "GPT2Model"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"reorder_and_upcast_attn": False},
    bookkeeping=(
        "n_special",
        "predict_special_tokens",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    ),
    prefix=_PREFIX,
    ignored=(r"\.attn\.(bias|masked_bias)$",),
    writing=Writing(end=50256, start=50256),
    examples=(
        _SMALL,
        {
            **_SMALL,
            "n_layer": 3,
            "n_inner": 29,
            "activation_function": "relu",
            "layer_norm_epsilon": 1e-3,
            "tie_word_embeddings": False,
            "scale_attn_by_inverse_layer_idx": True,
        },
        {
            **_SMALL,
            "n_layer": 1,
            "scale_attn_weights": False,
            "attn_pdrop": 0.2,
            "resid_pdrop": 0.3,
            "embd_pdrop": 0.05,
        },
        {**_SMALL, "n_layer": 1, "architectures": ["GPT2Model"]},
    ),
    published=(
        Published(
            preset="gpt2",
            source="huggingface.co/openai-community/gpt2",
            config={
                "activation_function": "gelu_new",
                "architectures": ["GPT2LMHeadModel"],
                "attn_pdrop": 0.1,
                "bos_token_id": 50256,
                "embd_pdrop": 0.1,
                "eos_token_id": 50256,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "n_ctx": 1024,
                "n_embd": 768,
                "n_head": 12,
                "n_layer": 12,
                "n_positions": 1024,
                "resid_pdrop": 0.1,
                "summary_activation": None,
                "summary_first_dropout": 0.1,
                "summary_proj_to_labels": True,
                "summary_type": "cls_index",
                "summary_use_proj": True,
                "task_specific_params": {"text-generation": {"do_sample": True, "max_length": 50}},
                "vocab_size": 50257,
            },
        ),
    ),
)
