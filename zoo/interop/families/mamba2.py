"""Mamba-2: Dao and Gu 2024. Layers of a state space mixer alone, each after an RMS norm.

The sum of the residuals has the model's dtype, which transformers, with residual_in_fp32, keeps in float32.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER
from zoo.interop.entries import Field, Head, Plain
from zoo.interop.family import Published
from zoo.interop.rules import Rules, tensor
from zoo.interop.table import decoder_family
from zoo.interop.trial import Padding, Trial, last_token_trial
from zoo.interop.writing import Writing

_MIXER = "decoder.layers.{i}.mixer.forwards"
_OWN = {"step_bias": "dt_bias", "log_a": "A_log", "skip": "D", "gain": "norm.weight"}


class _Heads:
    """The number of heads, which follows from the width inside, and the limits of steps, which there are not."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        mixer, n_heads = spec["decoder"]["layer"]["mixer"], config.integer("num_heads", 128)
        if n_heads * mixer["d_head"] != mixer["expand"] * spec["d_model"]:
            width = f"expand · hidden_size ({mixer['expand'] * spec['d_model']})"
            config.refuse("num_heads", f"times head_dim ({mixer['d_head']}) must be {width}, got {n_heads}")
        limits = [0.0, float("inf")]
        config.only(
            "time_step_limit", limits, tuple(limits), [0.0, "Infinity"], [0.0, {"__float__": "Infinity"}]
        )

    def written(self, spec: Any) -> Plain:
        mixer = spec.decoder.each_layer()[0].mixer
        return {"num_heads": mixer.expand * spec.d_model // mixer.d_head}


def _further(spec: Any, layer: str) -> Rules:
    return [rule for ours, its in _OWN.items() for rule in tensor(f"{_MIXER}.{ours}", f"{layer}.mixer.{its}")]


def _trial(spec: Any, padding: Padding, random: torch.Generator) -> Trial:
    """With biases not padded on the left, where the reference's convolution sees the biases of padding."""
    is_seen = padding == "left" and spec.decoder.each_layer()[0].mixer.bias
    return last_token_trial(spec, "none" if is_seen else padding, random)


FAMILY = decoder_family(
    "mamba2",
    GATED_DECODER.sibling(
        parts={
            "position": {"type": "none"},
            "decoder": {
                "layer": {"self_attention": None, "mixer": {"type": "mamba2"}, "ffn": {"type": "none"}}
            },
        },
        without=(
            "padding_id",
            "n_heads",
            "n_kv_heads",
            "d_k",
            "attention_dropout",
            "d_ff",
            "activation",
            "position",
        ),
        fields={
            "head": Head("Mamba2", suffixes=("ForCausalLM", "Model")),
            "vocab_size": 32768,
            "n_layers": 64,
            "std": 0.1,
            "eps": Field("layer.norm.eps", "layer_norm_epsilon", 1e-5, also=("layer.mixer.eps",)),
            "d_state": Field("layer.mixer.d_state", "state_size", 128),
            "d_head": Field("layer.mixer.d_head", "head_dim", 64),
            "expand": Field("layer.mixer.expand", "expand", 2),
            "n_groups": Field("layer.mixer.n_groups", "n_groups", 8),
            "kernel_size": Field("layer.mixer.kernel_size", "conv_kernel", 4),
            "bias": Field("layer.mixer.bias", "use_bias", False),
            "convolution_bias": Field("layer.mixer.convolution_bias", "use_conv_bias", True),
            "min_step": Field("layer.mixer.min_step", "time_step_min", 1e-3),
            "max_step": Field("layer.mixer.max_step", "time_step_max", 0.1),
            "heads": _Heads(),
        },
        tensors={
            "tokens": "embeddings",
            "decoder.final_norm": "norm_f",
            "layer.layout.norms.0": "norm",
            "layer.mixer.forwards.input": "mixer.in_proj",
            "layer.mixer.forwards.convolution": "mixer.conv1d",
            "layer.mixer.forwards.output": "mixer.out_proj",
        },
        prefix="backbone.",
        further=_further,
    ),
    fixed={"hidden_act": ("silu", "swish")},
    bookkeeping=(
        "chunk_size",  # how it is computed
        "norm_before_gate",  # of the authors' code; transformers gates before it normalises, whatever it says
        "rescale_prenorm_residual",  # how weights begin
        "residual_in_fp32",  # the same in float32
        "rms_norm",
        "time_step_floor",  # how weights begin
        "time_step_rank",  # nothing reads it
    ),
    writing=Writing(end=2, start=0),
    trial=_trial,
    small={
        "vocab_size": 31,
        "hidden_size": 12,
        "num_hidden_layers": 2,
        "num_heads": 6,
        "head_dim": 4,
        "state_size": 5,
        "n_groups": 3,
    },
    examples=(
        {"tie_word_embeddings": True},
        {
            "use_bias": True,
            "use_conv_bias": False,
            "conv_kernel": 3,
            "n_groups": 1,
            "layer_norm_epsilon": 1e-3,
        },
        {"num_hidden_layers": 1, "expand": 3, "num_heads": 4, "head_dim": 9, "n_groups": 2, "chunk_size": 3},
    ),
    published=(
        Published(
            source="huggingface.co/AntonV/mamba2-130m-hf",
            config={
                "bos_token_id": 0,
                "chunk_size": 256,
                "conv_kernel": 4,
                "eos_token_id": 0,
                "expand": 2,
                "head_dim": 64,
                "hidden_act": "silu",
                "hidden_size": 768,
                "initializer_range": 0.1,
                "layer_norm_epsilon": 1e-05,
                "n_groups": 1,
                "norm_before_gate": True,
                "num_heads": 24,
                "num_hidden_layers": 24,
                "pad_token_id": 0,
                "rescale_prenorm_residual": False,
                "residual_in_fp32": True,
                "rms_norm": True,
                "state_size": 128,
                "tie_word_embeddings": True,
                "time_step_floor": 0.0001,
                "time_step_limit": [0.0, float("inf")],
                "time_step_max": 0.1,
                "time_step_min": 0.001,
                "time_step_rank": 48,
                "torch_dtype": "float32",
                "use_bias": False,
                "use_cache": True,
                "use_conv_bias": True,
                "vocab_size": 50288,
            },
        ),
    ),
)
