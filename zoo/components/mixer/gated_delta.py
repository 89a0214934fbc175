"""Gated delta rule: a state that forgets, and overwrites what it holds under a key."""

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
from zoo.components.mixer._sums import n_chunks
from zoo.costs import Cost, Order, product
from zoo.kernels.delta_rule import CHUNK, delta_rule
from zoo.kernels.linear import Linear
from zoo.kinds import MIXER, Role
from zoo.sizes import Batch


class GatedDeltaSpec(StepsSpec):
    type: Literal["gated_delta"] = "gated_delta"
    n_heads: int = Field(6, ge=1, le=1024)
    """Parallel heads."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Size of a query and a key per head; None: ¾ · d_model / n_heads."""
    d_v: int | None = Field(None, ge=1, le=65536)
    """Size of a value per head; None: 2 · d_k."""
    kernel_size: int = Field(4, ge=1, le=64)
    """Tokens that the convolution of queries, keys and values sees."""
    eps: float = Field(1e-5, gt=0, le=1)
    """Added to the mean square in the norm of each head."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if self.d_k is None and 3 * d_model % (4 * self.n_heads):
            raise ValueError(
                f"n_heads ({self.n_heads}) must divide ¾ of d_model ({0.75 * d_model:g}), or d_k be given"
            )

    def head_sizes(self, d_model: int) -> tuple[int, int]:
        """K and Kv."""
        return _head_sizes(d_model, self.n_heads, self.d_k, self.d_v)

    def n_parameters(self, *, d_model: int) -> int:
        H, (d_k, d_v) = self.n_heads, self.head_sizes(d_model)
        projections = d_model * H * (2 * d_k + 3 * d_v + 2)
        return self.n_directions * (projections + H * (2 * d_k + d_v) * self.kernel_size + d_v + 2 * H)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        H, (d_k, d_v), size = self.n_heads, self.head_sizes(d_model), min(CHUNK, batch.length)
        convolved, whole = H * (2 * d_k + d_v), -(-batch.length // size) * size
        rule = H * (5 * size + 10 * d_k + 5 * d_v + d_k * d_v // size) * whole // batch.length
        return batch.n_tokens * (d_model + self.n_directions * (3 * convolved + 5 * H * d_v + rule))

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        H, (d_k, d_v), n = self.n_heads, self.head_sizes(d_model), self.n_directions
        convolved, size, chunks = H * (2 * d_k + d_v), min(CHUNK, batch.length), n_chunks(batch.length)
        forward = product(batch.n_tokens, d_model, convolved + 2 * H * d_v + 2 * H)
        forward += product(batch.n_tokens, self.kernel_size, convolved)
        n_vectors = batch.n_rows * chunks * size  # the last chunk is filled up
        forward += product(n_vectors, size, H * (2 * d_k + d_v))
        forward += 3 * product(batch.n_rows * (chunks - 1) * size, d_k, H * d_v)
        # The gradient of what is solved for, which is no product: of its system's every number one.
        solved = product(n_vectors, size, H * (d_k + d_v))
        order = Order("n·d² + c·n·d + n·d²/h", "n/c", "n/c", "Yang et al. 2024, section 3.3")
        return Cost(
            n * forward,
            n * (2 * forward + solved),
            f"2·{n}·T·(D·(2·H·K + 3·H·Kv + 2·H) + r·H·(2·K + Kv) + c·H·(2·K + Kv)"
            + (" + 3·H·K·Kv)" if chunks > 1 else ")"),
            cached=(self.kernel_size - 1) * convolved + H * d_k * d_v if role == "causal" else 0,
            mixing=self.mixing(order, role, batch.length, n_steps=chunks),
        )


def _head_sizes(d_model: int, n_heads: int, d_k: int | None, d_v: int | None) -> tuple[int, int]:
    d_k = d_k or 3 * d_model // (4 * n_heads)
    return d_k, d_v or 2 * d_k


@MIXER.register(
    "gated_delta",
    spec=GatedDeltaSpec,
    examples=[
        {"n_heads": 3},
        {"n_heads": 2, "d_k": 5, "d_v": 7, "kernel_size": 3},
        {"n_heads": 2, "d_k": 4, "direction": "both"},
    ],
)
class GatedDelta(Directions):
    """S_t = α_t S_{t-1} (1 - β_t k_t k_tᵀ) + β_t v_t k_tᵀ, o_t = S_t q_t: Gated DeltaNet, for heads with α and β each.

    What the state holds under a key is moved by a share β of the way to the new value. q, k and v follow from the token
    by way of a convolution over the last few, q and k of length 1; o is normalised by head and gated. α comes from
    steps of learned length as in Mamba-2. Computed in chunks, at a cost linear in the length.

    Source: Yang et al. 2024 (2412.06464), sections 3.1 and 3.4; sizes and first values as in the authors' code
        (flash-linear-attention).
    Differs: -log α per unit of time starts between 1 and 16 as in Mamba-2, not between 0 and 16; two directions,
        added, are not the paper's.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        direction: Direction,
        min_step: float,
        max_step: float,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        kernel_size: int,
        eps: float,
    ) -> None:
        K, V = _head_sizes(d_model, n_heads, d_k, d_v)

        def make() -> Scan:
            return _Scan(
                d_model=d_model,
                n_heads=n_heads,
                d_k=K,
                d_v=V,
                kernel_size=kernel_size,
                steps=(min_step, max_step),
                eps=eps,
            )

        super().__init__(make, direction=direction)


