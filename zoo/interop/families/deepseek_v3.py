"""DeepSeek-V3 and R1: DeepSeek-AI 2024. Latent attention, and experts in groups, chosen by corrected sigmoids.

The published folders hold weights in eight bits, which is refused by quantization_config; copies in bfloat16 are read.
The module that predicts a second token, layer 61 of the folder, is left out, as transformers does.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import GATED_DECODER, SMALL, experts
from zoo.interop.entries import Choice, Field, Head, PerLayer, Plain, Rotary, at
from zoo.interop.family import Published
from zoo.interop.rules import Rules, module, tensor
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class Sizes:
    """The sizes of a latent attention, and its scale, to which YaRN with mscale_all_dim adds."""

    order: ClassVar[int] = 2
    _names: ClassVar[dict[str, tuple[str, int]]] = {
        "d_latent": ("kv_lora_rank", 512),
        "d_content": ("qk_nope_head_dim", 128),
        "d_rotated": ("qk_rope_head_dim", 64),
        "d_v": ("v_head_dim", 128),
    }

    def read(self, config: Config, spec: Plain) -> None:
        attention = spec["decoder"]["layer"]["self_attention"]
        config.only("num_key_value_heads", attention["n_heads"], None)
        for ours, (theirs, default) in self._names.items():
            attention[ours] = config.integer(theirs, default)
        attention["d_query_latent"] = config.nullable_integer("q_lora_rank", 1536)
        said = config.value("rope_parameters", None) or config.value("rope_scaling", None) or {}
        kind, m = said.get("rope_type", said.get("type", "default")), said.get("mscale_all_dim")
        if kind != "default" and m:
            growth = max(1.0, 0.1 * m * math.log(said["factor"]) + 1) if said["factor"] > 1 else 1.0
            attention["scale"] = (attention["d_content"] + attention["d_rotated"]) ** -0.5 * growth**2

    def written(self, spec: Any) -> Plain:
        attention = spec.decoder.each_layer()[0].self_attention
        sizes = {theirs: getattr(attention, ours) for ours, (theirs, _) in self._names.items()}
        return {**sizes, "q_lora_rank": attention.d_query_latent, "num_key_value_heads": attention.n_heads}


def layers(
    config: Config, n_layers: int, layer: Plain, *, first: int, d_ff: int, d_expert: int
) -> list[Plain]:
    """The first layers have one network; the numbers are transformers' defaults."""
    n_dense = config.integer("first_k_dense_replace", first)
    shared = config.integer("n_shared_experts", 1 if first else 2) * config.integer(
        "moe_intermediate_size", d_expert
    )
    expert = layer["ffn"]["expert"]
    dense = {**expert, "d_ff": config.integer("intermediate_size", d_ff)}
    mixture = {**layer["ffn"], "shared_expert": {**expert, "d_ff": shared}}
    return [{"ffn": dense if i < n_dense else mixture} for i in range(n_layers)]


def layer_fields(spec: Any) -> Plain:
    """The fields that say it of a spec."""
    networks = [layer.ffn for layer in spec.decoder.each_layer()]
    n_dense = next((i for i, each in enumerate(networks) if each.type == "grouped_experts"), len(networks))
    fields: Plain = {"first_k_dense_replace": n_dense}
    if n_dense:
        fields["intermediate_size"] = networks[0].d_ff
    if n_dense < len(networks):
        fields["n_shared_experts"] = networks[n_dense].shared_expert.d_ff // networks[n_dense].expert.d_ff
    return fields


def further(spec: Any, layer: str) -> Rules:
    """A layer's experts, the shared one among them, and the corrections of the others."""
    ours = "decoder.layers.{i}.ffn"
    rules = tensor(f"{ours}.correction", f"{layer}.mlp.gate.e_score_correction_bias")
    for mine, its in {"gate": "gate_proj", "inner": "up_proj", "outer": "down_proj"}.items():
        rules += module(f"{ours}.shared_expert.{mine}", f"{layer}.mlp.shared_experts.{its}")
    return [*rules, *experts(spec, layer, folder="mlp", names=("gate_proj", "up_proj", "down_proj"))]


LATENT_DECODER = GATED_DECODER.sibling(
    parts={
        "position": {"pairing": "interleaved"},
        "decoder": {
            "layer": {
                "self_attention": {"type": "latent", "norm": {"type": "rms_norm", "casts_before_gain": True}},
                "ffn": {
                    "type": "grouped_experts",
                    "expert": {"type": "glu"},
                    "shared_expert": {"type": "glu"},
                    "balance": 0.0,
                },
            }
        },
    },
    without=("n_kv_heads", "d_k"),
    fields={
        "sizes": Sizes(),
        "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
        "activation": Field("layer.ffn.expert.activation", "hidden_act", "silu"),
        "factor": Field("layer.ffn.factor", "routed_scaling_factor", 2.5),
    },
    tensors={
        "layer.self_attention.key": None,
        "layer.self_attention.value": None,
        "layer.self_attention.key_norm": None,
        "layer.self_attention.to_latent": "self_attn.kv_a_proj_with_mqa",
        "layer.self_attention.latent_norm": "self_attn.kv_a_layernorm",
        "layer.self_attention.key_value": "self_attn.kv_b_proj",
        "layer.self_attention.to_query_latent": "self_attn.q_a_proj",
        "layer.self_attention.query_norm": "self_attn.q_a_layernorm",
    },
    further=further,
)
"""What both versions share, but for the queries' matrix, whose name hangs on how they are made."""


