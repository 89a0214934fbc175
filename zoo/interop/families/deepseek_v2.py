"""DeepSeek-V2 and V2-Lite: DeepSeek-AI 2024. Latent attention, and experts chosen by a softmax, in groups or among all.

transformers reads norm_topk_prob nowhere: weights stay shares of all.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.entries import Field, Head, PerLayer, Plain, Rotary
from zoo.interop.families.deepseek_v3 import (
    BOOKKEEPING,
    LATENT_DECODER,
    SMALL_LATENT,
    YARN,
    layer_fields,
    layers,
    query_named,
)
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class _Groups:
    """How experts are chosen: among those of the best groups, or among all, which is one group."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        network, method = spec["decoder"]["layer"]["ffn"], config.text("topk_method", "greedy")
        n_groups, top_groups = config.integer("n_group", None) or 1, config.integer("topk_group", None) or 1
        network["top_k"] = (
            config.integer("num_experts_per_tok", None) or 1
        )  # with null transformers runs nothing
        if method not in ("greedy", "group_limited_greedy"):
            config.refuse("topk_method", f"must be greedy or group_limited_greedy, got '{method}'")
        if method == "group_limited_greedy":
            network |= {"n_groups": n_groups, "top_groups": top_groups}

    def written(self, spec: Any) -> Plain:
        networks = [each.ffn for each in spec.decoder.each_layer() if each.ffn.type == "grouped_experts"]
        if not networks:
            return {}
        network = networks[0]
        fields = {
            "num_experts_per_tok": network.top_k,
            "n_group": network.n_groups,
            "topk_group": network.top_groups,
        }
        return {**fields, "topk_method": "greedy" if network.n_groups == 1 else "group_limited_greedy"}


_TABLE = LATENT_DECODER.sibling(
    parts={"decoder": {"layer": {"ffn": {"normalised": False}}}},
    fields={
        "head": Head("DeepseekV2", suffixes=("ForCausalLM", "Model")),
        "vocab_size": 102400,
        "position": Rotary(max_len=2048),
        "d_ff": Field("layer.ffn.expert.d_ff", "moe_intermediate_size", 1407),
        "n_experts": Field("layer.ffn.n_experts", "n_routed_experts", 64),
        "factor": 1.0,
        "groups": _Groups(),
        "layers": PerLayer(partial(layers, first=0, d_ff=11008, d_expert=1407), layer_fields),
    },
)

FAMILY = decoder_family(
    "deepseek_v2",
    _TABLE,
    weights=partial(query_named, _TABLE),
    fixed={"mlp_bias": False, "moe_layer_freq": 1, "scoring_func": "softmax"},
    bookkeeping=(*BOOKKEEPING, "norm_topk_prob"),
    writing=Writing(end=2, start=1),
    small=SMALL_LATENT,
    examples=(
        {"first_k_dense_replace": 1, "q_lora_rank": None},
        {
            "topk_method": "group_limited_greedy",
            "n_group": 3,
            "topk_group": 2,
            "routed_scaling_factor": 2.3,
            "attention_bias": True,
            "rms_norm_eps": 1e-3,
            "rope_scaling": YARN,
        },
        {"num_hidden_layers": 1, "tie_word_embeddings": True, "n_shared_experts": 1, "hidden_act": "gelu"},
    ),
    published=(
        Published(
            source="huggingface.co/deepseek-ai/DeepSeek-V2-Lite",
            config={
                "architectures": ["DeepseekV2ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "aux_loss_alpha": 0.001,
                "bos_token_id": 100000,
                "eos_token_id": 100001,
                "first_k_dense_replace": 1,
                "hidden_act": "silu",
                "hidden_size": 2048,
                "initializer_range": 0.02,
                "intermediate_size": 10944,
                "kv_lora_rank": 512,
                "max_position_embeddings": 163840,
                "moe_intermediate_size": 1408,
                "moe_layer_freq": 1,
                "n_group": 1,
                "n_routed_experts": 64,
                "n_shared_experts": 2,
                "norm_topk_prob": False,
                "num_attention_heads": 16,
                "num_experts_per_tok": 6,
                "num_hidden_layers": 27,
                "num_key_value_heads": 16,
                "pretraining_tp": 1,
                "q_lora_rank": None,
                "qk_nope_head_dim": 128,
                "qk_rope_head_dim": 64,
                "rms_norm_eps": 1e-06,
                "rope_scaling": {
                    "beta_fast": 32,
                    "beta_slow": 1,
                    "factor": 40,
                    "mscale": 0.707,
                    "mscale_all_dim": 0.707,
                    "original_max_position_embeddings": 4096,
                    "type": "yarn",
                },
                "rope_theta": 10000,
                "routed_scaling_factor": 1.0,
                "scoring_func": "softmax",
                "seq_aux": True,
                "tie_word_embeddings": False,
                "topk_group": 1,
                "topk_method": "greedy",
                "use_cache": True,
                "v_head_dim": 128,
                "vocab_size": 102400,
            },
        ),
    ),
)
