"""What the heads that predict an embedding's vocabulary share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import nn

from registry import Spec, suggest
from zoo.losses import Learns
from zoo.sizes import Batch

_CHUNK = 1 << 26
"""Most logits that the loss has in memory at once: see zoo.kernels.cross_entropy."""


class VocabularySpec(Spec):
    """Fields shared by these heads."""

    learns: ClassVar[Learns] = "token"
    predicts: str = Field(min_length=1)
    """The embedding whose vocabulary is predicted."""
    tied: bool = True
    """Whether the projection is that embedding's own matrix; if not, it is another of the same shape."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.predicts not in embeddings:
            nearby = suggest(self.predicts, embeddings, listed=True)
            raise ValueError(f"this model has no embedding '{self.predicts}' to predict; {nearby}")
        if not hasattr(embeddings[self.predicts], "vocab_size"):
            raise ValueError(f"'{self.predicts}' embeds no tokens, so there is no vocabulary to predict")

    def shape(self, d_model: int, embeddings: Mapping[str, Spec]) -> tuple[int, int]:
        """V and E of the embedding, by the fields' names vocab_size and d_embedding."""
        embedding = embeddings[self.predicts]
        return embedding.vocab_size, getattr(embedding, "d_embedding", None) or d_model  # type: ignore[attr-defined]

    def n_kept_by_loss(self, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        """What the loss works with: the gradients of its input and of the matrix, and the logits of a chunk."""
        V, E = self.shape(d_model, embeddings)
        return batch.n_tokens * (d_model + E) + V * E + min(batch.n_tokens * V, _CHUNK)


def vocabulary_matrix(embedding: nn.Module, *, tied: bool) -> nn.Parameter:
    """The embedding's matrix [V, E], or a new one of its shape."""
    weight = embedding.weight
    assert isinstance(weight, nn.Parameter)
    if tied:
        return weight
    # Not empty_like, which on the meta device imports sympy first: 0.2 s.
    own = torch.empty(weight.shape, dtype=weight.dtype, device=weight.device)
    return nn.Parameter(nn.init.xavier_uniform_(own))
