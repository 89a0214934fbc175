"""Diagonal state space model: each feature filtered by a sum of fading waves, as one long convolution."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._directions import Direction, Directions, Scan, State
from zoo.components.mixer._steps import StepsSpec, draw_log_steps
from zoo.costs import Cost, Order, product, trained
from zoo.kernels.common import without_autocast
from zoo.kernels.linear import Linear
from zoo.kinds import MIXER, Role
from zoo.sizes import Batch, linear_size

Start = Literal["lin", "inv"]


class DiagonalSSMSpec(StepsSpec):
    type: Literal["diagonal_ssm"] = "diagonal_ssm"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "an_initialisation_reaches_every_matrix": "its decays start at one half each, as the source has it",
    }
    d_state: int = Field(64, ge=2, le=65536)
    """Size of the state of each feature, even: half as many complex numbers and their conjugates."""
    start: Literal["lin", "inv"] = "lin"
    """Frequencies at first: S4D-Lin's, evenly apart, or S4D-Inv's, as those of S4."""
    bias: bool = True
    """Whether the projection after the filters adds a bias."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if self.d_state % 2:
            raise ValueError(
                f"d_state ({self.d_state}) must be even: complex numbers come with their conjugates"
            )

    def n_parameters(self, *, d_model: int) -> int:
        own = d_model * (2 * self.d_state + 2) + linear_size(d_model, 2 * d_model, bias=self.bias)
        return self.n_directions * own

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        # Of the filters, whatever the batch.
        waves = 5 * (math.isqrt(batch.length) + 1) * self.d_state + 4 * batch.length
        return d_model * (batch.n_tokens * (1 + 8 * self.n_directions) + self.n_directions * waves)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        n, (coarse, fine) = self.n_directions, grid_sizes(batch.length)
        # A fast transform has no products of matrices; the filters are the same for all sequences.
        filters = product(d_model * coarse, self.d_state, fine)
        order = Order("n·d² + n·d·(k + log n)", "1", "1", "Gu et al. 2022 (S4D), section 3")
        return trained(
            n * (product(batch.n_tokens, d_model, 2 * d_model) + filters),
            f"2·{n}·(2·T·D² + T·D·N / B)",
            cached=d_model * self.d_state if role == "causal" else 0,
            mixing=self.mixing(order, role, batch.length, n_steps=1),
        )


