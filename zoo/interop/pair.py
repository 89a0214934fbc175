"""What BART, Marian, mBART and Pegasus have in common: an encoder, a decoder, and a fixed bias on the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from zoo.interop.config import Config, activation_name
from zoo.interop.rules import Anew, Reshape, Rules, for_each, module, table, tensor

SMALL = {
    "vocab_size": 31,
    "d_model": 12,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 29,
    "decoder_ffn_dim": 23,
    "max_position_embeddings": 40,
    "forced_eos_token_id": None,  # a search of ours ends at its limit too, but at the end's own probability
}
EXAMPLES = (
    SMALL,
    {
        **SMALL,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "scale_embedding": True,
        "activation_function": "relu",
        "pad_token_id": 4,
        "dropout": 0.2,
        "attention_dropout": 0.05,
        "activation_dropout": 0.3,
        "encoder_layerdrop": 0.15,
        "decoder_layerdrop": 0.25,
    },
)
"""Configs of small models, of those whose families say no more."""

DEFAULTS = {
    "activation_function": "gelu",
    "attention_dropout": 0.0,
    "decoder_layerdrop": 0.0,
    "encoder_layerdrop": 0.0,
    "scale_embedding": False,
}
"""What transformers takes for fields that a config leaves out, in most of these families."""

PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}
"""Our and their names of an attention's projections."""
_NO_BIAS = Anew(torch.zeros_like, "zeros, as transformers does")
_NORM = {"type": "layer_norm", "eps": 1e-5}  # no field of the config: torch's default


def pair_spec(
    config: Config,
    *,
    vocab_size: int,
    padding_id: int,
    norms_input: bool,
    position: dict[str, Any],
    head: dict[str, Any],
    layout: str = "post_norm",
    defaults: Mapping[str, Any] = DEFAULTS,
) -> dict[str, Any]:
    """A config -> the model's spec as plain data, one vocabulary for both sides.

    vocab_size and padding_id are transformers' defaults, norms_input is whether embeddings are normalised; head are
    further keys of the head, defaults those of fields in which families differ.
    """
    for alias, name in (
        ("num_hidden_layers", "encoder_layers"),
        ("num_attention_heads", "encoder_attention_heads"),
    ):
        config.only(
            alias,
            config.value(name, {"encoder_layers": 12, "encoder_attention_heads": 16}[name]),
            reason=f" beside {name}",
        )
    vocab_size = config.integer("vocab_size", vocab_size)
    return {
        "type": "encoder_decoder",
        "d_model": config.integer("d_model", 1024),
        "source": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "sqrt_d_model"
            if config.boolean("scale_embedding", defaults["scale_embedding"])
            else "none",
            "padding_id": config.padding_id(default=padding_id, vocab_size=vocab_size),
        },
        "target": {"share": "source"},
        "position": position,
        "encoder": _stack_spec(config, "encoder", layout, defaults, norms_input=norms_input),
        "decoder": _stack_spec(config, "decoder", layout, defaults, norms_input=norms_input),
        "head": {"type": "language_model", "predicts": "target", **head},
        "initialization": {"type": "normal", "std": config.number("init_std", 0.02)},
    }


def _stack_spec(
    config: Config, name: str, layout: str, defaults: Mapping[str, Any], *, norms_input: bool
) -> dict[str, Any]:
    dropout = config.number("dropout", 0.1)
    attention = {
        "type": "multi_head",
        "n_heads": config.integer(f"{name}_attention_heads", 16),
        "bias": True,
        "dropout": config.number("attention_dropout", defaults["attention_dropout"]),
    }
    layer = {
        "layout": layout,
        "norm": _NORM,
        "self_attention": attention,
        "cross_attention": attention if name == "decoder" else None,
        "ffn": {
            "type": "mlp",
            "d_ff": config.integer(f"{name}_ffn_dim", 4096),
            "activation": config.activation("activation_function", defaults["activation_function"]),
            "dropout": config.number("activation_dropout", 0.0),
        },
        "dropout": dropout,
    }
    return {
        "n_layers": config.integer(f"{name}_layers", 12),
        "layer": layer,
        "input_norm": _NORM if norms_input else None,
        "input_dropout": dropout,
        "layer_drop": config.number(f"{name}_layerdrop", defaults[f"{name}_layerdrop"]),
    }


def pair_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> the fields that all these families have."""
    layer = spec.encoder.each_layer()[0]
    config = {
        "vocab_size": spec.source.vocab_size,
        "d_model": spec.d_model,
        "activation_function": activation_name(layer.ffn.activation),
        "dropout": layer.dropout,
        "attention_dropout": layer.self_attention.dropout,
        "activation_dropout": layer.ffn.dropout,
        "scale_embedding": spec.source.scale == "sqrt_d_model",
        "max_position_embeddings": spec.position.max_len,
        "pad_token_id": spec.source.padding_id,
        "tie_word_embeddings": spec.head.tied,
        "init_std": getattr(spec.initialization, "std", 0.02),
    }
    for name, stack in (("encoder", spec.encoder), ("decoder", spec.decoder)):
        layers = stack.each_layer()
        config |= {
            f"{name}_layers": len(layers),
            f"{name}_attention_heads": layers[0].self_attention.n_heads,
            f"{name}_ffn_dim": layers[0].ffn.d_ff,
            f"{name}_layerdrop": stack.layer_drop,
        }
    return config


def pair_weights(
    spec: Any, prefix: str, *, has_bias: bool = True, encoder_attention: Mapping[str, str] = PROJECTIONS
) -> Rules:
    """Which tensors are which, the embeddings' left out; has_bias is whether theirs has a fixed bias of the logits,
    encoder_attention our and their names of projections in the encoder."""
    vocab_size = spec.slots["target"].vocab_size
    bias = (
        tensor("head.bias", "final_logits_bias", Reshape((1, vocab_size), (vocab_size,)), anew=_NO_BIAS)
        if spec.head.bias
        else table("final_logits_bias", lambda: torch.zeros(1, vocab_size))
    )
    return [
        *_stack_weights(spec.encoder, "encoder", prefix, encoder_attention),
        *_stack_weights(spec.decoder, "decoder", prefix, PROJECTIONS),
        *tensor("head.weight", "lm_head.weight"),
        *(bias if has_bias else ()),
    ]


def _stack_weights(stack: Any, name: str, prefix: str, projections: Mapping[str, str]) -> Rules:
    ours, theirs = f"{name}.layers.{{i}}", f"{prefix}{name}.layers.{{i}}"
    attentions = {"self_attention": "self_attn", "cross_attention": "encoder_attn"}
    if name == "encoder":
        del attentions["cross_attention"]
    groups = []
    for j, (mine, its) in enumerate(attentions.items()):
        groups += [
            module(f"{ours}.{mine}.{part}", f"{theirs}.{its}.{proj}") for part, proj in projections.items()
        ]
        groups.append(module(f"{ours}.layout.norms.{j}", f"{theirs}.{its}_layer_norm"))
    return [
        *module(f"{name}.input_norm", f"{prefix}{name}.layernorm_embedding"),
        *module(f"{name}.final_norm", f"{prefix}{name}.layer_norm"),
        *for_each(
            "i",
            len(stack.each_layer()),
            *groups,
            module(f"{ours}.ffn.inner", f"{theirs}.fc1"),
            module(f"{ours}.ffn.outer", f"{theirs}.fc2"),
            module(f"{ours}.layout.norms.{len(attentions)}", f"{theirs}.final_layer_norm"),
        ),
    ]
