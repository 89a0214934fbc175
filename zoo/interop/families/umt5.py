"""UMT5: Chung et al. 2023. mT5 with a table of relative positions in every layer."""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.families import t5
from zoo.interop.families.mt5 import MULTILINGUAL
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rule, Rules, for_each, tensor

_TABLE = "layer.0.SelfAttention.relative_attention_bias.weight"


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    spec = t5.to_spec(config, MULTILINGUAL)
    position = spec.pop("position")
    for stack in (spec["encoder"], spec["decoder"]):
        stack["layer"] = {**stack["layer"], "position": position}
    return {**spec, "position": "none"}


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    position = spec.encoder.each_layer()[0].position
    config = t5.to_config(spec.model_copy(update={"position": position}))
    return {**config, "architectures": ["UMT5ForConditionalGeneration"]}


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    shared = {f"{stack}.position.table.weight" for stack in ("encoder", "decoder")}
    rules = [rule for rule in t5.weights(spec) if not (isinstance(rule, Rule) and shared & set(rule.ours))]
    for name in ("encoder", "decoder"):
        ours, theirs = f"{name}.layers.{{i}}.position.table.weight", f"{name}.block.{{i}}.{_TABLE}"
        rules += for_each("i", len(getattr(spec, name).each_layer()), tensor(ours, theirs))
    return rules


FAMILY = Family(
    name="umt5",
    architectures=("UMT5ForConditionalGeneration",),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    writing=t5.WRITING,
    bookkeeping=("classifier_dropout", "n_positions", "output_past", "scalable_attention"),
    examples=(
        t5.SMALL,
        {**t5.SMALL, "num_layers": 1, "layer_norm_epsilon": 1e-3, "dropout_rate": 0.2},
        {**t5.SMALL, "num_heads": 2, "tie_word_embeddings": False},
    ),
    published=(
        Published(
            source="huggingface.co/google/umt5-small",
            config={
                "architectures": ["UMT5ForConditionalGeneration"],
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
                "relative_attention_max_distance": 128,
                "relative_attention_num_buckets": 32,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 256384,
            },
        ),
    ),
    prepare=t5.prepare,
    beam=4,
)
