"""mBART: Liu et al. 2020. BART with norms before its sublayers and one after each stack."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.families.bart import weights
from zoo.interop.family import Family, Published
from zoo.interop.pair import EXAMPLES, pair_config, pair_spec
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
        head={"bias": "fixed"},
        layout="pre_norm",
    )


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    return {"architectures": ["MBartForConditionalGeneration"], **pair_config(spec)}


FAMILY = Family(
    name="mbart",
    architectures=("MBartForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=Writing(end=2, start=2, pad=1, max_length="source + 50"),
    fixed={
        "add_final_layer_norm": True,
        "normalize_before": True,
        "normalize_embedding": True,
        "static_position_embeddings": False,
        "tie_word_embeddings": True,
    },
    bookkeeping=("_num_labels", "add_bias_logits", "classif_dropout", "classifier_dropout"),
    prefix="model.",
    examples=EXAMPLES,
    published=(
        Published(
            source="huggingface.co/facebook/mbart-large-cc25",
            config={
                "activation_dropout": 0.0,
                "activation_function": "gelu",
                "add_final_layer_norm": True,
                "architectures": ["MBartForConditionalGeneration"],
                "attention_dropout": 0.0,
                "bos_token_id": 0,
                "d_model": 1024,
                "decoder_attention_heads": 16,
                "decoder_ffn_dim": 4096,
                "decoder_layerdrop": 0.0,
                "decoder_layers": 12,
                "dropout": 0.1,
                "encoder_attention_heads": 16,
                "encoder_ffn_dim": 4096,
                "encoder_layerdrop": 0.0,
                "encoder_layers": 12,
                "eos_token_id": 2,
                "init_std": 0.02,
                "is_encoder_decoder": True,
                "max_position_embeddings": 1024,
                "normalize_before": True,
                "normalize_embedding": True,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "scale_embedding": True,
                "static_position_embeddings": False,
                "vocab_size": 250027,
            },
        ),
    ),
    beam=4,
)
