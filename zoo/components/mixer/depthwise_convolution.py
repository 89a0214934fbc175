"""Convolutions of each feature by itself, whose kernels are weights that sum to 1: lightweight and dynamic ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._window import layers_until_all_meet, with_window
from zoo.costs import Cost, Mixing, Order, product, trained
from zoo.kernels.cache import StateCache
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kernels.strips import strips_of
from zoo.kinds import MIXER, MixerSpec, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, dividing, linear_size


class DepthwiseConvolutionSpec(MixerSpec):
    type: Literal["depthwise_convolution"] = "depthwise_convolution"
    width: int = Field(7, ge=2, le=1024)
    """Positions that an output is a mean of, its own and those around it, in tokens; before it where later ones are
    hidden."""
    n_heads: int = Field(8, ge=1, le=1024)
    """Kernels; each serves d_model / n_heads features."""
    kernels: Literal["learned", "predicted"] = "learned"
    """Whether they are the same everywhere (lightweight), or predicted at each position from its input (dynamic)."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a weight of a kernel, in training."""

    @property
    def expected_failures(self) -> Mapping[str, str]:
        """Of predicted kernels the mean is a sum of products of numbers."""
        why = "torch counts no mean by kernels that are predicted, which is no product of matrices"
        return {"its_cost_is_what_runs": why} if self.kernels == "predicted" else {}

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if d_model % self.n_heads:
            some = dividing(self.n_heads, d_model)
            raise ValueError(f"n_heads ({self.n_heads}) must divide d_model ({d_model}), {some}")

    def n_parameters(self, *, d_model: int) -> int:
        weights = self.n_heads * self.width * (d_model if self.kernels == "predicted" else 1)
        maps = linear_size(d_model, 2 * d_model, bias=True) + linear_size(d_model, d_model, bias=True)
        return maps + weights

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        if self.kernels == "predicted":
            return batch.n_tokens * (6 * d_model + self.n_heads * self.width)
        return batch.n_tokens * 5 * d_model

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        predicted = self.n_heads * self.width if self.kernels == "predicted" else 0
        mean = 2 * batch.n_tokens * d_model * self.width
        return trained(
            product(batch.n_tokens, d_model, 3 * d_model + predicted) + mean,
            "6·T·D² + 2·T·r·D" + (" + 2·T·D·H·r" if predicted else ""),
            cached=(self.width - 1) * d_model if role == "causal" else 0,
            mixing=Mixing(
                Order("k·n·d + n·d²", "1", "n/k", "Wu et al. 2019, section 3"),
                n_layers=layers_until_all_meet(self.width, role, batch.length),
            ),
        )


@MIXER.register(
    "depthwise_convolution",
    spec=DepthwiseConvolutionSpec,
    examples=[
        {"width": 3, "n_heads": 3},
        {"width": 4, "n_heads": 2, "kernels": "predicted"},
        {"width": 5, "n_heads": 12, "dropout": 0.2},
    ],
)
class DepthwiseConvolution(nn.Module):
    """A weighted mean of the positions around, of a gated map of the input, mapped once more.

    y = GLU(x W₁ + b₁); z_t = Σ_j softmax(k)_j y_{t + j - before}, k of each head learned or y_t W_k; out = z W₂ + b₂.

    Source: Wu et al. 2019 (1901.10430), sections 3 and 4; the gate and the maps from Figure 2; dropout is their
        DropConnect.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        width: int,
        n_heads: int,
        kernels: Literal["learned", "predicted"],
        dropout: float,
    ) -> None:
        super().__init__()
        self.width = width
        self.n_heads = n_heads
        self.dropout = dropout
        self.input = Linear(d_model, 2 * d_model)
        self.output = Linear(d_model, d_model)
        self.predict = Linear(d_model, n_heads * width, bias=False) if kernels == "predicted" else None
        self.kernels = None if self.predict is not None else nn.Parameter(torch.empty(n_heads, width))
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        if self.kernels is not None:
            nn.init.xavier_uniform_(self.kernels)  # as the authors' code

    def roles(self) -> dict[nn.Module, Role]:
        """What the maps are for; what predicts kernels chooses among contents."""
        return {self.input: "residual_input", self.output: "residual_output"}

    def forward(
        self, x: Tensor, *, mask: Mask, position: Position | None, cache: StateCache | None
    ) -> Tensor:
        strips = strips_of(mask, x)
        gated = F.glu(self.input(strips.split(x)), dim=-1)
        rows = strips.cleared(gated)  # [N, L, D]: the bias has filled padded places
        seen = with_window(rows, self.width, mask=mask, strips=strips, cache=cache)
        out = self._mean(seen, self._weights(rows))
        return self.output(strips.join(out))

    def _weights(self, rows: Tensor) -> Tensor:
        """The kernels: [H, width], or [N, L, H, width] where they are predicted."""
        if self.predict is None:
            assert self.kernels is not None
            weights = self.kernels.softmax(dim=-1)
        else:
            weights = self.predict(rows).unflatten(-1, (self.n_heads, self.width)).softmax(dim=-1)
        return drop(weights, self.dropout, training=self.training)

    def _mean(self, seen: Tensor, weights: Tensor) -> Tensor:
        """[N, L + width - 1, D] -> [N, L, D]."""
        if self.predict is None:
            each = weights.repeat_interleave(seen.shape[2] // self.n_heads, dim=0)  # [D, width]
            return F.conv1d(seen.transpose(1, 2), each[:, None].to(seen.dtype), groups=len(each)).transpose(
                1, 2
            )
        heads, L = seen.unflatten(-1, (self.n_heads, -1)), weights.shape[1]  # [N, .., H, D / H]
        # One shifted view after the other: no [N, L, D, width] anywhere.
        out = weights[..., :1] * heads[:, :L]
        for j in range(1, self.width):
            out = out + weights[..., j : j + 1] * heads[:, j : j + L]
        return out.flatten(2)

    def new_cache(self) -> StateCache:
        """The last width - 1 gated inputs, zeros at first."""
        return StateCache()
