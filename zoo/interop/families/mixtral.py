"""Mixtral: Jiang et al. 2024. Mistral with a mixture of experts in place of each gated network.

The live module of transformers 5 holds a layer's experts stacked, gate above up; a folder holds them one by one.
The coefficient of the balancing loss is carried over as it is, although transformers' loss is another one: it counts
each of a token's k experts and looks at all layers at once.
"""

from __future__ import annotations

from typing import Any

from zoo.interop.config import Config
from zoo.interop.family import Family, Published
from zoo.interop.gated_decoder import (
    PREFIX,
    Defaults,
    architectures,
    gated_decoder_config,
    gated_decoder_spec,
    gated_decoder_weights,
    layer_count,
    without_words,
)
from zoo.interop.rules import Rules, Split, Unstack, either, for_each, module, tensor
from zoo.interop.table import windows_of
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing

_DEFAULTS = Defaults(
    vocab_size=32000,
    d_model=4096,
    d_ff=14336,
    n_layers=32,
    n_heads=32,
    n_kv_heads=8,
    eps=1e-5,
    base=1e6,
    max_len=131072,
)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    spec = gated_decoder_spec(
        config,
        _DEFAULTS,
        windows=[config.integer("sliding_window", None)] * layer_count(config, _DEFAULTS),
    )
    layer = spec["decoder"]["layer"]
    layer["ffn"] = {
        "type": "mixture_of_experts",
        "n_experts": config.integer("num_local_experts", 8),
        "top_k": config.integer("num_experts_per_tok", 2),
        "expert": layer["ffn"],
        "normalised": True,
        "balance": config.number("router_aux_loss_coef", 0.001),
    }
    return spec


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    ffn = spec.decoder.each_layer()[0].ffn
    return {
        **gated_decoder_config(spec, "MixtralForCausalLM"),
        "sliding_window": windows_of(spec)[0],
        "num_local_experts": ffn.n_experts,
        "num_experts_per_tok": ffn.top_k,
        "router_aux_loss_coef": ffn.balance,
    }


def weights(spec: Any) -> Rules:
    """Which tensors are which."""
    n = spec.decoder.each_layer()[0].ffn.n_experts
    theirs = "layers.{i}" if spec.head.type == "none" else f"{PREFIX}layers.{{i}}"
    ours, disk, live = "decoder.layers.{i}.ffn", f"{theirs}.block_sparse_moe", f"{theirs}.mlp"
    experts = [f"{ours}.experts.{e}" for e in range(n)]
    on_disk = [
        *module(f"{ours}.router", f"{disk}.gate"),
        *for_each(
            "e",
            n,
            module(f"{ours}.experts.{{e}}.gate", f"{disk}.experts.{{e}}.w1"),
            module(f"{ours}.experts.{{e}}.inner", f"{disk}.experts.{{e}}.w3"),
            module(f"{ours}.experts.{{e}}.outer", f"{disk}.experts.{{e}}.w2"),
        ),
    ]
    in_memory = [
        *module(f"{ours}.router", f"{live}.gate"),
        *tensor(
            tuple(f"{expert}.{part}.weight" for expert in experts for part in ("gate", "inner")),
            f"{live}.experts.gate_up_proj",
            Unstack(n),
            Split(2),
        ),
        *tensor(
            tuple(f"{expert}.outer.weight" for expert in experts), f"{live}.experts.down_proj", Unstack(n)
        ),
    ]
    return gated_decoder_weights(spec, either(on_disk, in_memory))


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "num_local_experts": 5,
}

FAMILY = Family(
    name="mixtral",
    architectures=architectures("Mixtral"),
    to_spec=to_spec,
    to_config=to_config,
    weights=weights,
    fixed={"router_jitter_noise": 0.0},
    bookkeeping=("output_router_logits",),
    prefix=PREFIX,
    trial=last_token_trial,
    ignored=(r"rotary_emb\.inv_freq$",),
    writing=Writing(end=2, start=1),
    examples=(
        _SMALL,
        {
            **_SMALL,
            "num_local_experts": 4,
            "num_experts_per_tok": 3,
            "sliding_window": 4,
            "head_dim": 4,
            "tie_word_embeddings": True,
            "router_aux_loss_coef": 0.02,
            "rms_norm_eps": 1e-3,
        },
        {
            **_SMALL,
            "num_hidden_layers": 1,
            "num_experts_per_tok": 1,
            "hidden_act": "gelu",
            "attention_dropout": 0.1,
        },
        *without_words("Mixtral", _SMALL),
    ),
    published=(
        Published(
            preset="mixtral_8x7b",
            source="huggingface.co/mistralai/Mixtral-8x7B-v0.1",
            config={
                "architectures": ["MixtralForCausalLM"],
                "attention_dropout": 0.0,
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_act": "silu",
                "hidden_size": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 14336,
                "max_position_embeddings": 32768,
                "num_attention_heads": 32,
                "num_experts_per_tok": 2,
                "num_hidden_layers": 32,
                "num_key_value_heads": 8,
                "num_local_experts": 8,
                "output_router_logits": False,
                "rms_norm_eps": 1e-05,
                "rope_theta": 1000000.0,
                "router_aux_loss_coef": 0.02,
                "sliding_window": None,
                "tie_word_embeddings": False,
                "torch_dtype": "bfloat16",
                "transformers_version": "4.36.0.dev0",
                "use_cache": True,
                "vocab_size": 32000,
            },
        ),
    ),
)
