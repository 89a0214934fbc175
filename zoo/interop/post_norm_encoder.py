"""What BERT and its descendants have in common: post-norm layers, learned positions, and the heads for three tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from zoo.interop.config import Config, activation_name, labels_config
from zoo.interop.rules import Rules, for_each, module, tensor
from zoo.interop.trial import LENGTHS, Padding, Trial, token_trial

PROJECTIONS = {name: name for name in ("query", "key", "value")}
_SUFFIXES = {
    "masked_language_model": "ForMaskedLM",
    "token_classifier": "ForTokenClassification",
    "pooled_classifier": "ForSequenceClassification",
}


@dataclass(frozen=True)
class Defaults:
    """What transformers takes for a field that a config leaves out."""

    vocab_size: int
    d_model: int = 768
    d_ff: int = 3072
    n_layers: int = 12
    n_heads: int = 12
    n_types: int = 2
    eps: float = 1e-12
    padding_id: int = 0
    activation: str = "gelu"
    dropout: float = 0.1


def architecture_of(spec: Any, stem: str) -> str:
    """transformers' class for a spec's head, its names beginning with the stem."""
    return stem + _SUFFIXES.get(spec.head.type, "Model")


def post_norm_encoder_spec(
    config: Config,
    defaults: Defaults,
    *,
    position: Mapping[str, Any],
    head: Mapping[str, Any],
    inputs: Mapping[str, Any] | None = None,
    attentions: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """A config -> the model's spec as plain data; inputs are further keys of the embedding.

    attentions are further keys of each layer's attention, the first layer's first; one stands for all layers.
    """
    vocab_size, n_layers = config.integer("vocab_size", defaults.vocab_size), layer_count(config, defaults)
    norm = norm_spec(config, defaults)
    heads = {
        "type": "multi_head",
        "n_heads": config.integer("num_attention_heads", defaults.n_heads),
        "bias": True,
        "dropout": config.number("attention_probs_dropout_prob", defaults.dropout),
    }
    layer = {
        "layout": "post_norm",
        "norm": norm,
        "self_attention": {**heads, **(attentions[0] if attentions else {})},
        "ffn": {
            "type": "mlp",
            "d_ff": config.integer("intermediate_size", defaults.d_ff),
            "activation": config.activation("hidden_act", defaults.activation),
        },
        "dropout": config.number("hidden_dropout_prob", defaults.dropout),
    }
    stack: dict[str, Any] = {"n_layers": n_layers, "layer": layer}
    if any(each != attentions[0] for each in attentions):
        stack = {"layer": layer, "layers": [{"layer": {"self_attention": dict(each)}} for each in attentions]}
    return {
        "type": "encoder_only",
        "d_model": config.integer("hidden_size", defaults.d_model),
        "inputs": {
            "type": "tokens",
            "vocab_size": vocab_size,
            "scale": "none",
            "n_types": config.integer("type_vocab_size", defaults.n_types),
            "padding_id": config.padding_id(default=defaults.padding_id, vocab_size=vocab_size),
            **(inputs or {}),
        },
        "position": position,
        "encoder": {"input_norm": norm, **stack},
        "head": head,
        "initialization": {"type": "normal", "std": config.number("initializer_range", 0.02)},
    }


def factorised(spec: dict[str, Any], d_embedding: int, *, always: bool = False) -> dict[str, Any]:
    """The same model with embeddings of a width of their own, where learned positions, norm and dropout come before a
    projection; unchanged where that width is the model's, unless there is always a projection."""
    if d_embedding == spec["d_model"] and not always:
        return spec
    inputs, encoder, position = dict(spec["inputs"]), dict(spec["encoder"]), spec["position"]
    del inputs["scale"]
    if position["type"] == "learned":
        inputs["position"], position = position, {"type": "none"}
    inputs |= {
        "type": "factorised_tokens",
        "d_embedding": d_embedding,
        "norm": encoder.pop("input_norm"),
        "dropout": encoder["layer"]["dropout"],
    }
    return {**spec, "inputs": inputs, "position": position, "encoder": {**encoder, "input_dropout": 0.0}}


def embedding_size(spec: Any) -> int:
    """The width of the tokens' vectors."""
    return int(getattr(spec.inputs, "d_embedding", None) or spec.d_model)


def learned_position(spec: Any) -> Any:
    """The learned positions of a model's spec, wherever they are added."""
    return getattr(spec.inputs, "position", spec.position)


def layer_count(config: Config, defaults: Defaults) -> int:
    """The number of layers."""
    return config.integer("num_hidden_layers", defaults.n_layers)


def norm_spec(config: Config, defaults: Defaults) -> dict[str, Any]:
    """The norm that stands everywhere."""
    return {"type": "layer_norm", "eps": config.number("layer_norm_eps", defaults.eps)}


def offset_position(config: Config, *, max_len: int, padding_id: int) -> dict[str, Any]:
    """Positions of real tokens only, that begin after the padding id (RoBERTa).

    The arguments are transformers' defaults of max_position_embeddings, the whole table's length, and of pad_token_id.
    """
    first = config.integer("pad_token_id", padding_id) + 1
    if first < 1:
        config.refuse("pad_token_id", f"positions begin after it, so {first - 1} cannot be represented")
    length = config.integer("max_position_embeddings", max_len)
    return {"type": "learned", "max_len": length - first, "offset": first}


def masked_language_head(config: Config, defaults: Defaults, *, activation: str) -> dict[str, Any]:
    """The head that guesses masked tokens. In transformers an untied one leaves its own bias unused."""
    config.only("tie_word_embeddings", True)
    return {"type": "masked_language_model", "activation": activation, "norm": norm_spec(config, defaults)}


