"""The head that gives a whole sequence one of a few classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.activations import ACTIVATIONS, Activation
from zoo.components.head._pooling import Pool, Pooling, pooling_flops
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD, NORM
from zoo.losses import Learns, Sums, cross_entropy, squared_error
from zoo.sizes import Batch, linear_size, n_parameters


class PooledClassifierSpec(Spec):
    type: Literal["pooled_classifier"] = "pooled_classifier"
    learns: ClassVar[Learns] = "sequence"
    n_classes: int = Field(ge=1, le=10_000_000)
    """Numbers given for a sequence: a logit a class, or 1 for a regression."""
    pool: Pool = "first"
    """Which vector stands for the sequence: that of its first real token, of its last, the real tokens' mean, that of
    all but the first (BEiT: of the patches without class token), the largest values of the real tokens (max), or a mean
    whose weights are learned (attention)."""
    activation: Activation | None = None
    """Function after a dense layer between pooling and classes (BERT: tanh); None: there is no such layer."""
    dense_bias: bool = True
    """Whether that dense layer adds a bias."""
    norm: Annotated[Spec | None, NORM] = None
    """After pooling and dense layer (ModernBERT); None: there is none."""
    bias: bool = True
    """Whether the last projection adds a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the last projection, in training."""
    pooled_dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value of the pooled vector, before the dense layer, in training (RoBERTa)."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.activation is None and (not self.dense_bias or self.pooled_dropout):
            raise ValueError("dense_bias and pooled_dropout belong to a dense layer: give its activation")

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        found = d_model if self.pool == "attention" else 0
        if self.activation is not None:
            found += linear_size(d_model, d_model, bias=self.dense_bias)
        if self.norm is not None:
            found += n_parameters(NORM, self.norm, d_model=d_model)
        return found + linear_size(d_model, self.n_classes, bias=self.bias)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        n_vectors = batch.n_tokens // batch.length
        pooling = batch.n_tokens * (d_model if self.pool == "attention" else 1)
        return pooling + n_vectors * (6 * d_model + 2 * self.n_classes)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        dense = 0 if self.activation is None else product(batch.n_rows, d_model, d_model)
        pooling = pooling_flops(self.pool, d_model, batch)
        return trained(
            pooling + dense + product(batch.n_rows, d_model, self.n_classes), "2·D² + 2·D·n_classes"
        )


@HEAD.register(
    "pooled_classifier",
    spec=PooledClassifierSpec,
    examples=[
        {"n_classes": 5},
        {"n_classes": 1},
        {"n_classes": 3, "pool": "mean", "activation": "tanh", "dropout": 0.1, "pooled_dropout": 0.2},
        {"n_classes": 4, "pool": "last", "bias": False},
        {"n_classes": 4, "pool": "attention"},
        {"n_classes": 3, "pool": "mean_but_first", "norm": "layer_norm"},
        {"n_classes": 2, "pool": "mean", "activation": "gelu", "dense_bias": False, "norm": "layer_norm"},
    ],
)
class PooledClassifier(nn.Module):
    """One vector of the sequence, where asked a dense layer and a norm, and a projection to the classes.

    Source: Devlin et al. 2019, section 4.1 (first); Radford et al. 2018, section 3.2 (last); Yang et al. 2016, section
        2.2, without its hidden layer (attention).
    Differs: with padding before a sequence, "first" is its first real token; transformers reads the padding there.
    Shapes: hidden [B, T, D], mask bool [B, T], None: all tokens are real -> [B, n_classes].
        A row without a real token gives finite numbers that mean nothing.
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        n_classes: int,
        pool: Pool,
        activation: Activation | None,
        dense_bias: bool,
        norm: Spec | None,
        bias: bool,
        dropout: float,
        pooled_dropout: float,
    ) -> None:
        super().__init__()
        self.pooling = Pooling(d_model=d_model, pool=pool)
        self.dense = None if activation is None else Linear(d_model, d_model, bias=dense_bias)
        self.activation = activation or "identity"
        self.norm: nn.Module | None = None if norm is None else NORM.build(norm, d_model=d_model)
        self.output = Linear(d_model, n_classes, bias=bias)
        self.dropout = dropout
        self.pooled_dropout = pooled_dropout

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        x = self.pooling(hidden, mask)  # [B, D]
        if self.dense is not None:
            x = self.dense(drop(x, self.pooled_dropout, training=self.training))
            x = ACTIVATIONS[self.activation](x)
        if self.norm is not None:
            x = self.norm(x)
        return self.output(drop(x, self.dropout, training=self.training))

    def loss(self, hidden: Tensor, labels: Tensor, *, mask: Tensor | None, label_smoothing: float) -> Sums:
        """Summed cross-entropy, or squared error where there is one class.

        Shapes: hidden [B, T, D], mask bool [B, T], labels int64 [B]; for one class the values, float [B].
        Raises: ValueError for smoothed values.
        """
        logits = self(hidden, mask=mask)  # [B, n_classes]
        if self.output.out_features > 1:
            return cross_entropy(logits, labels, label_smoothing=label_smoothing)
        if label_smoothing:
            raise ValueError(f"label_smoothing ({label_smoothing}) must be 0 for a regression (n_classes 1)")
        return squared_error(logits.squeeze(1), labels)
