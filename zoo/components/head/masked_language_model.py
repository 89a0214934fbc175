"""The head that guesses masked tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.components.head._vocabulary import VocabularySpec, vocabulary_matrix
from zoo.costs import Cost, product, trained
from zoo.kernels.cross_entropy import linear_cross_entropy
from zoo.kernels.linear import Linear, linear
from zoo.kinds import HEAD, NORM
from zoo.losses import Sums
from zoo.sizes import Batch, linear_size, n_kept, n_parameters


class MaskedLanguageModelSpec(VocabularySpec):
    type: Literal["masked_language_model"] = "masked_language_model"
    predicts: str = Field("inputs", min_length=1)
    """The embedding whose vocabulary is predicted."""
    activation: Activation = "gelu"
    """Function after the dense layer."""
    norm: Annotated[Spec, NORM] = Field("layer_norm", validate_default=True)
    """After the activation, over the width of the embedding."""
    dense_bias: bool = True
    """Whether the dense layer adds a bias (ModernBERT: no)."""
    bias: bool = True
    """Whether a learned bias per word is added."""

    def contexts(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> dict[str, dict[str, Any]]:
        return {"norm": {"d_model": self.shape(d_model, embeddings)[1]}}

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        V, E = self.shape(d_model, embeddings)
        found = linear_size(d_model, E, bias=self.dense_bias) + n_parameters(NORM, self.norm, d_model=E)
        return found + self.bias * V + (0 if self.tied else V * E)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        E = self.shape(d_model, embeddings)[1]
        dense = 2 * batch.n_tokens * E + n_kept(NORM, self.norm, d_model=E, batch=batch)
        return dense + self.n_kept_by_loss(d_model, embeddings, batch)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        V, E = self.shape(d_model, embeddings)
        dense = product(batch.n_tokens, d_model, E)
        return trained(product(batch.n_tokens, E, V) + dense, "2·T·E·V + 2·T·D·E")


@HEAD.register(
    "masked_language_model",
    spec=MaskedLanguageModelSpec,
    examples=[
        {},
        {"tied": False, "bias": False, "dense_bias": False, "activation": "relu", "norm": "rms_norm"},
    ],
)
class MaskedLanguageModelHead(nn.Module):
    """norm(activation(hidden · W₁ᵀ + b₁)) · Wᵀ + b, W being the embedding's matrix when tied.

    The dense layer leads to the width E of the embedding, which is D unless it is factorised.
    Source: Devlin et al. 2019, by their code; E: Lan et al. 2020.
    Shapes: hidden [B, T, D] -> [B, T, V].
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        predicts: str,
        tied: bool,
        activation: Activation,
        norm: Spec,
        dense_bias: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        self.weight = vocabulary_matrix(embeddings[predicts], tied=tied)
        V, E = self.weight.shape
        self.bias = nn.Parameter(torch.zeros(V)) if bias else None
        self.dense = Linear(d_model, E, bias=dense_bias)
        self.activation = activation
        self.norm: nn.Module = NORM.build(norm, d_model=E)

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return linear(self._features(hidden), self.weight, self.bias)

    def loss(self, hidden: Tensor, labels: Tensor, *, label_smoothing: float) -> Sums:
        """Summed cross-entropy, smoothed and plain, without making the logits.

        Shapes: hidden [N, D] of the masked places, labels int64 [N].
        """
        features = self._features(hidden)
        loss, nll = linear_cross_entropy(
            features, self.weight, labels, bias=self.bias, label_smoothing=label_smoothing
        )
        return Sums(loss, nll, len(labels))

    def _features(self, hidden: Tensor) -> Tensor:
        return self.norm(ACTIVATIONS[self.activation](self.dense(hidden)))  # [B, T, E]
