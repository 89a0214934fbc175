"""GPT-BigCode: Ben Allal et al. 2023 (SantaCoder), Li et al. 2023 (StarCoder). GPT-2 with one head of keys for all."""

from __future__ import annotations

from typing import Any

from zoo.interop.decoders import PLAIN_DECODER, QKV
from zoo.interop.entries import Choice, Field, Head, at
from zoo.interop.family import Published
from zoo.interop.rules import SplitHeads
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing


def _by_group(spec: Any) -> SplitHeads:
    n_heads, n_kv_heads = (at(spec, f"layer.self_attention.{name}") for name in ("n_heads", "n_kv_heads"))
    return SplitHeads(1, (n_heads, 1, 1)) if n_kv_heads == 1 else SplitHeads(n_heads)


FAMILY = decoder_family(
    "gpt_bigcode",
    PLAIN_DECODER.sibling(
        parts={"position": {"type": "learned"}, "decoder": {"layer": {"self_attention": {"bias": True}}}},
        fields={
            "head": Head("GPTBigCode", True, ("ForCausalLM", "Model")),
            "vocab_size": 50257,
            "n_layers": 12,
            "n_heads": 12,
            "d_model": 768,
            "activation": "gelu_pytorch_tanh",
            "attention_dropout": 0.1,
            "dropout": 0.1,
            "input_dropout": 0.1,
            "position": Field("position.max_len", "n_positions", 1024),
            "n_kv_heads": Choice(
                "layer.self_attention.n_kv_heads", "multi_query", True, ((True, 1), (False, None))
            ),
            "scale": Choice(
                "layer.self_attention.scale", "scale_attn_weights", True, ((True, None), (False, 1.0))
            ),
        },
        tensors={QKV: ("attn.c_attn", _by_group)},
    ),
    bookkeeping=(
        "attention_softmax_in_fp32",
        "inference_runner",
        "max_batch_size",
        "max_sequence_length",
        "num_key_value_heads",  # follows from multi_query
        "pad_key_length",
        "pre_allocate_kv_cache",
        "scale_attention_softmax_in_fp32",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
        "validate_runner_input",
    ),
    ignored=(r"\.attn\.(bias|masked_bias)$",),
    writing=Writing(end=50256, start=50256),
    small={"vocab_size": 31, "n_positions": 17, "n_embd": 12, "n_head": 3, "n_layer": 2},
    examples=(
        {"tie_word_embeddings": False},
        {"multi_query": False, "n_inner": 29, "activation_function": "relu", "layer_norm_epsilon": 1e-3},
        {"scale_attn_weights": False, "attn_pdrop": 0.2, "resid_pdrop": 0.3, "embd_pdrop": 0.05},
    ),
    published=(
        Published(
            source="huggingface.co/bigcode/starcoderbase-1b",
            config={
                "activation_function": "gelu_pytorch_tanh",
                "architectures": ["GPTBigCodeForCausalLM"],
                "attention_softmax_in_fp32": True,
                "attn_pdrop": 0.1,
                "bos_token_id": 0,
                "embd_pdrop": 0.1,
                "eos_token_id": 0,
                "initializer_range": 0.02,
                "layer_norm_epsilon": 1e-05,
                "multi_query": True,
                "n_embd": 2048,
                "n_head": 16,
                "n_inner": 8192,
                "n_layer": 24,
                "n_positions": 8192,
                "resid_pdrop": 0.1,
                "scale_attention_softmax_in_fp32": True,
                "scale_attn_weights": True,
                "use_cache": True,
                "vocab_size": 49152,
            },
        ),
    ),
)
