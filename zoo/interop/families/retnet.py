"""RetNet: Sun et al. 2023, in the format of flash-linear-attention, whose authors published trained ones.

transformers has no RetNet. The reference is a slow model by the paper's formulas, zoo/interop/references/retnet.py;
live models are of its classes too, and folders are those that flash-linear-attention reads and writes. The authors' own
library, torchscale, has no format of a folder, and turns queries and keys by other speeds.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER
from zoo.interop.entries import Field, Head, Plain
from zoo.interop.family import Published
from zoo.interop.rules import Rules, Split, either, tensor
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

_MOST_KEYS = 256  # of a head, which flash-linear-attention turns at once


class _Heads:
    """The sizes of a head's keys and values, which follow from shares of the model's width."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        mixer, d_model = spec["decoder"]["layer"]["mixer"], spec["d_model"]
        n_heads = mixer["n_heads"]
        for name, key, default in (("expand_k", "d_k", 1.0), ("expand_v", "d_v", 2.0)):
            share = config.number(name, default)
            width = round(share * d_model)
            if not math.isclose(width, share * d_model) or width % n_heads:
                text = f"times hidden_size ({d_model}) must be a multiple of num_heads ({n_heads})"
                config.refuse(name, f"{text}, got {share:g}")
            mixer[key] = width // n_heads
        if mixer["d_k"] > _MOST_KEYS:
            config.refuse(
                "num_heads", f"heads of {mixer['d_k']} keys are too large, at most {_MOST_KEYS} can be"
            )
        config.only("num_kv_heads", None, n_heads)

    def written(self, spec: Any) -> Plain:
        mixer = spec.decoder.each_layer()[0].mixer
        shares = [mixer.n_heads * size / spec.d_model for size in mixer.head_sizes(spec.d_model)]
        return dict(zip(("expand_k", "expand_v"), shares, strict=True))


class _Width:
    """The width inside a network, which follows from a share where it is not given."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        given = config.integer("intermediate_size", None)
        ratio = 4.0 if config.value("hidden_ratio", 2) is None else config.number("hidden_ratio", 2.0)
        width = math.ceil(int(spec["d_model"] * ratio * 2 / 3) / 256) * 256
        spec["decoder"]["layer"]["ffn"]["d_ff"] = width if given is None else given

    def written(self, spec: Any) -> Plain:
        return {"intermediate_size": spec.decoder.each_layer()[0].ffn.d_ff}


def _further(spec: Any, layer: str) -> Rules:
    ours = "decoder.layers.{i}"
    gate, inner = f"{ours}.ffn.gate.weight", f"{ours}.ffn.inner.weight"
    gate_proj, up_proj = f"{layer}.mlp.gate_proj.weight", f"{layer}.mlp.up_proj.weight"
    return [
        *tensor(f"{ours}.mixer.forwards.gain", f"{layer}.attn.g_norm_swish_gate.weight"),
        *either(
            [*tensor(gate, gate_proj), *tensor(inner, up_proj)],
            tensor((gate, inner), gate_proj, Split(2)),  # as it was written until 2025
        ),
    ]


FAMILY = decoder_family(
    "retnet",
    GATED_DECODER.sibling(
        parts={
            "position": {"type": "none"},
            "decoder": {
                "layer": {
                    "norm": {"casts_before_gain": False},
                    "self_attention": None,
                    "mixer": {"type": "retention", "pairing": "half", "norm": "rms_norm"},
                    "ffn": {"activation": "silu"},
                }
            },
        },
        without=("n_kv_heads", "d_k", "attention_dropout", "d_ff", "activation", "position"),
        fields={
            "head": Head("RetNet", suffixes=("ForCausalLM", "Model")),
            "d_model": 2048,
            "n_layers": 24,
            "n_heads": Field("layer.mixer.n_heads", "num_heads", 8),
            "eps": Field("layer.norm.eps", "norm_eps", 1e-6, also=("layer.mixer.eps",)),
            "gain": Field("layer.mixer.gain", "elementwise_affine", True),
            "heads": _Heads(),
            "width": _Width(),
        },
        tensors={
            "tokens": "embeddings",
            "layer.layout.norms.0": "attn_norm",
            "layer.layout.norms.1": "mlp_norm",
            "layer.mixer.forwards.query": "attn.q_proj",
            "layer.mixer.forwards.key": "attn.k_proj",
            "layer.mixer.forwards.value": "attn.v_proj",
            "layer.mixer.forwards.gate": "attn.g_proj",
            "layer.mixer.forwards.output": "attn.o_proj",
            "layer.ffn.gate": None,
            "layer.ffn.inner": None,
        },
        further=_further,
    ),
    library="zoo.interop.references.retnet",
    fixed={
        "attn": (None,),  # layers of attention between
        "attnres_block_size": (None,),
        "feature_map": (None,),
        "hidden_act": ("swish", "silu"),
        "use_output_gate": True,
        "use_short_conv": False,
    },
    bookkeeping=(
        "attn_mode",  # how it is computed
        "conv_size",  # of the convolution that there is not
        "fuse_cross_entropy",
        "fuse_linear_cross_entropy",
        "fuse_norm",
        "fuse_swiglu",
        "max_position_embeddings",  # nothing reads it without layers of attention
        "share_conv_kernel",
        "use_l2warp",  # of the loss
    ),
    renamed=((r"\.g_norm\.weight$", ".g_norm_swish_gate.weight"),),  # its name without fuse_norm
    ignored=(r"\.rotary\.inv_freq$",),
    writing=Writing(end=2, start=1),
    small={
        "vocab_size": 31,
        "hidden_size": 12,
        "intermediate_size": 19,
        "num_hidden_layers": 2,
        "num_heads": 3,
    },
    examples=(
        {"tie_word_embeddings": True, "num_kv_heads": 3},
        {"expand_v": 1.75, "elementwise_affine": False, "norm_eps": 1e-3, "pad_token_id": 3},
        {
            "num_hidden_layers": 1,
            "num_heads": 2,
            "expand_k": 2.0,
            "expand_v": 0.5,
            "intermediate_size": None,
            "hidden_ratio": 3,
            "fuse_norm": False,
        },
    ),
    published=(
        Published(
            source="huggingface.co/fla-hub/retnet-1.3B-100B",
            config={
                "architectures": ["RetNetForCausalLM"],
                "attn_mode": "fused_chunk",
                "bos_token_id": 1,
                "elementwise_affine": True,
                "eos_token_id": 2,
                "expand_k": 1,
                "expand_v": 2,
                "fuse_cross_entropy": True,
                "fuse_norm": True,
                "hidden_act": "swish",
                "hidden_ratio": 2,
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": None,
                "max_position_embeddings": 2048,
                "norm_eps": 1e-06,
                "num_heads": 8,
                "num_hidden_layers": 24,
                "num_kv_heads": None,
                "tie_word_embeddings": False,
                "use_cache": True,
                "use_output_gate": True,
                "use_short_conv": False,
                "vocab_size": 32000,
            },
        ),
    ),
)