class _Scan(Scan):
    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int,
        d_v: int,
        kernel_size: int,
        steps: tuple[float, float],
        eps: float,
    ) -> None:
        super().__init__()
        self.n_heads, self.d_k, self.d_v, self.eps = n_heads, d_k, d_v, eps
        convolved = n_heads * (2 * d_k + d_v)
        self.input = Linear(d_model, convolved, bias=False)  # queries, keys, values
        self.gate = Linear(d_model, n_heads * d_v, bias=False)
        self.control = Linear(d_model, 2 * n_heads, bias=False)  # steps, β
        self.convolution = ShortConvolution(convolved, kernel_size, bias=False)
        self.step_bias = nn.Parameter(torch.empty(n_heads))
        self.log_a = nn.Parameter(torch.empty(n_heads))
        self.gain = nn.Parameter(torch.ones(d_v))
        self.output = Linear(n_heads * d_v, d_model, bias=False)
        self.steps = steps
        self.draw_first_values()

    @torch.no_grad()
    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        nn.init.uniform_(self.log_a, 1, 16).log_()
        draw_step_biases(self.step_bias, *self.steps)

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for: the content and its gate begin the branch."""
        return {self.input: "residual_input", self.gate: "residual_input", self.output: "residual_output"}

    def new_state(self, n: int) -> State:
        """The last inputs of the convolution, and S [n, H, K, Kv]: zeros."""
        return self.convolution.new_state(n), self.gain.new_zeros(n, self.n_heads, self.d_k, self.d_v)

    def forward(
        self, rows: Tensor, state: State | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, State]:
        inputs, before = state or (None, None)
        wide = torch.promote_types(rows.dtype, torch.float32)
        mixed, inputs = self.convolution(self.input(rows), inputs, valid=valid)
        n = self.n_heads * self.d_k
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # [N, H, L, K]
            for part in mixed.split([n, n, self.n_heads * self.d_v], dim=-1)
        )
        q, k = _of_length_one(q.to(wide)) * self.d_k**-0.5, _of_length_one(k.to(wide))
        step, share = self.control(rows).to(wide).transpose(1, 2).chunk(2, dim=1)  # [N, H, L]
        decay = -self.log_a.exp()[:, None] * F.softplus(step + self.step_bias[:, None])
        share = share.sigmoid()
        if valid is not None:  # where there is no token the state stays: nothing fades, nothing is written
            decay, share = decay * valid[:, None], share * valid[:, None]
        y, after = delta_rule(q, k, v, decay, share, before)
        y = F.rms_norm(y.transpose(1, 2), (self.d_v,), None, self.eps) * self.gain  # [N, L, H, Kv]
        out = self.output((y.flatten(2) * F.silu(self.gate(rows).to(wide))).to(rows.dtype))
        return out, () if inputs is None or after is None else (inputs, after)


def _of_length_one(x: Tensor) -> Tensor:
    return x * (x.square().sum(dim=-1, keepdim=True) + 1e-6).rsqrt()
