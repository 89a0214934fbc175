"""DeBERTa, versions 2 and 3: He et al. 2021. BERT's layers with disentangled attention over relative positions.

Without relative_attention it is BERT with scores scaled for the terms that pos_att_type names all the same.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config, activation_name
from zoo.interop.family import Family, Published
from zoo.interop.post_norm_encoder import (
    Defaults,
    encoder_trial,
    language_head_weights,
    masked_language_head,
    norm_spec,
    post_norm_encoder_config,
    post_norm_encoder_spec,
    post_norm_encoder_weights,
    token_classifier_head,
)
from zoo.interop.rules import Rules, either, module, tensor

_DEFAULTS = Defaults(
    vocab_size=128100, d_model=1536, d_ff=6144, n_layers=24, n_heads=24, n_types=0, eps=1e-7, padding_id=0
)
_PROJECTIONS = {
    "query": "query_proj",
    "key": "key_proj",
    "value": "value_proj",
    "position_key": "pos_key_proj",
    "position_query": "pos_query_proj",
}


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    d_model, n_heads = config.integer("hidden_size", 1536), config.integer("num_attention_heads", 24)
    d_k = d_model // max(n_heads, 1)
    config.only("attention_head_size", d_k)
    d_embedding = config.integer("embedding_size", d_model)
    is_absolute = config.boolean("position_biased_input", True)
    if is_absolute and d_embedding != d_model:
        config.refuse(
            "embedding_size", "positions added before the projection to hidden_size cannot be represented"
        )
    if config.boolean("relative_attention", False):
        if is_absolute:
            config.refuse(
                "position_biased_input",
                "absolute beside relative positions cannot be represented; only false can",
            )
        position, attention = _relative_position(config), _relative_attention(config)
    else:
        position, attention = _position(config, is_absolute), _attention(config, d_k)
    return post_norm_encoder_spec(
        config,
        _DEFAULTS,
        position=position,
        head=_head(config, d_model, d_embedding),
        inputs={"d_embedding": None if d_embedding == d_model else d_embedding},
        attentions=[attention],
    )


def _terms(config: Config) -> list[str]:
    """The terms of the scores beside that of the contents: a list, or, in older configs, joined by |."""
    value = config.value("pos_att_type", None)
    terms = [] if value is None else value.lower().split("|") if isinstance(value, str) else value
    terms = [term.strip() for term in terms if term]
    if len(set(terms)) < len(terms) or not set(terms) <= {"c2p", "p2c"}:
        config.refuse("pos_att_type", f"must be some of c2p and p2c, got {value}")
    return sorted(terms)


def _relative_position(config: Config) -> dict[str, Any]:
    span, n_buckets = config.integer("max_relative_positions", -1), config.integer("position_buckets", -1)
    length = config.integer("max_position_embeddings", 512)
    span = length if span < 1 else span
    norm = config.text("norm_rel_ebd", "none")
    config.only("norm_rel_ebd", "none", "layer_norm")
    return {
        "type": "relative_embeddings",
        "span": n_buckets if n_buckets > 0 else span,
        "max_distance": span if n_buckets > 0 else None,
        "norm": norm_spec(config, _DEFAULTS) if norm == "layer_norm" else None,
    }


def _relative_attention(config: Config) -> dict[str, Any]:
    terms = _terms(config)
    if not terms:
        config.refuse(
            "pos_att_type", "relative positions that nothing reads cannot be represented; name c2p or p2c"
        )
    return {
        "type": "disentangled",
        "position_terms": terms,
        "share_key": config.boolean("share_att_key", False),
        "position_dropout": config.number("hidden_dropout_prob", 0.1),
    }


def _position(config: Config, is_absolute: bool) -> dict[str, Any]:
    config.only("norm_rel_ebd", "none", reason=" without relative_attention")
    max_len = config.integer("max_position_embeddings", 512)
    return (
        {"type": "learned", "max_len": max_len, "counts_padding": True} if is_absolute else {"type": "none"}
    )


def _attention(config: Config, d_k: int) -> dict[str, Any]:
    return {"type": "multi_head", "scale": (d_k * (1 + len(_terms(config)))) ** -0.5}


def _head(config: Config, d_model: int, d_embedding: int) -> dict[str, Any]:
    if config.architecture == "DebertaV2ForMaskedLM":
        if not config.boolean("legacy", True) and d_embedding != d_model:
            config.refuse("legacy", "false needs embedding_size to be hidden_size")
        return masked_language_head(config, _DEFAULTS, activation=config.activation("hidden_act", "gelu"))
    dropout = config.number("hidden_dropout_prob", 0.1)
    if config.architecture == "DebertaV2ForTokenClassification":
        return token_classifier_head(config, dropout=dropout)
    if config.architecture == "DebertaV2ForSequenceClassification":
        config.only("pooler_hidden_size", d_model)
        last = config.number("cls_dropout", None)
        return {
            "type": "pooled_classifier",
            "n_classes": config.n_labels(),
            "activation": config.activation("pooler_hidden_act", "gelu"),
            "dropout": dropout if last is None else last,
            "pooled_dropout": config.number("pooler_dropout", 0.0),
        }
    return {"type": "none"}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = post_norm_encoder_config(spec, "DebertaV2")
    attention, head = spec.encoder.each_layer()[0].self_attention, spec.head
    is_relative = attention.type == "disentangled"
    config |= {"relative_attention": is_relative, "position_biased_input": spec.position.type == "learned"}
    if spec.inputs.d_embedding is not None:
        config["embedding_size"] = spec.inputs.d_embedding
    if is_relative:
        position = spec.position
        config |= {
            "pos_att_type": list(attention.position_terms),
            "share_att_key": attention.share_key,
            "max_relative_positions": position.max_distance or position.span,
            "position_buckets": -1 if position.max_distance is None else position.span,
            "norm_rel_ebd": "none" if position.norm is None else "layer_norm",
        }
    else:
        d_k = spec.d_model // attention.n_heads
        n_terms = 0 if attention.scale is None else round(attention.scale**-2 / d_k) - 1
        config["pos_att_type"] = ["c2p", "p2c"][:n_terms]
    if spec.position.type == "learned":
        config["max_position_embeddings"] = spec.position.max_len
    if head.type == "pooled_classifier":
        config |= {
            "pooler_hidden_act": activation_name(head.activation),
            "pooler_dropout": head.pooled_dropout,
            "cls_dropout": head.dropout,
        }
    return config


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "" if spec.head.type == "none" else "deberta."
    is_relative = spec.position.type == "relative_embeddings"
    positions = "encoder.rel_embeddings" if is_relative else "embeddings.position_embeddings"
    legacy, later = "cls.predictions", "lm_predictions.lm_head"
    language = either(
        language_head_weights(
            f"{legacy}.decoder", f"{legacy}.transform.dense", f"{legacy}.transform.LayerNorm"
        ),
        language_head_weights(f"{later}.decoder", f"{later}.dense", f"{later}.LayerNorm"),
    )
    return [
        *post_norm_encoder_weights(spec, "deberta.", projections=_PROJECTIONS, positions=positions),
        *tensor("inputs.projection.weight", f"{prefix}embeddings.embed_proj.weight"),
        *module("encoder.position.norm", f"{prefix}encoder.LayerNorm"),
        *(language if spec.head.type == "masked_language_model" else module("head.dense", "pooler.dense")),
        *module("head.output", "classifier"),
    ]


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 29,
    "relative_attention": True,
    "position_biased_input": False,
    "pos_att_type": "p2c|c2p",
    "max_relative_positions": 9,
    "position_buckets": 4,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
}

FAMILY = Family(
    name="deberta-v2",
    architectures=(
        "DebertaV2Model",
        "DebertaV2ForMaskedLM",
        "DebertaV2ForSequenceClassification",
        "DebertaV2ForTokenClassification",
    ),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"conv_kernel_size": 0},
    bookkeeping=(
        "cls_dropout",  # of a head that is not this config's, as all with pooler; read where it is
        "pooler_dropout",
        "pooler_hidden_act",
        "pooler_hidden_size",
        "legacy",  # under which names a masked language model's head is stored
        "conv_act",  # of the convolution, which is refused
        "conv_groups",
        "max_position_embeddings",  # the rest are read where positions are of their kind
        "max_relative_positions",
        "position_buckets",
        "share_att_key",
        "tie_word_embeddings",
    ),
    prefix="deberta.",
    renamed=((r"LayerNorm\.gamma$", "LayerNorm.weight"), (r"LayerNorm\.beta$", "LayerNorm.bias")),
    ignored=(
        r"embeddings\.position_ids$",
        r"embeddings\.word_embeddings\._weight$",  # a buffer of the authors' code
        r"embeddings\.position_embeddings\.weight$",  # of positions that position_biased_input turns off
        r"^(lm_predictions|mask_predictions|cls\.predictions)\.",  # heads of the training, whatever is done after it
    ),
    trial=encoder_trial,
    examples=(
        _SMALL,
        {
            **_SMALL,
            "architectures": ["DebertaV2ForMaskedLM"],
            "num_hidden_layers": 3,
            "pos_att_type": ["c2p"],
            "position_buckets": -1,
            "max_relative_positions": 5,
            "share_att_key": False,
            "norm_rel_ebd": "none",
            "type_vocab_size": 3,
            "layer_norm_eps": 1e-3,
            "pad_token_id": 4,
            "hidden_dropout_prob": 0.2,
            "attention_probs_dropout_prob": 0.3,
            "initializer_range": 0.05,
        },
        {
            **_SMALL,
            "architectures": ["DebertaV2ForMaskedLM"],
            "max_relative_positions": -1,
            "max_position_embeddings": 6,
            "position_buckets": -1,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": False,
            "embedding_size": 10,
            "type_vocab_size": 2,
            "hidden_act": "relu",
        },
        {**_SMALL, "architectures": ["DebertaV2ForMaskedLM"], "legacy": False, "pos_att_type": "p2c"},
        {
            "architectures": ["DebertaV2ForMaskedLM"],
            "vocab_size": 31,
            "hidden_size": 12,
            "num_hidden_layers": 1,
            "num_attention_heads": 3,
            "intermediate_size": 29,
            "max_position_embeddings": 17,
            "pos_att_type": "c2p|p2c",
        },
        {
            **_SMALL,
            "architectures": ["DebertaV2ForSequenceClassification"],
            "num_labels": 5,
            "pooler_hidden_act": "tanh",
            "pooler_dropout": 0.2,
            "cls_dropout": 0.4,
        },
        {
            "architectures": ["DebertaV2ForTokenClassification"],
            "vocab_size": 31,
            "hidden_size": 12,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 19,
            "position_biased_input": False,
            "num_labels": 4,
            "share_att_key": False,
        },
    ),
    published=(
        Published(
            preset="deberta_v3_base",
            preset_as="DebertaV2ForMaskedLM",
            source="huggingface.co/microsoft/deberta-v3-base",
            config={
                "attention_probs_dropout_prob": 0.1,
                "hidden_act": "gelu",
                "hidden_dropout_prob": 0.1,
                "hidden_size": 768,
                "initializer_range": 0.02,
                "intermediate_size": 3072,
                "layer_norm_eps": 1e-07,
                "max_position_embeddings": 512,
                "max_relative_positions": -1,
                "norm_rel_ebd": "layer_norm",
                "num_attention_heads": 12,
                "num_hidden_layers": 12,
                "pos_att_type": "p2c|c2p",
                "position_biased_input": False,
                "position_buckets": 256,
                "relative_attention": True,
                "share_att_key": True,
                "type_vocab_size": 0,
                "vocab_size": 128100,
            },
        ),
    ),
)
