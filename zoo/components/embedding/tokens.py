"""Token embeddings."""

from __future__ import annotations

import math
from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.kinds import EMBEDDING


class TokensSpec(Spec):
    type: Literal["tokens"] = "tokens"
    vocab_size: int = Field(ge=5, le=10_000_000)
    """Ids there are vectors for, the four special ones included; the tokenizer is trained to this size."""
    scale: Literal["sqrt_d_model", "none"] = "sqrt_d_model"
    """What vectors are multiplied by: √d_model as in the paper, or nothing."""


@EMBEDDING.register(
    "tokens", spec=TokensSpec, examples=[{"vocab_size": 29}, {"vocab_size": 17, "scale": "none"}]
)
class TokenEmbedding(nn.Embedding):
    """A learned vector per token id, times √D.

    Source: Vaswani et al. 2017, section 3.4.
    Shapes: inputs int64 [B, S] -> [B, S, D].
    """

    def __init__(self, *, d_model: int, vocab_size: int, scale: Literal["sqrt_d_model", "none"]) -> None:
        super().__init__(vocab_size, d_model)
        self.scale = math.sqrt(d_model) if scale == "sqrt_d_model" else 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        return F.embedding(inputs, self.weight) * self.scale