def query_named(table: Any, spec: Any) -> Rules:
    """The rules of a table, the queries' matrix named by whether they are made of a vector of their own."""
    is_direct = at(spec, "layer.self_attention.d_query_latent") is None
    name = "self_attn.q_proj" if is_direct else "self_attn.q_b_proj"
    rules: Rules = table.sibling(tensors={"layer.self_attention.query": name}).weights(spec)
    return rules


_TABLE = LATENT_DECODER.sibling(
    parts={"decoder": {"layer": {"ffn": {"score": "sigmoid", "corrected": True, "n_best": 2}}}},
    fields={
        "head": Head("DeepseekV3", suffixes=("ForCausalLM", "Model")),
        "vocab_size": 129280,
        "d_model": 7168,
        "n_layers": 61,
        "n_heads": 128,
        "position": Rotary(max_len=4096),
        "pairing": Choice(
            "position.pairing", "rope_interleave", True, ((True, "interleaved"), (False, "half"))
        ),
        "d_ff": Field("layer.ffn.expert.d_ff", "moe_intermediate_size", 2048),
        "n_experts": Field("layer.ffn.n_experts", "n_routed_experts", 256),
        "top_k": Field("layer.ffn.top_k", "num_experts_per_tok", 8),
        "n_groups": Field("layer.ffn.n_groups", "n_group", 8),
        "top_groups": Field("layer.ffn.top_groups", "topk_group", 4),
        "normalised": Field("layer.ffn.normalised", "norm_topk_prob", True),
        "layers": PerLayer(partial(layers, first=3, d_ff=18432, d_expert=2048), layer_fields),
    },
)
SMALL_LATENT = {
    **{key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "kv_lora_rank": 10,  # even, as the sum of the next two, for transformers pairs numbers in place
    "q_lora_rank": 5,
    "qk_nope_head_dim": 2,
    "qk_rope_head_dim": 4,
    "v_head_dim": 6,
    "n_routed_experts": 6,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 8,
    "first_k_dense_replace": 0,
}
YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 16,
    "beta_fast": 4.0,
    "beta_slow": 0.5,
    "mscale": 1.0,
    "mscale_all_dim": 0.7,
}
BOOKKEEPING = (
    "aux_loss_alpha",  # of a loss that transformers' code has not, as seq_aux
    "ep_size",
    "head_dim",  # it is qk_rope_head_dim
    "num_mtp_layers",
    "num_nextn_predict_layers",
    "output_router_logits",
    "pretraining_tp",
    "qk_head_dim",
    "seq_aux",
)

FAMILY = decoder_family(
    "deepseek_v3",
    _TABLE,
    weights=partial(query_named, _TABLE),
    fixed={"moe_layer_freq": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    bookkeeping=BOOKKEEPING,
    ignored=(r"rotary_emb\.inv_freq$", r"^model\.layers\.61\."),
    writing=Writing(end=1, start=0),
    small={**SMALL_LATENT, "n_group": 3, "topk_group": 2},
    examples=(
        {"first_k_dense_replace": 1},
        {
            "q_lora_rank": None,
            "rope_interleave": False,
            "attention_bias": True,
            "norm_topk_prob": False,
            "n_shared_experts": 2,
            "rms_norm_eps": 1e-3,
            "rope_scaling": YARN,
        },
        {"num_hidden_layers": 1, "tie_word_embeddings": True, "routed_scaling_factor": 1.3},
    ),
    published=(
        Published(
            source="huggingface.co/deepseek-ai/DeepSeek-V3",
            config={
                "architectures": ["DeepseekV3ForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "aux_loss_alpha": 0.001,
                "bos_token_id": 0,
                "eos_token_id": 1,
                "ep_size": 1,
                "first_k_dense_replace": 3,
                "hidden_act": "silu",
                "hidden_size": 7168,
                "initializer_range": 0.02,
                "intermediate_size": 18432,
                "kv_lora_rank": 512,
                "max_position_embeddings": 163840,
                "moe_intermediate_size": 2048,
                "moe_layer_freq": 1,
                "n_group": 8,
                "n_routed_experts": 256,
                "n_shared_experts": 1,
                "norm_topk_prob": True,
                "num_attention_heads": 128,
                "num_experts_per_tok": 8,
                "num_hidden_layers": 61,
                "num_key_value_heads": 128,
                "num_nextn_predict_layers": 1,
                "pretraining_tp": 1,
                "q_lora_rank": 1536,
                "qk_nope_head_dim": 128,
                "qk_rope_head_dim": 64,
                "rms_norm_eps": 1e-06,
                "rope_scaling": {
                    "beta_fast": 32,
                    "beta_slow": 1,
                    "factor": 40,
                    "mscale": 1.0,
                    "mscale_all_dim": 1.0,
                    "original_max_position_embeddings": 4096,
                    "type": "yarn",
                },
                "rope_theta": 10000,
                "routed_scaling_factor": 2.5,
                "scoring_func": "sigmoid",
                "seq_aux": True,
                "tie_word_embeddings": False,
                "topk_group": 4,
                "topk_method": "noaux_tc",
                "use_cache": True,
                "v_head_dim": 128,
                "vocab_size": 129280,
            },
        ),
    ),
)
