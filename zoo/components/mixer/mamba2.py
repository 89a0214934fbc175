"""Mamba-2: a state whose decay and content the tokens choose."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._directions import Direction, Directions, Scan, State
from zoo.components.mixer._short_convolution import ShortConvolution
from zoo.components.mixer._steps import StepsSpec, draw_step_biases
from zoo.components.mixer._sums import flops_of_sums, n_chunks, n_kept_of_sums
from zoo.costs import Cost, Order, product, trained
from zoo.kernels.decayed_sums import CHUNK, decayed_sums
from zoo.kernels.linear import Linear
from zoo.kinds import MIXER, Role
from zoo.sizes import Batch, linear_size


class Mamba2Spec(StepsSpec):
    type: Literal["mamba2"] = "mamba2"
    d_state: int = Field(128, ge=1, le=65536)
    """Size of the state for each value of a head; of the matrices B and C, a row a token."""
    d_head: int = Field(64, ge=1, le=65536)
    """Values of a head; must divide expand · d_model."""
    expand: int = Field(2, ge=1, le=64)
    """Width inside, in widths of the model."""
    n_groups: int = Field(1, ge=1, le=1024)
    """Groups of heads that share B and C; must divide the heads."""
    kernel_size: int = Field(4, ge=1, le=64)
    """Tokens that the convolution before the state sees."""
    bias: bool = False
    """Whether the projections to and from the width inside add a bias."""
    convolution_bias: bool = True
    """Whether the convolution adds a bias."""
    eps: float = Field(1e-5, gt=0, le=1)
    """Added to the mean square in the norm."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        width = self.expand * d_model
        if width % self.d_head:
            raise ValueError(f"d_head ({self.d_head}) must divide expand · d_model ({width})")
        if width // self.d_head % self.n_groups:
            raise ValueError(f"n_groups ({self.n_groups}) must divide the {width // self.d_head} heads")

    def sizes(self, d_model: int) -> tuple[int, int, int]:
        """The width inside, that of the convolution, and the heads."""
        width = self.expand * d_model
        return width, width + 2 * self.n_groups * self.d_state, width // self.d_head

    def n_parameters(self, *, d_model: int) -> int:
        width, convolved, H = self.sizes(d_model)
        projections = linear_size(d_model, width + convolved + H, bias=self.bias)
        projections += linear_size(width, d_model, bias=self.bias)
        convolution = convolved * (self.kernel_size + self.convolution_bias)
        return self.n_directions * (projections + convolution + width + 3 * H)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        width, convolved, H = self.sizes(d_model)
        own = (
            7 * width
            + 4 * convolved
            + 2 * H
            + n_kept_of_sums(
                batch, n_heads=H, n_groups=self.n_groups, d_k=self.d_state, d_v=self.d_head, is_learned=True
            )
        )
        return batch.n_tokens * (d_model + self.n_directions * own)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        (width, convolved, H), n = self.sizes(d_model), self.n_directions
        G, K, P = self.n_groups, self.d_state, self.d_head
        forward = product(batch.n_tokens, d_model, 2 * width + convolved + H)
        forward += product(batch.n_tokens, self.kernel_size, convolved)
        forward += flops_of_sums(batch, n_heads=H, n_groups=G, d_k=K, d_v=P)
        order = Order("n·d² + c·n·d + n·d·k", "n/c", "n/c", "Dao and Gu 2024, section 6")
        return trained(
            n * forward,
            f"2·{n}·T·(D·(3·W + 2·G·N + H) + r·(W + 2·G·N) + c·(W + G·N)"
            + (" + 2·W·N)" if batch.length > CHUNK else ")"),
            cached=(self.kernel_size - 1) * convolved + H * K * P if role == "causal" else 0,
            mixing=self.mixing(order, role, batch.length, n_steps=n_chunks(batch.length)),
        )


