"""Table 1 of the paper: self-attention, recurrent, convolutional and restricted layers, as models of one such layer."""

from __future__ import annotations

from typing import Any

from registry import Spec, parse
from zoo.analysis.cost import PartCost, cost
from zoo.assembly.encoder_only import EncoderOnlySpec

LAYERS: dict[str, dict[str, dict[str, Any]]] = {
    "Self-Attention": {"self_attention": {"type": "multi_head", "n_heads": 8}},
    "Recurrent": {"mixer": {"type": "rnn", "direction": "both"}},
    "Convolutional": {"mixer": {"type": "convolution", "width": 3, "gated": False}},
    "Self-Attention (restricted)": {"self_attention": {"type": "restricted", "n_heads": 8, "radius": 32}},
}
"""What mixes positions in each, by the paper's names; its r is 2 · 32 + 1, its k is 3."""


def table_1_models(d_model: int = 512) -> dict[str, Spec]:
    """A model of one layer of each kind, without a feed-forward network, by the paper's names."""
    return {
        name: parse(
            EncoderOnlySpec,
            {
                "type": "encoder_only",
                "d_model": d_model,
                "inputs": {"type": "tokens", "vocab_size": 1000},
                "position": "none",
                "encoder": {"n_layers": 1, "layer": {**layer, "ffn": "none", "layout": "pre_norm"}},
                "head": "none",
            },
        )
        for name, layer in LAYERS.items()
    }


def table_1(length: int, *, d_model: int = 512) -> list[dict[str, Any]]:
    """The rows of the table at a length: orders of growth, and the numbers that the formulas give there.

    FLOPs are the whole layer's, with the linear maps of each position alone that the paper's column leaves out.
    """
    rows = []
    for name, model in table_1_models(d_model).items():
        layer = _mixing(cost(model, length=length).parts)
        assert layer.mixing is not None
        rows.append(
            {
                "layer": name,
                "length": length,
                "complexity": layer.mixing.order.complexity,
                "sequential": layer.mixing.order.sequential,
                "path": layer.mixing.order.path,
                "flops": layer.forward,
                "n_sequential": layer.mixing.n_sequential,
                "path_length": layer.mixing.path,
                "source": layer.mixing.order.source,
            }
        )
    return rows


def _mixing(parts: tuple[PartCost, ...]) -> PartCost:
    return next(part for part in parts if part.mixing is not None)
