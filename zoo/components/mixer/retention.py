"""Retention: attention without a softmax, whose heads forget at fixed rates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.mixer._directions import Direction, Directions, DirectionsSpec, Scan, State
from zoo.components.mixer._sums import flops_of_sums, n_chunks, n_kept_of_sums
from zoo.costs import Cost, Order, product, trained
from zoo.kernels.cache import StateCache
from zoo.kernels.decayed_sums import CHUNK, decayed_sums
from zoo.kernels.linear import Linear
from zoo.kernels.rotary import Pairing, paired, turned, turns
from zoo.kinds import MIXER, Position, Role
from zoo.masks import Mask
from zoo.sizes import Batch, dividing

Norm = Literal["layer_norm", "rms_norm"]


class RetentionSpec(DirectionsSpec):
    type: Literal["retention"] = "retention"
    n_heads: int = Field(8, ge=1, le=64)
    """Parallel heads; head h keeps 1 - 2^(-5-h) of its state from token to token."""
    d_k: int | None = Field(None, ge=1, le=65536)
    """Size of a query and a key per head; None: d_model / n_heads."""
    d_v: int | None = Field(None, ge=1, le=65536)
    """Size of a value per head; None: 2 · d_k."""
    rotation: bool = True
    """Whether pairs of features of queries and keys turn with the distance between tokens; d_k is even then."""
    base: float = Field(10000.0, ge=1, le=1e9)
    """How many times slower the slowest pair would turn than the fastest."""
    pairing: Pairing = "interleaved"
    """Which features turn together: 2i and 2i + 1 (the paper), or i and i + K/2 (flash-linear-attention)."""
    norm: Norm = "layer_norm"
    """How each head's output is normalised: by its deviation, its mean taken off (the paper's group norm), or by its
    root mean square (torchscale 0.3, flash-linear-attention)."""
    eps: float = Field(1e-5, gt=0, le=1)
    """Added to the variance, or to the mean square, in the norm of each head."""
    gain: bool = False
    """Whether a learned gain, one for all heads, multiplies what is normalised (flash-linear-attention)."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        super().check(d_model=d_model, role=role, position=position)
        if self.d_k is None and d_model % self.n_heads:
            some = dividing(self.n_heads, d_model)
            raise ValueError(
                f"n_heads ({self.n_heads}) must divide d_model ({d_model}), {some}, or d_k be given"
            )
        d_k, _ = self.head_sizes(d_model)
        if self.rotation and d_k % 2:
            raise ValueError(f"d_k ({d_k}) must be even, for pairs of features turn; or set rotation false")

    def head_sizes(self, d_model: int) -> tuple[int, int]:
        """K and Kv."""
        d_k = self.d_k or d_model // self.n_heads
        return d_k, self.d_v or 2 * d_k

    def n_parameters(self, *, d_model: int) -> int:
        d_k, d_v = self.head_sizes(d_model)
        return self.n_directions * (d_model * self.n_heads * (2 * d_k + 3 * d_v) + self.gain * d_v)

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        H, (d_k, d_v) = self.n_heads, self.head_sizes(d_model)
        own = H * (4 * d_k + (5 + self.gain) * d_v) + n_kept_of_sums(
            batch, n_heads=H, n_groups=H, d_k=d_k, d_v=d_v, is_learned=False
        )
        return batch.n_tokens * (d_model + self.n_directions * own)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        H, (d_k, d_v), n = self.n_heads, self.head_sizes(d_model), self.n_directions
        forward = n * product(batch.n_tokens, d_model, H * (2 * d_k + 3 * d_v))
        forward += n * flops_of_sums(batch, n_heads=H, n_groups=H, d_k=d_k, d_v=d_v)
        order = Order("n·d² + c·n·d + n·d²/h", "n/c", "n/c", "Sun et al. 2023, equation 7")
        return trained(
            forward,
            f"2·{n}·T·H·(D·(2·K + 3·Kv) + c·(K + Kv)" + (" + 2·K·Kv)" if batch.length > CHUNK else ")"),
            cached=H * d_k * d_v + 1 if role == "causal" else 0,  # with the number of tokens
            mixing=self.mixing(order, role, batch.length, n_steps=n_chunks(batch.length)),
        )


