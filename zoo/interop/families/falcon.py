"""Falcon: Almazrouei et al. 2023. Attention and network side by side, few heads of keys; Falcon RW is of older forms.

Falcon RW (Penedo et al. 2023) has one sublayer after the other, biases, and ALiBi by the places of keys.
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


class _Positions(Rotary):
    """Rotary positions, or ALiBi, beside which transformers reads no field of rotary ones."""

    def read(self, config: Config, spec: Plain) -> None:
        super().read(config, spec)
        if config.boolean("alibi", False):
            spec["position"] = {"type": "key_alibi"}

    def written(self, spec: Any) -> Plain:
        if spec.position.type == "key_alibi":
            return {"alibi": True}
        return {"alibi": False, **super().written(spec)}


class _Architecture:
    """The heads of keys, whether attention and network stand side by side, and whether they then read one norm."""

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
        elif not config.boolean("parallel_attn", True):
            config.refuse("parallel_attn", "false cannot be represented with new_decoder_architecture")
        if n_norms not in (None, 1, 2):
            config.refuse("num_ln_in_parallel_attn", f"must be 1 or 2, got {n_norms}")
        layer = spec["decoder"]["layer"]
        layer["self_attention"]["n_kv_heads"] = n_kv_heads
        if config.boolean("parallel_attn", True):
            layer["layout"], where = (
                {"type": "parallel", "shared_norm": n_norms == 1},
                "where sublayers are parallel",
            )
        else:  # there attention_dropout is also that of the first sublayer
            layer["dropout"], where = layer["self_attention"]["dropout"], "where attention_dropout is another"
        dropout = config.number("hidden_dropout", 0.0)
        if dropout != layer["dropout"]:
            config.refuse(
                "hidden_dropout", f"{dropout} cannot be represented {where}; only {layer['dropout']} can"
            )

    def written(self, spec: Any) -> Plain:
        layer = spec.decoder.each_layer()[0]
        n_heads, n_kv_heads = layer.self_attention.n_heads, layer.self_attention.n_kv_heads
        is_parallel = layer.layout.type == "parallel"
        n_norms = 2 if is_parallel and not layer.layout.shared_norm else 1
        is_old = not is_parallel or (n_norms == 1 and n_kv_heads in (1, n_heads))
        return {
            "new_decoder_architecture": not is_old,
            "multi_query": n_kv_heads == 1,
            "num_kv_heads": n_kv_heads,
            "num_ln_in_parallel_attn": n_norms,
            "parallel_attn": is_parallel,
            "hidden_dropout": layer.dropout,
        }


def _by_group(spec: Any) -> SplitHeads:
    n_heads, n_kv_heads = (at(spec, f"layer.self_attention.{name}") for name in ("n_heads", "n_kv_heads"))
    return SplitHeads(n_kv_heads, (n_heads // n_kv_heads, 1, 1))


def _norms(spec: Any, layer: str) -> Rules:
    layout, theirs = at(spec, "layer.layout"), ["input_layernorm", "post_attention_layernorm"]
    if layout.type == "parallel":
        theirs = ["input_layernorm"] if layout.shared_norm else ["ln_attn", "ln_mlp"]
    ours = "decoder.layers.{i}.layout.norms"
    return [rule for i, name in enumerate(theirs) for rule in module(f"{ours}.{i}", f"{layer}.{name}")]


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
        "position": _Positions(),
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
    fixed={"apply_residual_connection_post_layernorm": False},
    attention="sdpa",  # by eager attention transformers adds the biases of ALiBi twice
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
        {"alibi": True, "parallel_attn": False, "multi_query": False, "bias": True},
        {
            "alibi": True,
            "num_attention_heads": 12,
            "parallel_attn": False,
            "attention_dropout": 0.1,
            "hidden_dropout": 0.1,
        },
        {"alibi": True, "new_decoder_architecture": True, "num_kv_heads": 2, "num_hidden_layers": 1},
        {"parallel_attn": False, "num_hidden_layers": 1, "rope_theta": 30.0},
    ),
    published=(
        Published(
            source="huggingface.co/tiiuae/falcon-rw-1b",
            config={
                "alibi": True,
                "apply_residual_connection_post_layernorm": False,
                "architectures": ["FalconForCausalLM"],
                "attention_dropout": 0.0,
                "bias": True,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_dropout": 0.0,
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "multi_query": False,
                "new_decoder_architecture": False,
                "num_attention_heads": 32,
                "num_hidden_layers": 24,
                "parallel_attn": False,
                "use_cache": True,
                "vocab_size": 50304,
            },
        ),
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
