"""BART: Lewis et al. 2020, and its fine-tuned models.

The authors' own checkpoints are of the class BartModel, without the bias on the logits: the output is the embedding's
matrix alone, which is how they are used for text too.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.pair import (
    EXAMPLES,
    pair_config,
    pair_spec,
    pair_weights,
)
from zoo.interop.rules import Rules, tensor
from zoo.interop.writing import Writing


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    max_len = config.integer("max_position_embeddings", 1024)
    return pair_spec(
        config,
        vocab_size=50265,
        padding_id=1,
        norms_input=True,
        position={"type": "learned", "max_len": max_len, "offset": 2, "counts_padding": True},
        head={"bias": False if config.architecture == "BartModel" else "fixed"},
    )


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    architecture = "BartForConditionalGeneration" if spec.head.bias else "BartModel"
    return {"architectures": [architecture], **pair_config(spec)}


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    prefix = "model." if spec.head.bias else ""
    copies = (f"{prefix}encoder.embed_tokens.weight", f"{prefix}decoder.embed_tokens.weight")
    return [
        *tensor("source.weight", f"{prefix}shared.weight", copies=copies),
        *tensor("encoder.position.table.weight", f"{prefix}encoder.embed_positions.weight"),
        *tensor("decoder.position.table.weight", f"{prefix}decoder.embed_positions.weight"),
        *pair_weights(spec, prefix),
    ]


_LABELS = {f"LABEL_{i}": i for i in range(3)}
_SUMMARIES = {
    "summarization": {"length_penalty": 1.0, "max_length": 128, "min_length": 12, "num_beams": 4},
    "summarization_cnn": {"length_penalty": 2.0, "max_length": 142, "min_length": 56, "num_beams": 4},
    "summarization_xsum": {"length_penalty": 1.0, "max_length": 62, "min_length": 11, "num_beams": 6},
}
_BASE = {
    "activation_dropout": 0.1,
    "activation_function": "gelu",
    "add_bias_logits": False,
    "add_final_layer_norm": False,
    "architectures": ["BartModel"],
    "attention_dropout": 0.1,
    "bos_token_id": 0,
    "classif_dropout": 0.1,
    "classifier_dropout": 0.0,
    "d_model": 768,
    "decoder_attention_heads": 12,
    "decoder_ffn_dim": 3072,
    "decoder_layerdrop": 0.0,
    "decoder_layers": 6,
    "decoder_start_token_id": 2,
    "dropout": 0.1,
    "early_stopping": True,
    "encoder_attention_heads": 12,
    "encoder_ffn_dim": 3072,
    "encoder_layerdrop": 0.0,
    "encoder_layers": 6,
    "eos_token_id": 2,
    "forced_bos_token_id": 0,
    "forced_eos_token_id": 2,
    "gradient_checkpointing": False,
    "id2label": {str(i): label for label, i in _LABELS.items()},
    "init_std": 0.02,
    "is_encoder_decoder": True,
    "label2id": _LABELS,
    "max_position_embeddings": 1024,
    "no_repeat_ngram_size": 3,
    "normalize_before": False,
    "normalize_embedding": True,
    "num_beams": 4,
    "num_hidden_layers": 6,
    "pad_token_id": 1,
    "scale_embedding": False,
    "task_specific_params": _SUMMARIES,
    "torch_dtype": "float32",
    "use_cache": True,
    "vocab_size": 50265,
}
_LARGE = {
    "d_model": 1024,
    "decoder_attention_heads": 16,
    "decoder_ffn_dim": 4096,
    "decoder_layers": 12,
    "encoder_attention_heads": 16,
    "encoder_ffn_dim": 4096,
    "encoder_layers": 12,
    "num_hidden_layers": 12,
}

FAMILY = Family(
    name="bart",
    architectures=("BartForConditionalGeneration", "BartModel"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=2, pad=1, max_length="source + 50"),
    fixed={
        "add_final_layer_norm": False,
        "do_blenderbot_90_layernorm": False,
        "extra_pos_embeddings": 2,
        "normalize_before": False,
        "normalize_embedding": True,
        "static_position_embeddings": False,
        "tie_word_embeddings": True,
    },
    bookkeeping=(
        "_num_labels",
        "add_bias_logits",
        "classif_dropout",
        "classifier_dropout",
        "force_bos_token_to_be_generated",
    ),
    prefix="model.",
    ignored=(r"(encoder|decoder)\.version$",),
    examples=EXAMPLES,
    published=(
        Published(preset="bart_base", source="huggingface.co/facebook/bart-base", config=_BASE),
        Published(
            preset="bart_large", source="huggingface.co/facebook/bart-large", config={**_BASE, **_LARGE}
        ),
    ),
    beam=4,
)