@MIXER.register(
    "diagonal_ssm",
    spec=DiagonalSSMSpec,
    examples=[
        {"d_state": 4},
        {"d_state": 6, "start": "inv", "bias": False},
        {"d_state": 2, "direction": "both"},
    ],
)
class DiagonalSSM(Directions):
    """S4D: s' = A s + u, y = 2 Re(C s) + D u for each feature u, A diagonal and complex, in steps of learned length.

    Between two tokens u stays (zero-order hold), so s_t = Ā s_{t-1} + B̄ u_t with Ā = exp(Δ A), B̄ = (Ā - 1) / A. Over
    a whole sequence y is a convolution, by fast Fourier transforms in O(T log T); their rounding, and no more, reaches
    from later tokens to earlier ones. Then GELU, and a projection to 2·D whose second half gates the first.

    Source: Gu et al. 2022 (2206.11893), sections 3 and 4, and the authors' s4d.py for the projection; the real part of
        A is -exp of a parameter, B is 1.
    Differs: A and Δ have no learning rate of their own; two directions are added after a projection each, where the
        authors add before one.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        direction: Direction,
        min_step: float,
        max_step: float,
        d_state: int,
        start: Start,
        bias: bool,
    ) -> None:
        def make() -> Scan:
            return _Scan(d_model, d_state // 2, start=start, steps=(min_step, max_step), bias=bias)

        super().__init__(make, direction=direction)


class _Scan(Scan):
    def __init__(
        self, d_model: int, n_waves: int, *, start: Start, steps: tuple[float, float], bias: bool
    ) -> None:
        super().__init__()
        self.log_step = nn.Parameter(torch.empty(d_model))
        self.log_decay = nn.Parameter(torch.full((d_model, n_waves), math.log(0.5)))
        order = torch.arange(n_waves, dtype=torch.float32)
        size = 2 * n_waves
        frequency = math.pi * order if start == "lin" else size / math.pi * (size / (2 * order + 1) - 1)
        self.frequency = nn.Parameter(frequency.repeat(d_model, 1))
        self.c = nn.Parameter(torch.empty(d_model, n_waves, 2))  # real, imaginary
        self.skip = nn.Parameter(torch.empty(d_model))
        self.output = Linear(d_model, 2 * d_model, bias=bias)
        self.steps = steps
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization."""
        draw_log_steps(self.log_step, *self.steps)
        nn.init.normal_(self.c, std=0.5**0.5)
        nn.init.normal_(self.skip)

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrix is for."""
        return {self.output: "residual_output"}

    def new_state(self, n: int) -> State:
        """s [n, D, N / 2, 2], real and imaginary parts: zeros."""
        return (self.c.new_zeros(n, *self.c.shape, dtype=_wide(self.c)),)

    def forward(
        self, rows: Tensor, state: State | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, State]:
        u = rows.to(_wide(rows))
        with without_autocast(rows.device):
            after: State = ()
            if state is None:
                y = self._filtered(u)
            else:
                y, after = self._continued(u, torch.view_as_complex(state[0]), valid)
            y = F.gelu(y + u * self.skip)
        return F.glu(self.output(y.to(rows.dtype)), dim=-1), after

    def _system(self) -> tuple[Tensor, Tensor, Tensor]:
        """Δ A, B̄ and C: complex [D, N / 2] each."""
        wide = _wide(self.c)
        a = torch.complex(-self.log_decay.to(wide).exp(), self.frequency.to(wide))
        z = self.log_step.to(wide).exp()[:, None] * a
        # exp(z) - 1 without the loss of digits where z is small, as for short steps
        half = torch.sin(z.imag / 2)
        real = torch.expm1(z.real) * z.imag.cos() - 2 * half.square()
        held = torch.complex(real, z.real.exp() * z.imag.sin()) / a
        return z, held, torch.view_as_complex(self.c.to(wide))

    def _filtered(self, u: Tensor) -> Tensor:
        """y of whole sequences: [N, L, D] -> [N, L, D]."""
        z, b, c = self._system()
        L = u.shape[1]
        kernel = _sum_of_waves(c * b, z, L)  # [D, L]
        # Twice the length, so that the end does not wrap around to the beginning.
        spectrum = torch.fft.rfft(u.transpose(1, 2), n=2 * L) * torch.fft.rfft(kernel, n=2 * L)
        return torch.fft.irfft(spectrum, n=2 * L)[..., :L].transpose(1, 2)

    def _continued(self, u: Tensor, s: Tensor, valid: Tensor | None) -> tuple[Tensor, State]:
        """The same from state s [N, D, N / 2] on, and the state after the last token."""
        z, b, c = self._system()
        L = u.shape[1]
        if L == 1:
            new = z.exp() * s + b * u[:, 0, :, None]
            return 2 * (c * new).sum(dim=-1).real[:, None], (torch.view_as_real(new),)
        y = self._filtered(u) + _sum_of_waves(c * s * z.exp(), z, L).transpose(1, 2)
        every = valid if valid is not None else torch.ones_like(u[..., 0], dtype=torch.bool)
        lengths = every.sum(dim=1, keepdim=True)  # [N, 1]
        # Each row's last token first: u_{n-1}, .., u_0, which have faded by Ā^0, .., Ā^{n-1}.
        places = lengths - 1 - torch.arange(L, device=u.device)  # [N, L]
        u = u.gather(1, places.clamp(min=0)[..., None].expand_as(u)) * (places >= 0)[..., None]
        new = (z * lengths[..., None]).exp() * s + b * _faded_sum(u.transpose(1, 2), z)
        return y, (torch.view_as_real(new),)


def _wide(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def grid_sizes(length: int) -> tuple[int, int]:
    """I and J near the root of a length, I·J places of which hold it."""
    fine = math.isqrt(length - 1) + 1
    return -(-length // fine), fine


def _grid(z: Tensor, L: int) -> tuple[Tensor, Tensor]:
    """exp(z l) for all l < L as products of two: exp(z J i) [D, I, W] and exp(z j) [D, J, W], l = J i + j.

    There are √L of each, so no value is worked out for every wave and place.
    """
    coarse, fine = (torch.arange(n, device=z.device)[:, None] for n in grid_sizes(L))
    return (z[:, None] * (len(fine) * coarse)).exp(), (z[:, None] * fine).exp()


def _sum_of_waves(weights: Tensor, z: Tensor, L: int) -> Tensor:
    """2 Re(Σ_w weights_w exp(z_w l)) for l < L: complex weights [..., D, W], z [D, W] -> real [..., D, L]."""
    coarse, fine = _grid(z, L)
    rows = coarse * weights[..., None, :]  # [..., D, I, W]
    rows = torch.cat([rows.real, -rows.imag], dim=-1)
    columns = torch.cat([fine.real, fine.imag], dim=-1)
    return 2 * (rows @ columns.transpose(-2, -1)).flatten(-2)[..., :L]


def _faded_sum(u: Tensor, z: Tensor) -> Tensor:
    """Σ_l u_l exp(z l): real u [N, D, L], z [D, W] -> complex [N, D, W]."""
    coarse, fine = _grid(z, u.shape[-1])
    J = fine.shape[1]
    u = F.pad(u, (0, -u.shape[-1] % J)).unflatten(-1, (-1, J))  # [N, D, I, J]
    return (torch.complex(u @ fine.real, u @ fine.imag) * coarse).sum(dim=-2)