@MIXER.register(
    "mamba2",
    spec=Mamba2Spec,
    examples=[
        {"d_state": 5, "d_head": 6},
        {"d_state": 3, "d_head": 4, "n_groups": 2, "kernel_size": 3, "bias": True, "convolution_bias": False},
        {"d_state": 4, "d_head": 8, "direction": "both"},
    ],
)
class Mamba2(Directions):
    """S_t = exp(Δ_t A) S_{t-1} + Δ_t x_t B_tᵀ, y_t = S_t C_t + D x_t, for heads with a decay each.

    Δ, x, B and C follow from the token, x, B and C by way of a convolution over the last few; what comes out is gated
    by a further projection and normalised over each group. Computed in chunks, at a cost linear in the length.

    Source: Dao and Gu 2024 (2405.21060), section 7.1; initial values of A, Δ and D as in the authors' code.
    Differs: two directions, added, are not the paper's.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        direction: Direction,
        d_state: int,
        d_head: int,
        expand: int,
        n_groups: int,
        kernel_size: int,
        bias: bool,
        convolution_bias: bool,
        min_step: float,
        max_step: float,
        eps: float,
    ) -> None:
        def make() -> Scan:
            return _Scan(
                d_model=d_model,
                width=expand * d_model,
                d_state=d_state,
                d_head=d_head,
                n_groups=n_groups,
                kernel_size=kernel_size,
                bias=bias,
                convolution_bias=convolution_bias,
                steps=(min_step, max_step),
                eps=eps,
            )

        super().__init__(make, direction=direction)


class _Scan(Scan):
    def __init__(
        self,
        *,
        d_model: int,
        width: int,
        d_state: int,
        d_head: int,
        n_groups: int,
        kernel_size: int,
        bias: bool,
        convolution_bias: bool,
        steps: tuple[float, float],
        eps: float,
    ) -> None:
        super().__init__()
        H = width // d_head
        self.n_groups, self.d_state, self.d_head, self.eps = n_groups, d_state, d_head, eps
        self.sizes = (width, width + 2 * n_groups * d_state, H)  # gate; x, B and C; Δ
        self.input = Linear(d_model, sum(self.sizes), bias=bias)
        self.convolution = ShortConvolution(self.sizes[1], kernel_size, bias=convolution_bias)
        self.step_bias = nn.Parameter(torch.empty(H))
        self.log_a = nn.Parameter(torch.empty(H))
        self.skip = nn.Parameter(torch.ones(H))
        self.gain = nn.Parameter(torch.ones(width))
        self.output = Linear(width, d_model, bias=bias)
        self.steps = steps
        self.draw_first_values()

    @torch.no_grad()
    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        nn.init.uniform_(self.log_a, 1, 16).log_()
        draw_step_biases(self.step_bias, *self.steps)

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for."""
        return {self.input: "residual_input", self.output: "residual_output"}

    def new_state(self, n: int) -> State:
        """The last inputs of the convolution, and S [n, G, H / G, d_state, d_head]: zeros."""
        heads = (self.n_groups, self.sizes[2] // self.n_groups)
        return self.convolution.new_state(n), self.skip.new_zeros(n, *heads, self.d_state, self.d_head)

    def forward(
        self, rows: Tensor, state: State | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, State]:
        inputs, before = state or (None, None)
        gate, mixed, step = self.input(rows).split(self.sizes, dim=-1)
        mixed, inputs = self.convolution(mixed, inputs, valid=valid)
        n = self.n_groups * self.d_state
        x, b, c = mixed.split([self.sizes[0], n, n], dim=-1)
        x = x.unflatten(-1, (self.n_groups, -1, self.d_head))  # [N, L, G, R, P]
        b, c = (part.unflatten(-1, (self.n_groups, -1)).transpose(1, 2) for part in (b, c))  # [N, G, L, K]

        wide = torch.promote_types(rows.dtype, torch.float32)
        step = F.softplus(step.to(wide) + self.step_bias)  # [N, L, H]
        if valid is not None:  # a step of no time: the state stays
            step = step * valid[..., None]
        step = step.unflatten(-1, (self.n_groups, -1))  # [N, L, G, R]
        decay = -self.log_a.exp().unflatten(0, (self.n_groups, -1)) * step
        content = (x * step[..., None]).permute(0, 2, 3, 1, 4)  # [N, G, R, L, P]
        y, after = decayed_sums(c, b, content, decay.permute(0, 2, 3, 1), before)
        y = y.permute(0, 3, 1, 2, 4) + x * self.skip.view(self.n_groups, -1, 1)  # [N, L, G, R, P]

        y = y.flatten(3) * F.silu(gate.to(wide)).unflatten(-1, (self.n_groups, -1))  # [N, L, G, D' / G]
        y = F.rms_norm(y, y.shape[-1:], None, self.eps).flatten(2) * self.gain
        out = self.output(y.to(rows.dtype))
        return out, () if inputs is None or after is None else (inputs, after)
