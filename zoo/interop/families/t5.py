"""T5: Raffel et al. 2020; T5 1.1 and Flan-T5, whose networks are gated and whose outputs are not tied, included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from zoo.interop.config import ACTIVATIONS, Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rules, for_each, module, tensor
from zoo.interop.writing import Writing


@dataclass(frozen=True)
class Defaults:
    """What transformers takes for a field that a config leaves out."""

    vocab_size: int = 32128
    d_ff: int = 2048
    n_layers: int = 6
    n_heads: int = 8
    network: str = "relu"


def to_spec(config: Config, defaults: Defaults = Defaults()) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    n_layers = config.integer("num_layers", defaults.n_layers)
    n_decoder_layers = config.integer("num_decoder_layers", None)
    dropout = config.number("dropout_rate", 0.1)
    attention = {
        "type": "multi_head",
        "n_heads": config.integer("num_heads", defaults.n_heads),
        "d_k": config.integer("d_kv", 64),
        "scale": 1.0,
        "dropout": dropout,
    }
    layer = {
        "layout": "pre_norm",
        "norm": {
            "type": "rms_norm",
            "eps": config.number("layer_norm_epsilon", 1e-6),
            "casts_before_gain": True,
        },
        "self_attention": attention,
        "ffn": {
            **_network(config, defaults.network),
            "d_ff": config.integer("d_ff", defaults.d_ff),
            "bias": False,
            "dropout": dropout,
        },
        "dropout": dropout,
    }
    # transformers 5 makes tie_word_embeddings true, whatever a model's weights are, and keeps what it was in
    # scale_decoder_outputs; the published models that do not scale are T5 1.1's, whose output is not tied.
    is_scaled = config.boolean("scale_decoder_outputs", config.boolean("tie_word_embeddings", True))
    is_tied = config.boolean("tie_word_embeddings", True) and is_scaled
    return {
        "type": "encoder_decoder",
        "d_model": config.integer("d_model", 512),
        "source": {
            "type": "tokens",
            "vocab_size": config.integer("vocab_size", defaults.vocab_size),
            "scale": "none",
        },
        "target": {"share": "source"},
        "position": {
            "type": "relative_buckets",
            "n_buckets": config.integer("relative_attention_num_buckets", 32),
            "max_distance": config.integer("relative_attention_max_distance", 128),
        },
        "encoder": {"n_layers": n_layers, "layer": layer, "output_dropout": dropout},
        "decoder": {
            "n_layers": n_layers if n_decoder_layers is None else n_decoder_layers,
            "layer": {**layer, "cross_attention": attention},
            "output_dropout": dropout,
        },
        "head": {
            "type": "language_model",
            "predicts": "target",
            "tied": is_tied,
            "scale": "rsqrt_d_model" if is_scaled else "none",
        },
        "initialization": {"type": "mesh_tensorflow"},
    }


def _network(config: Config, default: str) -> dict[str, Any]:
    """The network's type and activation: feed_forward_proj is NAME or gated-NAME, and other fields overrule it."""
    gate, _, name = config.text("feed_forward_proj", default).rpartition("-")
    if gate not in ("", "gated"):
        config.refuse("feed_forward_proj", f"must be an activation or gated-ACTIVATION, got '{gate}-{name}'")
    name = "gelu_new" if (gate, name) == ("gated", "gelu") else name
    if "dense_act_fn" not in config and name not in ACTIVATIONS:
        config.refuse("feed_forward_proj", f"the activation '{name}' cannot be represented")
    is_gated = config.boolean("is_gated_act", gate == "gated")
    return {"type": "glu" if is_gated else "mlp", "activation": config.activation("dense_act_fn", name)}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layer = spec.encoder.each_layer()[0]
    activation = "gelu_new" if layer.ffn.activation == "gelu_tanh" else activation_name(layer.ffn.activation)
    is_gated = layer.ffn.type == "glu"
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "vocab_size": spec.source.vocab_size,
        "d_model": spec.d_model,
        "d_kv": layer.self_attention.d_k or spec.d_model // layer.self_attention.n_heads,
        "d_ff": layer.ffn.d_ff,
        "num_layers": len(spec.encoder.each_layer()),
        "num_decoder_layers": len(spec.decoder.each_layer()),
        "num_heads": layer.self_attention.n_heads,
        "relative_attention_num_buckets": spec.position.n_buckets,
        "relative_attention_max_distance": spec.position.max_distance,
        "dropout_rate": layer.dropout,
        "layer_norm_epsilon": layer.norm.eps,
        "feed_forward_proj": "gated-gelu"
        if is_gated and "gelu" in activation
        else f"{'gated-' * is_gated}{activation}",
        "dense_act_fn": activation,
        "is_gated_act": is_gated,
        "tie_word_embeddings": spec.head.tied,
        "scale_decoder_outputs": spec.head.scale != "none",
        "decoder_start_token_id": 0,
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    return [
        *tensor(
            "source.weight",
            "shared.weight",
            copies=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"),
        ),
        *_stack(spec.encoder, "encoder", ("self_attention", "ffn")),
        *_stack(spec.decoder, "decoder", ("self_attention", "cross_attention", "ffn")),
        *tensor("head.weight", "lm_head.weight"),
    ]


