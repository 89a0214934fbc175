"""The projection to the vocabulary, tied to an embedding or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from registry import Spec
from zoo.kernels.cross_entropy import linear_cross_entropy
from zoo.kernels.linear import linear
from zoo.kinds import HEAD


class LanguageModelSpec(Spec):
    type: Literal["language_model"] = "language_model"
    predicts: Literal["target", "source", "tokens", "inputs"]
    """The embedding whose vocabulary is predicted."""
    tied: bool = True
    """Whether the projection is that embedding's own matrix."""
    bias: bool = False
    """Whether a learned bias per word is added."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.predicts not in embeddings:
            known = ", ".join(embeddings)
            raise ValueError(f"this model has no embedding '{self.predicts}' to predict (it has: {known})")
        if not hasattr(embeddings[self.predicts], "vocab_size"):
            raise ValueError(f"'{self.predicts}' embeds no tokens, so there is no vocabulary to predict")


@HEAD.register(
    "language_model",
    spec=LanguageModelSpec,
    examples=[{"predicts": "target"}, {"predicts": "target", "tied": False, "bias": True}],
)
class LanguageModelHead(nn.Module):
    """Logits over the vocabulary: hidden · Wᵀ (+ b), W being the embedding's matrix when tied.

    Source: Vaswani et al. 2017, section 3.4; Press and Wolf 2017.
    Shapes: hidden [B, T, D] -> [B, T, V].
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        predicts: Literal["target", "source", "tokens", "inputs"],
        tied: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        embedding = embeddings[predicts].weight
        assert isinstance(embedding, nn.Parameter)
        self.weight = embedding if tied else nn.Parameter(torch.empty_like(embedding))
        self.bias = nn.Parameter(torch.zeros(embedding.shape[0])) if bias else None
        if not tied:
            nn.init.xavier_uniform_(self.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        return linear(hidden, self.weight, self.bias)

    def loss(self, hidden: Tensor, labels: Tensor, *, label_smoothing: float) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy, smoothed and plain, without making the logits.

        Shapes: hidden [N, D], labels int64 [N] -> two fp32 scalars.
        """
        return linear_cross_entropy(
            hidden, self.weight, labels, bias=self.bias, label_smoothing=label_smoothing
        )
