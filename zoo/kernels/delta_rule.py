"""The gated delta rule in chunks: what a token writes hangs on what its chunk wrote before it, solved for at once."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.kernels.common import without_autocast
from zoo.kernels.decayed_sums import decays, in_chunks, summed_decays

CHUNK = 64
"""Tokens that meet each other one by one."""


def delta_rule(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    share: Tensor,
    state: Tensor | None = None,
    *,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor | None]:
    """y_i = q_i S_i of S_i = a_i S_{i-1} + k_iᵀ u_i, u_i = β_i (v_i - a_i k_i S_{i-1}), in float32 at least.

    log_decay is log a, 0 at most; share is β, between 0 and 1; keys are of length 1 at most. state is what S is before
    the first token, and the second output what it is after the last; with None it begins with zeros, and None is given
    back.

    Source: Yang et al. 2024 (2412.06464), section 3.3.
    Shapes: q, k [N, H, L, K], v [N, H, L, V], log_decay and share [N, H, L], state [N, H, K, V] -> out as v.
    """
    L, wide = q.shape[2], torch.promote_types(v.dtype, torch.float32)
    size = min(L, chunk)
    q, k, v = (in_chunks(x.to(wide), size) for x in (q, k, v))  # [N, H, C, size, K]
    share = in_chunks(share.to(wide)[..., None], size)  # [N, H, C, size, 1]
    total = summed_decays(log_decay, size)  # [N, H, C, size]
    with without_autocast(q.device):
        between = decays(total, wide)  # [N, H, C, size, size]
        from_start = total.exp().to(wide)[..., None]
        to_end = (total[..., -1:] - total).exp().to(wide)[..., None]
        # u = β v - β (earlier keys of the chunk) u - β (state before the chunk): unit lower triangular in u.
        system = (k @ k.transpose(-2, -1)) * between * share
        u, met = torch.linalg.solve_triangular(
            system, torch.cat([v, k * from_start], dim=-1) * share, upper=False, unitriangular=True
        ).split([v.shape[-1], k.shape[-1]], dim=-1)
        scores = (q @ k.transpose(-2, -1)) * between
        return _through(q * from_start, k * to_end, u, met, scores, from_start[..., -1:, :], state, L)


def _through(
    q: Tensor, k: Tensor, u: Tensor, met: Tensor, scores: Tensor, left: Tensor, state: Tensor | None, L: int
) -> tuple[Tensor, Tensor | None]:
    """From chunk to chunk: what each writes, less what the state has under its keys, and what it reads."""
    now, found = state if state is None else state.to(u.dtype), []
    n_chunks = u.shape[2]
    # Unbound, for the gradient of an index is as large as what it indexes, and there is one a chunk.
    parts = zip(*(part.unbind(2) for part in (q, k, u, met, scores, left)), strict=True)
    for i, (q_i, k_i, u_i, met_i, scores_i, left_i) in enumerate(parts):
        if now is not None:
            u_i = u_i - met_i @ now
        out = scores_i @ u_i
        found.append(out if now is None else out + q_i @ now)
        if state is not None or i < n_chunks - 1:
            new = k_i.transpose(-2, -1) @ u_i
            now = new if now is None else now * left_i + new
    return torch.stack(found, dim=2).flatten(2, 3)[:, :, :L], None if state is None else now
