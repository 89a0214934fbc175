"""GPT-J: Wang and Komatsuzaki 2021. Attention and network side by side after one norm; a part of a head turns."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.interop.config import Config
from zoo.interop.decoders import PLAIN_DECODER
from zoo.interop.entries import Head, Plain, at
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


class _Rotary:
    """The features of a head that turn, said by their number."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        size, d_k = (
            config.integer("rotary_dim", 64),
            at(spec, "d_model") // at(spec, "layer.self_attention.n_heads"),
        )
        if not 0 < size <= d_k or int(d_k * (size / d_k)) != size:
            config.refuse("rotary_dim", f"{size} of the {d_k} features of a head cannot turn")
        spec["position"]["fraction"] = size / d_k

    def written(self, spec: Any) -> Plain:
        d_k = spec.d_model // at(spec, "layer.self_attention.n_heads")
        return {"rotary_dim": int(d_k * spec.position.fraction)}


GPTJ = PLAIN_DECODER.sibling(
    parts={
        "position": {"pairing": "interleaved"},
        "decoder": {"layer": {"layout": {"type": "parallel", "shared_norm": True}}},
        "head": {"bias": True},
    },
    fields={
        "head": Head("GPTJ", suffixes=("ForCausalLM", "Model")),
        "vocab_size": 50400,
        "position": _Rotary(),
    },
    tensors={
        "layer.self_attention.query": "attn.q_proj",
        "layer.self_attention.key": "attn.k_proj",
        "layer.self_attention.value": "attn.v_proj",
        "layer.self_attention.output": "attn.out_proj",
        "layer.ffn.inner": "mlp.fc_in",
        "layer.ffn.outer": "mlp.fc_out",
    },
)

FAMILY = decoder_family(
    "gptj",
    GPTJ,
    fixed={"rotary": True, "scale_attn_weights": True},
    bookkeeping=(
        "n_positions",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
    ),
    ignored=(r"\.attn\.(bias|masked_bias)$",),
    writing=Writing(end=50256, start=50256),
    small={"vocab_size": 31, "n_embd": 48, "n_head": 3, "n_layer": 2, "rotary_dim": 4},
    examples=(
        {},
        {"n_inner": 29, "rotary_dim": 16, "activation_function": "relu", "tie_word_embeddings": True},
        {"n_layer": 1, "layer_norm_epsilon": 1e-3, "attn_pdrop": 0.1, "resid_pdrop": 0.2, "embd_pdrop": 0.3},
    ),
    published=(
        Published(
            source="huggingface.co/EleutherAI/gpt-j-6b",
            config={
                "activation_function": "gelu_new",
                "architectures": ["GPTJForCausalLM"],
                "attn_pdrop": 0.0,
                "bos_token_id": 50256,
                "embd_pdrop": 0.0,
                "eos_token_id": 50256,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "n_embd": 4096,
                "n_head": 16,
                "n_inner": None,
                "n_layer": 28,
                "n_positions": 2048,
                "resid_pdrop": 0.0,
                "rotary": True,
                "rotary_dim": 64,
                "scale_attn_weights": True,
                "tie_word_embeddings": False,
                "use_cache": True,
                "vocab_size": 50400,
            },
        ),
    ),
)
