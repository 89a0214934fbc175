"""CLIP's text tower: Radford et al. 2021. A causal stack whose last token, the end, stands for the text.

transformers finds the end by its id, or, where the config says eos_token_id 2, takes the token of the highest id; here
it is the last real token of a row. The three are one where the end has the highest id and stands last, as CLIP's does.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from zoo.interop.config import Config
from zoo.interop.decoders import PLAIN_DECODER
from zoo.interop.entries import Field, Layers, Plain
from zoo.interop.family import Family, Published
from zoo.interop.rules import Rules, module
from zoo.interop.trial import Padding, Trial, token_trial

_CLASSES = ("CLIPTextModelWithProjection", "CLIPTextModel")


class _Pooled:
    """The vector of the end, projected or as it is."""

    order: ClassVar[int] = 1

    def read(self, config: Config, spec: Plain) -> None:
        config.only("eos_token_id", 2, config.integer("vocab_size", 49408) - 1)
        size = config.integer("projection_dim", 512)
        spec["head"] = {"type": "pooled", "pool": "last", "activation": None}
        if config.architecture == _CLASSES[0]:
            spec["head"] |= {"activation": "identity", "d_pooled": size, "bias": False}

    def written(self, spec: Any) -> Plain:
        config = {"eos_token_id": spec.tokens.vocab_size - 1, "architectures": [_CLASSES[1]]}
        if spec.head.activation is None:
            return config
        return {
            **config,
            "architectures": [_CLASSES[0]],
            "projection_dim": spec.head.d_pooled or spec.d_model,
        }


_TABLE = PLAIN_DECODER.sibling(
    parts={
        "position": {"type": "learned", "counts_padding": True},
        "decoder": {"input_dropout": 0.0, "layer": {"dropout": 0.0, "self_attention": {"bias": True}}},
    },
    without=("dropout", "input_dropout"),
    fields={
        "head": _Pooled(),
        "vocab_size": 49408,
        "d_model": ("hidden_size", 512),
        "n_layers": Layers("num_hidden_layers", 12),
        "n_heads": ("num_attention_heads", 8),
        "d_ff": Field("layer.ffn.d_ff", "intermediate_size", 2048),
        "activation": ("hidden_act", "quick_gelu"),
        "eps": ("layer_norm_eps", 1e-5),
        "attention_dropout": ("attention_dropout", 0.0),
        "position": Field("position.max_len", "max_position_embeddings", 77),
    },
    tensors={
        "tokens": "embeddings.token_embedding",
        "decoder.position.table": "embeddings.position_embedding",
        "decoder.final_norm": "final_layer_norm",
        "layer.layout.norms.0": "layer_norm1",
        "layer.layout.norms.1": "layer_norm2",
        "layer.self_attention.output": "self_attn.out_proj",
        "layer.ffn.inner": "mlp.fc1",
        "layer.ffn.outer": "mlp.fc2",
    },
    layers="encoder.layers",
    prefix="text_model.",
)


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    is_projected = spec.head.type == "pooled" and spec.head.activation is not None
    table = _TABLE if is_projected else _TABLE.sibling(prefix="")
    return [*table.weights(spec), *module("head.dense", "text_projection")]


def _trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """Random tokens, of which the last of each row, and no other, is the end."""
    given = token_trial(spec, padding, random)
    mask, end = given.ours_named["mask"], spec.tokens.vocab_size - 1
    is_last = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    tokens = (given.ours[0] % end).masked_fill(is_last, end)
    theirs = {key: value for key, value in given.theirs.items() if key != "position_ids"}
    return Trial((tokens,), {**theirs, "input_ids": tokens}, given.ours_named)


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "projection_dim": 7,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "max_position_embeddings": 17,
    "eos_token_id": 30,
}

FAMILY = Family(
    name="clip_text_model",
    architectures=_CLASSES,
    to_spec=_TABLE.to_spec,
    to_config=_TABLE.to_config,
    weights=weights,
    bookkeeping=("projection_dim", "tie_word_embeddings"),  # of the class that projects
    prefix="text_model.",
    ignored=(r"embeddings\.position_ids$",),
    trial=_trial,
    examples=(
        _SMALL,
        {**_SMALL, "eos_token_id": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-3, "attention_dropout": 0.1},
        {**_SMALL, "architectures": ["CLIPTextModel"], "num_hidden_layers": 1},
    ),
    published=(
        Published(
            source="huggingface.co/openai/clip-vit-base-patch32",
            config={
                "architectures": ["CLIPTextModelWithProjection"],  # its text_config
                "attention_dropout": 0.0,
                "bos_token_id": 0,
                "dropout": 0.0,
                "eos_token_id": 2,
                "hidden_act": "quick_gelu",
                "hidden_size": 512,
                "initializer_factor": 1.0,
                "initializer_range": 0.02,
                "intermediate_size": 2048,
                "layer_norm_eps": 1e-05,
                "max_position_embeddings": 77,
                "num_attention_heads": 8,
                "num_hidden_layers": 12,
                "pad_token_id": 1,
                "projection_dim": 512,
                "vocab_size": 49408,
            },
        ),
    ),
    fixed={"dropout": 0.0},
)
