"""mT5: Xue et al. 2021. T5 1.1 over a hundred languages: gated networks, an output of its own that is not scaled.

transformers 5 writes tie_word_embeddings: true whatever a model's weights are; those published have two matrices, and
are read with two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.interop.config import Config
from zoo.interop.families import t5
from zoo.interop.family import Family, Published

MULTILINGUAL = t5.Defaults(vocab_size=250112, d_ff=1024, n_layers=8, n_heads=6, network="gated-gelu")


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    spec = t5.to_spec(config, MULTILINGUAL)
    spec["head"] |= {"tied": False, "scale": "none"}
    return spec


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    config = {**t5.to_config(spec), "architectures": ["MT5ForConditionalGeneration"]}
    del config["scale_decoder_outputs"]
    return config


def prepare(reference: Any, config: Mapping[str, Any]) -> None:
    """Gives the output a matrix of its own, as a checkpoint with both does."""
    t5.prepare(reference, {"tie_word_embeddings": False})


FAMILY = Family(
    name="mt5",
    architectures=("MT5ForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=t5.weights,
    writing=t5.WRITING,
    bookkeeping=("classifier_dropout", "n_positions"),
    ignored=(r"^decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight$",),
    examples=(
        t5.SMALL,
        {**t5.SMALL, "num_layers": 1, "layer_norm_epsilon": 1e-3, "num_heads": 2, "dropout_rate": 0.2},
    ),
    published=(
        Published(
            source="huggingface.co/google/mt5-small",
            config={
                "architectures": ["MT5ForConditionalGeneration"],
                "d_ff": 1024,
                "d_kv": 64,
                "d_model": 512,
                "decoder_start_token_id": 0,
                "dropout_rate": 0.1,
                "eos_token_id": 1,
                "feed_forward_proj": "gated-gelu",
                "initializer_factor": 1.0,
                "is_encoder_decoder": True,
                "layer_norm_epsilon": 1e-06,
                "num_decoder_layers": 8,
                "num_heads": 6,
                "num_layers": 8,
                "pad_token_id": 0,
                "relative_attention_num_buckets": 32,
                "tie_word_embeddings": False,
                "tokenizer_class": "T5Tokenizer",
                "use_cache": True,
                "vocab_size": 250112,
            },
        ),
    ),
    prepare=prepare,
    beam=4,
)
