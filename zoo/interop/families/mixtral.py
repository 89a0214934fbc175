"""Mixtral: Jiang et al. 2024. Mistral with a mixture of experts in place of each gated network.

The live module of transformers 5 holds a layer's experts stacked, gate above up; a folder holds them one by one.
The coefficient of the balancing loss is carried over as it is, although transformers' loss is another one: it counts
each of a token's k experts and looks at all layers at once.
"""

from __future__ import annotations

from functools import partial

from zoo.interop.decoders import SMALL, experts
from zoo.interop.entries import Field, Head, Rotary, Window
from zoo.interop.families.mistral import MISTRAL
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

FAMILY = decoder_family(
    "mixtral",
    MISTRAL.sibling(
        parts={"decoder": {"layer": {"ffn": {"type": "mixture_of_experts", "expert": {"type": "glu"}}}}},
        fields={
            "head": Head("Mixtral"),
            "eps": 1e-5,
            "position": Rotary(base=1e6, max_len=131072),
            "window": Window("sliding_window"),
            "d_ff": Field("layer.ffn.expert.d_ff", "intermediate_size", 14336),
            "activation": Field("layer.ffn.expert.activation", "hidden_act", "silu"),
            "n_experts": Field("layer.ffn.n_experts", "num_local_experts", 8),
            "top_k": Field("layer.ffn.top_k", "num_experts_per_tok", 2),
            "balance": Field("layer.ffn.balance", "router_aux_loss_coef", 0.001),
        },
        further=partial(experts, folder="block_sparse_moe", names=("w1", "w3", "w2")),
    ),
    fixed={"router_jitter_noise": 0.0},
    bookkeeping=("output_router_logits",),
    writing=Writing(end=2, start=1),
    small={**SMALL, "num_local_experts": 5},
    examples=(
        {},
        {
            "num_local_experts": 4,
            "num_experts_per_tok": 3,
            "sliding_window": 4,
            "head_dim": 4,
            "tie_word_embeddings": True,
            "router_aux_loss_coef": 0.02,
            "rms_norm_eps": 1e-3,
        },
        {
            "num_hidden_layers": 1,
            "num_experts_per_tok": 1,
            "hidden_act": "gelu",
            "attention_dropout": 0.1,
        },
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