_THEIRS = {"self_attention": "SelfAttention", "cross_attention": "EncDecAttention", "ffn": "DenseReluDense"}
_ATTENTION = {"query": "q", "key": "k", "value": "v", "output": "o"}
_MLP = {"inner": "wi", "outer": "wo"}
_GLU = {"gate": "wi_0", "inner": "wi_1", "outer": "wo"}


def _stack(stack: Any, name: str, sublayers: tuple[str, ...]) -> Rules:
    layers = stack.each_layer()
    network = _GLU if layers[0].ffn.type == "glu" else _MLP
    groups = []
    for j, sublayer in enumerate(sublayers):
        ours, theirs = f"{name}.layers.{{i}}", f"{name}.block.{{i}}.layer.{j}"
        groups.append(module(f"{ours}.layout.norms.{j}", f"{theirs}.layer_norm"))
        for mine, its in (network if sublayer == "ffn" else _ATTENTION).items():
            groups.append(module(f"{ours}.{sublayer}.{mine}", f"{theirs}.{_THEIRS[sublayer]}.{its}"))
    first = f"{name}.block.0.layer.0.SelfAttention"  # holds the table that all layers of the stack share
    return [
        *tensor(f"{name}.position.table.weight", f"{first}.relative_attention_bias.weight"),
        *for_each("i", len(layers), *groups),
        *module(f"{name}.final_norm", f"{name}.final_layer_norm"),
    ]


def prepare(reference: Any, config: Mapping[str, Any]) -> None:
    """Gives the output a matrix of its own: transformers does so only where a checkpoint has both."""
    if not config.get("tie_word_embeddings", True):
        reference.lm_head.weight = nn.Parameter(torch.empty_like(reference.lm_head.weight))


SMALL = {
    "vocab_size": 31,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 29,
    "num_layers": 2,
    "num_decoder_layers": 1,  # not more: transformers then makes too small a cache
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 11,
}

_PUBLISHED = {
    "architectures": ["T5ForConditionalGeneration"],
    "decoder_start_token_id": 0,
    "dropout_rate": 0.1,
    "eos_token_id": 1,
    "initializer_factor": 1.0,
    "is_encoder_decoder": True,
    "layer_norm_epsilon": 1e-06,
    "n_positions": 512,
    "output_past": True,
    "pad_token_id": 0,
    "relative_attention_num_buckets": 32,
    "vocab_size": 32128,
}

WRITING = Writing(end=1, pad=0, max_length="source + 50")
"""How the models of this code write where their folders say nothing."""

FAMILY = Family(
    name="t5",
    architectures=("T5ForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    read_as={"T5WithLMHeadModel": "T5ForConditionalGeneration"},
    writing=WRITING,
    bookkeeping=("classifier_dropout", "n_positions"),
    ignored=(r"^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$",),
    examples=(
        SMALL,
        {
            **SMALL,
            "num_layers": 1,
            "feed_forward_proj": "gated-gelu",
            "layer_norm_epsilon": 1e-3,
        },
        {
            **SMALL,
            "num_decoder_layers": None,
            "feed_forward_proj": "gated-silu",
            "relative_attention_num_buckets": 6,
            "relative_attention_max_distance": 4,
            "dropout_rate": 0.2,
        },
        {**SMALL, "feed_forward_proj": "gelu_new"},
        {
            **SMALL,
            "num_layers": 1,
            "num_heads": 2,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
    ),
    published=(
        Published(
            preset="t5_small",
            source="huggingface.co/google-t5/t5-small",
            config={**_PUBLISHED, "d_ff": 2048, "d_kv": 64, "d_model": 512, "num_heads": 8, "num_layers": 6},
        ),
        Published(
            preset="t5_base",
            source="huggingface.co/google-t5/t5-base",
            config={
                **_PUBLISHED,
                "d_ff": 3072,
                "d_kv": 64,
                "d_model": 768,
                "num_heads": 12,
                "num_layers": 12,
            },
        ),
        Published(
            preset="t5_v1_1_base",
            source="huggingface.co/google/t5-v1_1-base",
            config={
                **_PUBLISHED,
                "d_ff": 2048,
                "d_kv": 64,
                "d_model": 768,
                "feed_forward_proj": "gated-gelu",
                "num_decoder_layers": 12,
                "num_heads": 12,
                "num_layers": 12,
                "tie_word_embeddings": False,
            },
        ),
    ),
    prepare=prepare,
    beam=4,
)