@MIXER.register(
    "retention",
    spec=RetentionSpec,
    examples=[
        {"n_heads": 3},
        {"n_heads": 2, "d_k": 5, "d_v": 7, "rotation": False, "direction": "backwards"},
        {"n_heads": 2, "d_k": 4, "direction": "both", "base": 100.0},
        {"n_heads": 2, "d_k": 4, "d_v": 7, "pairing": "half", "norm": "rms_norm", "gain": True},
    ],
)
class Retention(Directions):
    """S_t = γ S_{t-1} + k_tᵀ v_t, o_t = q_t S_t, for heads with a γ each; normalised by head and gated.

    Queries and keys turn with their place, as with rotary positions, so that a product depends on the distance too.
    Computed in chunks, at a cost linear in the length.

    Source: Sun et al. 2023 (2307.08621), equations 6 to 8; sizes of values and a norm without a gain as in the authors'
        torchscale, the other pairing, norm and gain as in flash-linear-attention, whose checkpoints are published.
    Differs: no normalisation of the decays and of the scores, which the norm of each head undoes but for its eps; the
        slowest pair turns as in rotary positions, by base^(2/K - 1), not torchscale's 1/base; two directions, added,
        are not the paper's.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        direction: Direction,
        n_heads: int,
        d_k: int | None,
        d_v: int | None,
        rotation: bool,
        base: float,
        pairing: Pairing,
        norm: Norm,
        eps: float,
        gain: bool,
    ) -> None:
        K = d_k or d_model // n_heads

        def make() -> Scan:
            return _Scan(
                d_model=d_model,
                n_heads=n_heads,
                d_k=K,
                d_v=d_v or 2 * K,
                base=base if rotation else None,
                pairing=pairing,
                norm=norm,
                eps=eps,
                gain=gain,
            )

        super().__init__(make, direction=direction)
        self.rotation = rotation

    def forward(
        self, x: Tensor, *, mask: Mask, position: Position | None, cache: StateCache | None
    ) -> Tensor:
        if self.rotation and mask.positions is not None:
            raise ValueError(
                "retention turns queries and keys by their places and takes no positions given to a call"
            )
        return super().forward(x, mask=mask, position=position, cache=cache)


class _Scan(Scan):
    def __init__(
        self,
        *,
        d_model: int,
        n_heads: int,
        d_k: int,
        d_v: int,
        base: float | None,
        pairing: Pairing,
        norm: Norm,
        eps: float,
        gain: bool,
    ) -> None:
        super().__init__()
        self.n_heads, self.d_k, self.d_v, self.base, self.eps = n_heads, d_k, d_v, base, eps
        self.pairing = pairing
        self.norm: Callable[..., Tensor] = F.layer_norm if norm == "layer_norm" else F.rms_norm
        self.query = Linear(d_model, n_heads * d_k, bias=False)
        self.key = Linear(d_model, n_heads * d_k, bias=False)
        self.value = Linear(d_model, n_heads * d_v, bias=False)
        self.gate = Linear(d_model, n_heads * d_v, bias=False)
        self.gain = nn.Parameter(torch.ones(d_v)) if gain else None
        self.output = Linear(n_heads * d_v, d_model, bias=False)

    def roles(self) -> dict[nn.Module, Role]:
        """What the matrices are for: the content and its gate begin the branch."""
        return {self.value: "residual_input", self.gate: "residual_input", self.output: "residual_output"}

    def new_state(self, n: int) -> State:
        """S [n, H, 1, K, Kv], and how many tokens went before, int64 [n]: zeros."""
        weight = self.output.weight
        before = torch.zeros(n, dtype=torch.int64, device=weight.device)
        return weight.new_zeros(n, self.n_heads, 1, self.d_k, self.d_v), before

    def forward(
        self, rows: Tensor, state: State | None = None, *, valid: Tensor | None = None
    ) -> tuple[Tensor, State]:
        before, n_before = state or (None, None)
        wide = torch.promote_types(rows.dtype, torch.float32)
        q, k, v = (
            part(rows).unflatten(-1, (self.n_heads, -1)) for part in (self.query, self.key, self.value)
        )
        q, k = q.to(wide) * self.d_k**-0.5, k.to(wide)  # [N, L, H, K]
        if self.base is not None:
            q, k = self._turned(q, k, n_before)
        heads = torch.arange(self.n_heads, dtype=torch.float64, device=rows.device)
        decay = torch.log1p(-(2 ** (-5 - heads)))[:, None, None].expand(len(rows), -1, 1, rows.shape[1])
        if valid is not None:  # where there is no token nothing fades; a row of zeros adds nothing
            decay = decay * valid[:, None, None]
        y, after = decayed_sums(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)[:, :, None], decay, before
        )
        y = self.norm(y[:, :, 0].transpose(1, 2), (self.d_v,), eps=self.eps)  # [N, L, H, Kv]
        if self.gain is not None:
            y = y * self.gain
        out = self.output((y.flatten(2) * F.silu(self.gate(rows).to(wide))).to(rows.dtype))
        if after is None or n_before is None:
            return out, ()
        return out, (after, n_before + (rows.shape[1] if valid is None else valid.sum(dim=1)))

    def _turned(self, q: Tensor, k: Tensor, n_before: Tensor | None) -> tuple[Tensor, Tensor]:
        """q and k [N, L, H, K], their pairs turned by the place times the speed of the pair."""
        assert self.base is not None
        places = torch.arange(q.shape[1], device=q.device)[None]  # [1, L]
        if n_before is not None:
            places = places + n_before[:, None]
        angles = places[..., None, None] * turns(self.base, self.d_k, q.device)  # [N or 1, L, 1, K / 2]
        cos, sin = angles.cos().to(q.dtype), angles.sin().to(q.dtype)
        cos, sin = paired(cos, cos, self.pairing), paired(-sin, sin, self.pairing)
        return turned(q, cos, sin, self.pairing), turned(k, cos, sin, self.pairing)
