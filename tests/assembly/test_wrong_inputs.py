"""Inputs of a shape that no model can take are one ValueError that says which shape would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.assembly.build import build
from zoo.kinds import MODEL

LAYER = {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": {"type": "mlp", "d_ff": 20}}
TOKENS = {"type": "tokens", "vocab_size": 23}
STACK = {"n_layers": 1, "layer": LAYER}


def model(name: str) -> nn.Module:
    """A small model of each architecture."""
    spec: dict[str, Any] = {
        "encoder_decoder": {
            "source": TOKENS, "target": {"share": "source"}, "encoder": STACK,
            "decoder": {"like": "encoder", "cross_attention": LAYER["self_attention"]},
            "head": {"type": "language_model", "predicts": "target"},
        },
        "decoder_only": {
            "tokens": TOKENS, "decoder": STACK, "head": {"type": "language_model", "predicts": "tokens"},
        },
        "encoder_only": {
            "inputs": {**TOKENS, "n_types": 2}, "encoder": STACK,
            "head": {"type": "language_model", "predicts": "inputs"},
        },
    }[name]  # fmt: skip
    return build(MODEL.entry(name).spec.model_validate({"type": name, "d_model": 12, **spec}))


def ids(*shape: int) -> Tensor:
    return torch.randint(4, 23, shape)


def real(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=torch.bool)


@pytest.mark.parametrize(
    ("name", "call", "message"),
    [
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(3, 7)), r"source \[2, 5\] and target \[3, 7\] must be of"),
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(4, 7)), "must be of one batch"),
        ("encoder_decoder", lambda m: m(ids(1, 5), ids(3, 7)), "must be of one batch"),
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(2, 7), source_mask=real(2, 6)), r"shape \[B, 5\] for 5 keys"),
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(2, 7), source_mask=real(3, 5)), "mask is for 3 sentences"),
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(2, 7), target_mask=real(2, 6)), r"shape \[B, 7\] for 7 keys"),
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(2, 7), target_mask=real(7)), r"shape \[B, S\], not \[7\]"),
        ("encoder_decoder", lambda m: m(ids(2, 5), ids(2, 7), target_mask=real(2, 7).float()), "must be bool"),
        ("encoder_decoder", lambda m: m(ids(5), ids(5)), r"tokens are integer ids \[B, N\], not torch.int64 \[5\]"),
        ("decoder_only", lambda m: m(ids(2, 5).float()), r"tokens are integer ids \[B, N\], not torch.float32"),
        ("decoder_only", lambda m: m(ids(2, 5), mask=real(3, 5)), "mask is for 3 sentences, but there are 2"),
        ("encoder_only", lambda m: m(ids(2, 5), mask=real(2, 4)), r"shape \[B, 5\] for 5 keys, not \[2, 4\]"),
        ("encoder_only", lambda m: m(ids(2, 5), types=ids(2, 4) * 0), r"types \[2, 4\] must be one for each token"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_one_clear_error(name: str, call: Callable[[Any], Tensor], message: str) -> None:
    network = model(name)
    with pytest.raises(ValueError, match=message):
        call(network)
