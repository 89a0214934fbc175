"""The projection to the vocabulary, tied to an embedding or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.head._vocabulary import VocabularySpec, vocabulary_matrix
from zoo.costs import Cost, product, trained
from zoo.kernels.cross_entropy import linear_cross_entropy
from zoo.kernels.linear import Linear, linear
from zoo.kinds import HEAD
from zoo.losses import Sums, cross_entropy
from zoo.sizes import Batch

Factor = Annotated[float, Field(gt=0, le=1e6)]


class LanguageModelSpec(VocabularySpec):
    type: Literal["language_model"] = "language_model"
    bias: bool | Literal["fixed"] = False
    """Whether a bias per word is added: a learned one, or a fixed one that training leaves (BART, Marian)."""
    scale: Literal["none", "rsqrt_d_model"] | Factor = "none"
    """What the hidden vectors are multiplied by: nothing, 1/√d_model (T5 1.0), or a number (Cohere, Granite)."""
    soft_cap: float | None = Field(None, gt=0, le=1e6)
    """Bounds the logits: c·tanh(logits / c) (Gemma 2); None: no bound."""

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        V, E = self.shape(d_model, embeddings)
        found = 0 if self.tied else V * E
        if self.bias is True:
            found += V
        return found if d_model == E else found + d_model * E

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        if self.soft_cap is not None:  # whole logits, capped, and their softmax
            return batch.n_tokens * (d_model + 3 * self.shape(d_model, embeddings)[0])
        return self.n_kept_by_loss(d_model, embeddings, batch)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        V, E = self.shape(d_model, embeddings)
        projected = 0 if d_model == E else product(batch.n_tokens, d_model, E)
        return trained(
            product(batch.n_tokens, E, V) + projected, "2·T·E·V" + (" + 2·T·D·E" if projected else "")
        )


@HEAD.register(
    "language_model",
    spec=LanguageModelSpec,
    examples=[
        {"predicts": "target"},
        {"predicts": "target", "tied": False, "bias": True},
        {"predicts": "inputs", "scale": "rsqrt_d_model", "bias": "fixed"},
        {"predicts": "tokens", "soft_cap": 1.5},
        {"predicts": "tokens", "scale": 0.25},
    ],
)
class LanguageModelHead(nn.Module):
    """Logits over the vocabulary: hidden · Wᵀ (+ b), W being the embedding's matrix when tied.

    An embedding of another width E than D gives a projection before: hidden · Pᵀ · Wᵀ.
    Source: Vaswani et al. 2017, section 3.4; Press and Wolf 2017. Scale: Raffel et al. 2020, by their code.
        Soft cap: Gemma Team 2024 (Gemma 2), section 2. Projection: Zhang et al. 2022 (OPT-350M), by their code.
    Shapes: hidden [B, T, D] -> [B, T, V].
    """

    bias: Tensor | None

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        predicts: str,
        tied: bool,
        bias: bool | Literal["fixed"],
        scale: Literal["none", "rsqrt_d_model"] | float,
        soft_cap: float | None,
    ) -> None:
        super().__init__()
        self.weight = vocabulary_matrix(embeddings[predicts], tied=tied)
        V, E = self.weight.shape
        if bias == "fixed":
            self.register_buffer("bias", torch.zeros(V))
        else:
            self.bias = nn.Parameter(torch.zeros(V)) if bias else None
        self.projection = None if d_model == E else Linear(d_model, E, bias=False)
        self.scale = scale if isinstance(scale, float) else {"rsqrt_d_model": d_model**-0.5}.get(scale)
        self.soft_cap = soft_cap

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        logits = linear(self._features(hidden), self.weight, self.bias)  # [B, T, V]
        return logits if self.soft_cap is None else torch.tanh(logits / self.soft_cap) * self.soft_cap

    def loss(self, hidden: Tensor, labels: Tensor, *, label_smoothing: float) -> Sums:
        """Summed cross-entropy, smoothed and plain; without making the logits, unless there is a soft cap.

        Shapes: hidden [N, D] of the places that are predicted, labels int64 [N].
        """
        if self.soft_cap is None:
            features = self._features(hidden)
            loss, nll = linear_cross_entropy(
                features, self.weight, labels, bias=self.bias, label_smoothing=label_smoothing
            )
            return Sums(loss, nll, len(labels))
        return cross_entropy(self(hidden), labels, label_smoothing=label_smoothing)

    def _features(self, hidden: Tensor) -> Tensor:
        if self.scale is not None:
            hidden = hidden * self.scale
        return hidden if self.projection is None else self.projection(hidden)
