"""StarCoder2: Lozhkov et al. 2024. LLaMA with layer norms, biases, a network without gate, and windows on demand."""

from __future__ import annotations

from zoo.interop.decoders import GATED_DECODER, SMALL
from zoo.interop.entries import Field, Head, Rotary, Window
from zoo.interop.family import Published
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

FAMILY = decoder_family(
    "starcoder2",
    GATED_DECODER.sibling(
        parts={"decoder": {"layer": {"norm": {"type": "layer_norm"}, "ffn": {"type": "mlp"}}}},
        fields={
            "head": Head("Starcoder2", tied=True),
            "vocab_size": 49152,
            "d_model": 3072,
            "d_ff": 12288,
            "n_layers": 30,
            "n_heads": 24,
            "n_kv_heads": 2,
            "activation": "gelu_pytorch_tanh",
            "eps": ("norm_epsilon", 1e-5),
            "std": 0.018042,
            "position": Rotary(max_len=4096),
            "bias": Field("layer.self_attention.bias", "use_bias", True, also=("layer.ffn.bias",)),
            "dropout": Field("layer.dropout", "residual_dropout", 0.0),
            "input_dropout": Field("decoder.input_dropout", "embedding_dropout", 0.0),
            "window": Window("sliding_window"),
        },
        tensors={"layer.ffn.inner": "mlp.c_fc", "layer.ffn.outer": "mlp.c_proj"},
    ),
    bookkeeping=("activation_function", "mlp_type", "norm_type"),  # of the first configs; nothing reads them
    writing=Writing(end=50256, start=50256),
    small=SMALL,
    examples=(
        {},
        {"sliding_window": 3, "use_bias": False, "tie_word_embeddings": False, "hidden_act": "relu"},
        {"num_hidden_layers": 1, "head_dim": 4, "residual_dropout": 0.1, "embedding_dropout": 0.2},
    ),
    published=(
        Published(
            source="huggingface.co/bigcode/starcoder2-3b",
            config={
                "architectures": ["Starcoder2ForCausalLM"],
                "attention_dropout": 0.1,
                "bos_token_id": 0,
                "embedding_dropout": 0.1,
                "eos_token_id": 0,
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_size": 3072,
                "initializer_range": 0.018042,
                "intermediate_size": 12288,
                "max_position_embeddings": 16384,
                "mlp_type": "default",
                "norm_epsilon": 1e-05,
                "norm_type": "layer_norm",
                "num_attention_heads": 24,
                "num_hidden_layers": 30,
                "num_key_value_heads": 2,
                "residual_dropout": 0.1,
                "rope_theta": 999999.4420358813,
                "sliding_window": 4096,
                "use_bias": True,
                "use_cache": True,
                "vocab_size": 49152,
            },
        ),
    ),
)