def token_classifier_head(config: Config, *, dropout: float) -> dict[str, Any]:
    """The head that classifies each token."""
    return {"type": "token_classifier", "n_classes": config.n_labels(), "dropout": dropout}


def sequence_classifier_head(
    config: Config, *, dropout: float, pooled_dropout: float = 0.0
) -> dict[str, Any]:
    """The head that classifies the sequence by its first token, after a dense layer with tanh."""
    return {
        "type": "pooled_classifier",
        "n_classes": config.n_labels(),
        "activation": "tanh",
        "dropout": dropout,
        "pooled_dropout": pooled_dropout,
    }


def pooled_head(config: Config, weight: str = "pooler.dense.weight") -> dict[str, Any]:
    """What a base model ends in: the pooler, or nothing where the checkpoint was written without its weight."""
    if weight in config.variant.lacking:
        return {"type": "none"}
    return {"type": "pooled", "pool": "first", "activation": "tanh"}


def classifier_dropout(config: Config) -> float:
    """What a classifier drops: a field of its own, or what all layers drop."""
    dropout = config.number("classifier_dropout", None)
    return config.number("hidden_dropout_prob", 0.1) if dropout is None else dropout


def post_norm_encoder_config(spec: Any, stem: str) -> dict[str, Any]:
    """The model's spec -> the fields that all these families have."""
    layers, inputs = spec.encoder.each_layer(), spec.inputs
    layer, attention, ffn = layers[0], layers[0].self_attention, layers[0].ffn
    config = {
        "architectures": [architecture_of(spec, stem)],
        "vocab_size": inputs.vocab_size,
        "hidden_size": spec.d_model,
        "num_hidden_layers": len(layers),
        "num_attention_heads": attention.n_heads,
        "intermediate_size": ffn.d_ff,
        "hidden_act": activation_name(ffn.activation),
        "hidden_dropout_prob": layer.dropout,
        "attention_probs_dropout_prob": attention.dropout,
        "type_vocab_size": inputs.n_types,
        "layer_norm_eps": layer.norm.eps,
        "pad_token_id": inputs.padding_id,
        "initializer_range": getattr(spec.initialization, "std", 0.02),
    }
    return config | labels_config(spec.head)


def post_norm_encoder_weights(
    spec: Any,
    prefix: str,
    *,
    projections: Mapping[str, str] = PROJECTIONS,
    positions: str = "embeddings.position_embeddings",
    widening: str = "embeddings_project",
) -> Rules:
    """Which tensors are which, without the head's; projections are our and their names of an attention's, positions
    their name of the table, widening that of a factorised embedding's projection. The prefix stands before the names of
    a model with a head of transformers' own."""
    if spec.head.type in ("none", "pooled"):
        prefix = ""
    embeddings, ours, theirs = f"{prefix}embeddings", "encoder.layers.{i}", f"{prefix}encoder.layer.{{i}}"
    return [
        *tensor("inputs.weight", f"{embeddings}.word_embeddings.weight"),
        *tensor("inputs.types.weight", f"{embeddings}.token_type_embeddings.weight"),
        *tensor("encoder.position.table.weight", f"{prefix}{positions}.weight"),
        *module("encoder.input_norm", f"{embeddings}.LayerNorm"),
        *tensor("inputs.position.table.weight", f"{prefix}{positions}.weight"),
        *module("inputs.norm", f"{embeddings}.LayerNorm"),
        *module("inputs.to_model", f"{prefix}{widening}"),
        *for_each(
            "i",
            len(spec.encoder.each_layer()),
            *(
                module(f"{ours}.self_attention.{mine}", f"{theirs}.attention.self.{its}")
                for mine, its in projections.items()
            ),
            module(f"{ours}.self_attention.output", f"{theirs}.attention.output.dense"),
            module(f"{ours}.layout.norms.0", f"{theirs}.attention.output.LayerNorm"),
            module(f"{ours}.ffn.inner", f"{theirs}.intermediate.dense"),
            module(f"{ours}.ffn.outer", f"{theirs}.output.dense"),
            module(f"{ours}.layout.norms.1", f"{theirs}.output.LayerNorm"),
        ),
    ]


def language_head_weights(decoder: str, dense: str, norm: str) -> Rules:
    """The rules of a masked language model's head; `decoder` is their tied copy of the embedding, beside their bias."""
    bias = decoder.removesuffix("decoder") + "bias"
    return [
        *module("head.dense", dense),
        *module("head.norm", norm),
        *tensor("head.bias", bias, copies=(f"{decoder}.bias",)),
        *tensor("head.weight", f"{decoder}.weight"),
    ]


def encoder_trial(
    spec: Any, padding: Padding, random: torch.Generator, *, lengths: Sequence[int] = LENGTHS
) -> Trial:
    """Random tokens; padding holds the padding id and nothing else does, for some count positions by it.

    transformers pools the first column, a token or not, so rows that begin with padding are left out where it does.
    """
    trial = token_trial(spec, padding, random, lengths=lengths)
    mask, tokens, padding_id = trial.ours_named["mask"], trial.ours[0], spec.inputs.padding_id
    if padding_id is not None:
        tokens = torch.where(tokens == padding_id, (padding_id + 1) % spec.inputs.vocab_size, tokens)
        tokens = tokens.masked_fill(~mask, padding_id)
    pool = getattr(spec.head, "pool", None)
    real = mask if pool is None else mask[:, 0] if pool == "first" else None
    return Trial((tokens,), {**trial.theirs, "input_ids": tokens}, trial.ours_named, real)
