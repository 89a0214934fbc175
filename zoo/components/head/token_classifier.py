"""The head that gives every token one of a few classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD, NORM
from zoo.losses import Learns, Sums, cross_entropy
from zoo.sizes import Batch, linear_size, n_parameters


class TokenClassifierSpec(Spec):
    type: Literal["token_classifier"] = "token_classifier"
    learns: ClassVar[Learns] = "token"
    n_classes: int = Field(ge=1, le=10_000_000)
    """Numbers given for a token: a logit a class."""
    activation: Activation | None = None
    """Function after a dense layer before the classes (ModernBERT: gelu); None: there is no such layer."""
    dense_bias: bool = True
    """Whether that dense layer adds a bias."""
    norm: Annotated[Spec | None, NORM] = None
    """After the dense layer (ModernBERT); None: there is none."""
    bias: bool = True
    """Whether the last projection adds a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the last projection, in training."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.activation is None and not self.dense_bias:
            raise ValueError("dense_bias belongs to a dense layer: give its activation")

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        found = linear_size(d_model, self.n_classes, bias=self.bias)
        if self.activation is not None:
            found += linear_size(d_model, d_model, bias=self.dense_bias)
        return found if self.norm is None else found + n_parameters(NORM, self.norm, d_model=d_model)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        dense = 0 if self.activation is None else 2 * d_model
        return batch.n_tokens * (dense + 2 * d_model + 2 * self.n_classes)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        dense = 0 if self.activation is None else product(batch.n_tokens, d_model, d_model)
        return trained(
            dense + product(batch.n_tokens, d_model, self.n_classes),
            ("2·T·D² + " if dense else "") + "2·T·D·n_classes",
        )


@HEAD.register(
    "token_classifier",
    spec=TokenClassifierSpec,
    examples=[
        {"n_classes": 5},
        {"n_classes": 3, "bias": False, "dropout": 0.1},
        {"n_classes": 2, "activation": "gelu", "dense_bias": False, "norm": "layer_norm"},
    ],
)
class TokenClassifier(nn.Module):
    """A projection of each token's vector to the classes, where asked after a dense layer and a norm.

    Source: Devlin et al. 2019, section 5.3; dense layer and norm: Warner et al. 2024 (ModernBERT), by their code.
    Shapes: hidden [B, T, D] -> [B, T, n_classes]; what stands at padding means nothing.
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        n_classes: int,
        activation: Activation | None,
        dense_bias: bool,
        norm: Spec | None,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.dense = None if activation is None else Linear(d_model, d_model, bias=dense_bias)
        self.activation = activation or "identity"
        self.norm: nn.Module | None = None if norm is None else NORM.build(norm, d_model=d_model)
        self.output = Linear(d_model, n_classes, bias=bias)
        self.dropout = dropout

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        x = hidden if self.dense is None else ACTIVATIONS[self.activation](self.dense(hidden))
        if self.norm is not None:
            x = self.norm(x)
        return self.output(drop(x, self.dropout, training=self.training))

    def loss(self, hidden: Tensor, labels: Tensor, *, label_smoothing: float) -> Sums:
        """Summed cross-entropy: hidden [N, D] of the places that are predicted, labels int64 [N]."""
        return cross_entropy(self(hidden), labels, label_smoothing=label_smoothing)
