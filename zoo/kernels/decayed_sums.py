"""Linear attention whose past fades: sums over earlier tokens, each weighed by the decays in between.

What retention and state space models with one decay a head compute, in chunks: within a chunk tokens meet one by one,
and what came before a chunk is met in one matrix, so that the cost is linear in the length.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.kernels.common import without_autocast

CHUNK = 64
"""Tokens that meet each other one by one."""


def decayed_sums(
    q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor, state: Tensor | None = None, *, chunk: int = CHUNK
) -> tuple[Tensor, Tensor | None]:
    """y_i = q_i S_i of S_i = a_i S_{i-1} + k_iᵀ v_i, in float32 at least; log_decay is log a, 0 at most.

    state is what S is before the first token, and the second output what it is after the last; with None it begins
    with zeros, and None is given back. Queries and keys are shared by the R heads of a group.

    Source: Dao and Gu 2024, section 6; Sun et al. 2023, equation 7.
    Shapes: q, k [N, G, L, K], v [N, G, R, L, V], log_decay [N, G, R, L], state [N, G, R, K, V] -> out as v.
    """
    L, wide = q.shape[2], torch.promote_types(v.dtype, torch.float32)
    size = min(L, chunk)
    q, k, v = (in_chunks(x.to(wide), size) for x in (q, k, v))  # [N, G, C, size, K], [N, G, R, C, size, V]
    total = summed_decays(log_decay, size)  # [N, G, R, C, size]
    with without_autocast(q.device):
        scores = (q @ k.transpose(-2, -1))[:, :, None] * decays(total, wide)  # [N, G, R, C, size, size]
        out = scores @ v
        if state is not None or total.shape[-2] > 1:
            to_end = (total[..., -1:] - total).exp().to(wide)  # from each token to the end of its chunk
            new = torch.einsum("ngcik,ngrciv->ngrckv", k, v * to_end[..., None])
            from_start = total.exp().to(wide)
            before, state = _before(new, from_start[..., -1], state)
            met = torch.einsum("ngcik,ngrckv->ngrciv", q, before)
            out = out + met * from_start[..., None]
    return out.flatten(3, 4)[:, :, :, :L], state


def in_chunks(x: Tensor, size: int) -> Tensor:
    """[..., L, K] -> [..., C, size, K], zeros after the last token."""
    rest = -x.shape[-2] % size
    return (F.pad(x, (0, 0, 0, rest)) if rest else x).unflatten(-2, (-1, size))


def summed_decays(log_decay: Tensor, size: int) -> Tensor:
    """Log decays since the start of the chunk, its first token's included: [..., L] -> float64 [..., C, size]."""
    return in_chunks(log_decay.double()[..., None], size).squeeze(-1).cumsum(dim=-1)


def decays(total: Tensor, dtype: torch.dtype) -> Tensor:
    """What is left of token j at token i of its chunk, 0 for j > i: `summed_decays` [..., c] -> [..., c, c].

    Between two tokens long after a strong decay two large sums differ by little; with the halves of float64 apart,
    the difference is right to the digits of the dtype, without numbers of float64 a pair.
    """
    size = total.shape[-1]
    high = total.to(dtype)
    with torch.no_grad():
        low = (total - high).to(dtype)
    later = torch.ones(size, size, dtype=torch.bool, device=total.device).triu(1)
    between = (high[..., :, None] - high[..., None, :]) + (low[..., :, None] - low[..., None, :])
    return between.masked_fill_(later, -torch.inf).exp()


def _before(new: Tensor, decay: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The state before each chunk, as new [N, G, R, C, K, V], and after the last if there was one at first."""
    now = torch.zeros_like(new[:, :, :, 0]) if state is None else state.to(new.dtype)
    found = []
    # Unbound, for the gradient of an index is as large as what it indexes, and there is one a chunk.
    for added, left in zip(new.unbind(3), decay[..., None, None].unbind(3), strict=True):
        found.append(now)
        now = now * left + added
    return torch.stack(found, dim=3), None if state is None else now
