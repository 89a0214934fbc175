"""LLaMA 1 to 3.3: Touvron et al. 2023, Grattafiori et al. 2024; and many models of its code (Vicuna, Yi, SmolLM)."""

from __future__ import annotations

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

LLAMA = GATED_DECODER.sibling(
    fields={
        "attention_bias": Field("layer.self_attention.bias", "attention_bias", False),
        "ffn_bias": Field("layer.ffn.bias", "mlp_bias", False),
    }
)

FAMILY = decoder_family(
    "llama",
    LLAMA,
    fixed={"rope_interleaved": False},
    bookkeeping=("is_llama_config", "max_sequence_length", "pretraining_tp"),
    read_as={"LLaMAForCausalLM": "LlamaForCausalLM"},
    writing=Writing(end=2, start=1),
    small={**SMALL, "head_dim": 4},
    examples=(
        {"tie_word_embeddings": True},
        {
            "attention_bias": True,
            "mlp_bias": True,
            "rms_norm_eps": 1e-3,
            "pad_token_id": 3,
            "head_dim": 2,
        },
        {
            "num_key_value_heads": 6,
            "num_hidden_layers": 1,
            "hidden_act": "gelu",
            "rope_theta": 30.0,
            "rope_scaling": {
                "rope_type": "llama3",
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
        {
            "num_hidden_layers": 1,
            "attention_dropout": 0.1,
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0},
        },
        {
            "num_hidden_layers": 1,
            "rope_parameters": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 16,
                "beta_fast": 4.0,
                "beta_slow": 0.5,
                "mscale": 0.7,
                "mscale_all_dim": 0.4,
                "truncate": False,
            },
        },
        {
            "num_hidden_layers": 1,
            "max_position_embeddings": 5,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
        },
    ),
    published=(
        Published(
            preset="llama2_7b",
            source="huggingface.co/meta-llama/Llama-2-7b-hf",
            config={
                "_name_or_path": "meta-llama/Llama-2-7b-hf",
                "architectures": ["LlamaForCausalLM"],
                "bos_token_id": 1,
                "eos_token_id": 2,
                "hidden_act": "silu",
                "hidden_size": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 11008,
                "max_position_embeddings": 4096,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 32,
                "pretraining_tp": 1,
                "rms_norm_eps": 1e-05,
                "rope_scaling": None,
                "tie_word_embeddings": False,
                "torch_dtype": "float16",
                "transformers_version": "4.31.0.dev0",
                "use_cache": True,
                "vocab_size": 32000,
            },
        ),
        Published(
            preset="llama3_8b",
            source="huggingface.co/meta-llama/Llama-3.1-8B",
            config={
                "architectures": ["LlamaForCausalLM"],
                "attention_bias": False,
                "attention_dropout": 0.0,
                "bos_token_id": 128000,
                "eos_token_id": 128001,
                "hidden_act": "silu",
                "hidden_size": 4096,
                "initializer_range": 0.02,
                "intermediate_size": 14336,
                "max_position_embeddings": 131072,
                "mlp_bias": False,
                "num_attention_heads": 32,
                "num_hidden_layers": 32,
                "num_key_value_heads": 8,
                "pretraining_tp": 1,
                "rms_norm_eps": 1e-05,
                "rope_scaling": {
                    "factor": 8.0,
                    "low_freq_factor": 1.0,
                    "high_freq_factor": 4.0,
                    "original_max_position_embeddings": 8192,
                    "rope_type": "llama3",
                },
                "rope_theta": 500000.0,
                "tie_word_embeddings": False,
                "torch_dtype": "bfloat16",
                "transformers_version": "4.43.0.dev0",
                "use_cache": True,
                "vocab_size": 128256,
            },
        ),
    ),
)
