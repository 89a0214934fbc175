"""Falcon 7B, 40B, 180B and Falcon 2: Almazrouei et al. 2023. Attention and network side by side, few heads of keys.

Falcon RW, with ALiBi, whose biases its code rounds to bfloat16, and one sublayer after the other, is refused by name.
"""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import PLAIN_DECODER, QKV
from zoo.interop.entries import Field, Head, Plain, Rotary, at
from zoo.interop.family import Published
from zoo.interop.rules import Rules, SplitHeads, module
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class _Architecture:
    """The heads of keys, and whether attention and network read one norm: two forms, by new_decoder_architecture."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        n_heads = at(spec, "layer.self_attention.n_heads")
        n_kv_heads = config.integer("num_kv_heads", None) or n_heads
        has_one, n_norms = (
            config.boolean("multi_query", True),
            config.integer("num_ln_in_parallel_attn", None),
        )
        if not config.boolean("new_decoder_architecture", False):
            n_kv_heads, n_norms = 1 if has_one else n_heads, n_norms or 1
        if n_norms not in (None, 1, 2):
            config.refuse("num_ln_in_parallel_attn", f"must be 1 or 2, got {n_norms}")
        spec["decoder"]["layer"]["layout"] = {"type": "parallel", "shared_norm": n_norms == 1}
        spec["decoder"]["layer"]["self_attention"]["n_kv_heads"] = n_kv_heads

    def written(self, spec: Any) -> Plain:
        layer = spec.decoder.each_layer()[0]
        n_heads, n_kv_heads = layer.self_attention.n_heads, layer.self_attention.n_kv_heads
        is_old = layer.layout.shared_norm and n_kv_heads in (1, n_heads)
        return {
            "new_decoder_architecture": not is_old,
            "multi_query": n_kv_heads == 1,
            "num_kv_heads": n_kv_heads,
            "num_ln_in_parallel_attn": 1 if layer.layout.shared_norm else 2,
        }


def _by_group(spec: Any) -> SplitHeads:
    n_heads, n_kv_heads = (at(spec, f"layer.self_attention.{name}") for name in ("n_heads", "n_kv_heads"))
    return SplitHeads(n_kv_heads, (n_heads // n_kv_heads, 1, 1))


def _norms(spec: Any, layer: str) -> Rules:
    ours = "decoder.layers.{i}.layout.norms"
    if at(spec, "layer.layout.shared_norm"):
        return module(f"{ours}.0", f"{layer}.input_layernorm")
    return [*module(f"{ours}.0", f"{layer}.ln_attn"), *module(f"{ours}.1", f"{layer}.ln_mlp")]


_TABLE = PLAIN_DECODER.sibling(
    parts={"decoder": {"layer": {"dropout": 0.0}}},
    without=("dropout", "input_dropout"),
    fields={
        "head": Head("Falcon", True, ("ForCausalLM", "Model")),
        "vocab_size": 65024,
        "d_model": Field("d_model", "hidden_size", 4544, alias="n_embed"),
        "n_layers": ("num_hidden_layers", 32),
        "n_heads": ("num_attention_heads", 71),
        "d_ff": ("ffn_hidden_size", None),
        "activation": ("activation", "gelu"),
        "attention_dropout": ("attention_dropout", 0.0),
        "bias": Field("layer.self_attention.bias", "bias", False, also=("layer.ffn.bias",)),
        "position": Rotary(),
        "architecture": _Architecture(),
    },
    tensors={
        "tokens": "word_embeddings",
        "layer.layout.norms.0": None,
        "layer.layout.norms.1": None,
        QKV: ("self_attention.query_key_value", _by_group),
        "layer.self_attention.output": "self_attention.dense",
        "layer.ffn.inner": "mlp.dense_h_to_4h",
        "layer.ffn.outer": "mlp.dense_4h_to_h",
    },
    further=_norms,
)
FAMILY = decoder_family(
    "falcon",
    _TABLE,
    fixed={
        "alibi": False,
        "apply_residual_connection_post_layernorm": False,
        "hidden_dropout": 0.0,  # of the sum of both sublayers
        "parallel_attn": True,
    },
    writing=Writing(end=11, start=11),
    small={"vocab_size": 31, "hidden_size": 24, "num_attention_heads": 6, "num_hidden_layers": 2},
    examples=(
        {},
        {"new_decoder_architecture": True, "num_kv_heads": 2, "bias": True, "ffn_hidden_size": 29},
        {
            "new_decoder_architecture": True,
            "num_kv_heads": 3,
            "num_ln_in_parallel_attn": 1,
            "rope_theta": 30.0,
        },
        {
            "num_hidden_layers": 1,
            "multi_query": False,
            "tie_word_embeddings": False,
            "activation": "relu",
            "layer_norm_epsilon": 1e-3,
            "attention_dropout": 0.1,
        },
    ),
    published=(
        Published(
            source="huggingface.co/tiiuae/falcon-7b",
            config={
                "alibi": False,
                "apply_residual_connection_post_layernorm": False,
                "architectures": ["FalconForCausalLM"],
                "attention_dropout": 0.0,
                "bias": False,
                "bos_token_id": 11,
                "eos_token_id": 11,
                "hidden_dropout": 0.0,
                "hidden_size": 4544,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "multi_query": True,
                "new_decoder_architecture": False,
                "num_attention_heads": 71,
                "num_hidden_layers": 32,
                "parallel_attn": True,
                "use_cache": True,
                "vocab_size": 65024,
            },
        ),
        Published(
            source="huggingface.co/tiiuae/falcon-40b",
            config={
                "alibi": False,
                "apply_residual_connection_post_layernorm": False,
                "architectures": ["FalconForCausalLM"],
                "attention_dropout": 0.0,
                "bias": False,
                "bos_token_id": 11,
                "eos_token_id": 11,
                "hidden_dropout": 0.0,
                "hidden_size": 8192,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "new_decoder_architecture": True,
                "num_attention_heads": 128,
                "num_hidden_layers": 60,
                "num_kv_heads": 8,
                "parallel_attn": True,
                "use_cache": True,
                "vocab_size": 65024,
            },
        ),
    ),
)
