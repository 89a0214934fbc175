"""LLaMA 1 to 3.3: Touvron et al. 2023, Grattafiori et al. 2024; and many models of its code (Vicuna, Yi, SmolLM)."""

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
    without_words,
)
from zoo.interop.trial import last_token_trial
from zoo.interop.writing import Writing

_DEFAULTS = Defaults(vocab_size=32000, d_model=4096, d_ff=11008, n_layers=32, n_heads=32, n_kv_heads=None)


def to_spec(config: Config) -> dict[str, Any]:
    """A config -> the model's spec as plain data."""
    return gated_decoder_spec(
        config,
        _DEFAULTS,
        attention={"bias": config.boolean("attention_bias", False)},
        ffn={"bias": config.boolean("mlp_bias", False)},
    )


def to_config(spec: Any) -> dict[str, Any]:
    """The model's spec -> a config."""
    layer = spec.decoder.each_layer()[0]
    return {
        **gated_decoder_config(spec, "LlamaForCausalLM"),
        "attention_bias": layer.self_attention.bias is True,
        "mlp_bias": layer.ffn.bias,
    }


_SMALL = {
    "vocab_size": 31,
    "hidden_size": 12,
    "intermediate_size": 19,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "pad_token_id": None,
}

FAMILY = Family(
    name="llama",
    architectures=architectures("Llama"),
    to_spec=to_spec,
    to_config=to_config,
    weights=gated_decoder_weights,
    fixed={"rope_interleaved": False},
    bookkeeping=("is_llama_config", "max_sequence_length", "pretraining_tp"),
    prefix=PREFIX,
    read_as={"LLaMAForCausalLM": "LlamaForCausalLM"},
    trial=last_token_trial,
    ignored=(r"rotary_emb\.inv_freq$",),
    writing=Writing(end=2, start=1),
    examples=(
        {**_SMALL, "tie_word_embeddings": True},
        {
            **_SMALL,
            "attention_bias": True,
            "mlp_bias": True,
            "rms_norm_eps": 1e-3,
            "pad_token_id": 3,
            "head_dim": 2,
        },
        {
            **_SMALL,
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
            **_SMALL,
            "num_hidden_layers": 1,
            "attention_dropout": 0.1,
            "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50.0},
        },
        {
            **_SMALL,
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
            **_SMALL,
            "num_hidden_layers": 1,
            "max_position_embeddings": 5,
            "rope_scaling": {"type": "dynamic", "factor": 2.0},
        },
        *without_words("Llama", _SMALL),
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
