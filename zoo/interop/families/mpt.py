"""MPT: MosaicML 2023. Layer norms without bias, no biases at all, positions by ALiBi."""

from __future__ import annotations

from typing import Any, ClassVar

from zoo.interop.config import BOOKKEEPING, Config
from zoo.interop.decoders import PLAIN_DECODER, QKV
from zoo.interop.entries import Head, Plain, at
from zoo.interop.family import Published
from zoo.interop.rules import Split
from zoo.interop.table import decoder_family
from zoo.interop.writing import Writing

_FIXED = {
    "alibi": True,
    "alibi_bias_max": 8,
    "attn_type": "multihead_attention",
    "attn_uses_sequence_id": False,
    "clip_qkv": None,
    "prefix_lm": False,
    "qk_ln": False,
}


class _Attention:
    """A part of its own; its dropout is that of everything."""

    order: ClassVar[int] = 2

    def read(self, config: Config, spec: Plain) -> None:
        part = config.part("attn_config") or Config({})
        for name, value in _FIXED.items():
            part.only(name, value)
        part.text("attn_impl", "torch")
        for name in BOOKKEEPING & part.data.keys():  # transformers writes it as a config of its own
            part.value(name)
        layer, dropout = spec["decoder"]["layer"], part.number("attn_pdrop", 0.0)
        layer["dropout"] = layer["self_attention"]["dropout"] = dropout
        layer["self_attention"]["scale"] = part.number("softmax_scale", None)
        layer["ffn"]["d_ff"] = 4 * spec["d_model"]

    def written(self, spec: Any) -> Plain:
        attention = at(spec, "layer.self_attention")
        dropout: float = attention.dropout  # which transformers takes as an integer only, where it is one
        return {
            "attn_config": {**_FIXED, "attn_pdrop": dropout or 0, "softmax_scale": attention.scale},
        }


FAMILY = decoder_family(
    "mpt",
    PLAIN_DECODER.sibling(
        parts={
            "position": {"type": "alibi"},
            "decoder": {
                "layer": {
                    "norm": {"bias": False},
                    "ffn": {"bias": False, "activation": "gelu"},
                },
                "input_dropout": 0.0,
            },
        },
        without=("activation", "attention_dropout", "d_ff", "dropout", "input_dropout", "position"),
        fields={
            "head": Head("Mpt", True, ("ForCausalLM", "Model")),
            "vocab_size": 50368,
            "d_model": ("d_model", 2048),
            "n_layers": ("n_layers", 24),
            "n_heads": ("n_heads", 16),
            "attention": _Attention(),
        },
        tensors={
            "decoder.final_norm": "norm_f",
            "layer.layout.norms.0": "norm_1",
            "layer.layout.norms.1": "norm_2",
            QKV: ("attn.Wqkv", Split(3)),
            "layer.self_attention.output": "attn.out_proj",
            "layer.ffn.inner": "ffn.up_proj",
            "layer.ffn.outer": "ffn.down_proj",
        },
        layers="blocks",
    ),
    fixed={
        "emb_pdrop": 0.0,
        "embedding_fraction": 1.0,
        "expansion_ratio": 4,
        "logit_scale": None,
        "no_bias": True,
        "norm_type": "low_precision_layernorm",
        "resid_pdrop": 0.0,
    },
    bookkeeping=("init_config", "init_device", "learned_pos_emb", "max_seq_len", "verbose"),
    writing=Writing(end=None),
    small={"vocab_size": 31, "d_model": 12, "n_heads": 3, "n_layers": 2},
    examples=(
        {},
        {"n_layers": 3, "n_heads": 2, "tie_word_embeddings": False, "layer_norm_epsilon": 1e-3},
        {"n_layers": 1, "n_heads": 6, "attn_config": {"attn_pdrop": 0, "softmax_scale": 0.7}},
    ),
    published=(
        Published(
            source="huggingface.co/mosaicml/mpt-7b",
            config={
                "architectures": ["MptForCausalLM"],
                "attn_config": {
                    "alibi": True,
                    "alibi_bias_max": 8,
                    "attn_impl": "torch",
                    "attn_pdrop": 0,
                    "attn_type": "multihead_attention",
                    "attn_uses_sequence_id": False,
                    "clip_qkv": None,
                    "prefix_lm": False,
                    "qk_ln": False,
                    "softmax_scale": None,
                },
                "d_model": 4096,
                "emb_pdrop": 0,
                "embedding_fraction": 1.0,
                "expansion_ratio": 4,
                "init_device": "cpu",
                "learned_pos_emb": True,
                "logit_scale": None,
                "max_seq_len": 2048,
                "n_heads": 32,
                "n_layers": 32,
                "no_bias": True,
                "norm_type": "low_precision_layernorm",
                "resid_pdrop": 0,
                "use_cache": False,
                "vocab_size": 50432,
            },
        ),
    ),
)
