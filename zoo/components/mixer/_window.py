"""What mixers share that see a window of positions: its two sides, and in a search the last inputs of each row."""

from __future__ import annotations

from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.kernels.cache import StateCache
from zoo.kernels.strips import Strips
from zoo.masks import Mask


def layers_until_all_meet(width: int, role: str, length: int) -> Fraction | None:
    """Layers with a window of that width until every output has met every input it may; None: it never looks ahead."""
    reach = width - 1 if role == "causal" else width - 1 - width // 2
    if length > 1 and reach == 0:
        return None
    return max(Fraction(1), Fraction(length - 1, max(1, reach)))


def with_window(rows: Tensor, width: int, *, mask: Mask, strips: Strips, cache: StateCache | None) -> Tensor:
    """Rows [N, L, C] with what a window of that width sees beyond them: [N, L + width - 1, C].

    A causal window ends at its own place, else that is its middle; of an even one the place after the middle. Beyond
    a document there are zeros, before the new tokens of a search what the cache kept of those so far.
    """
    if not mask.causal:
        before = width // 2
        return F.pad(rows, (0, 0, before, width - 1 - before))
    n_before, C = width - 1, rows.shape[2]
    if cache is None:
        return F.pad(rows, (0, 0, n_before, 0))
    n_rows = rows.shape[0] if strips.last is None else len(strips.last)
    kept = cache.state[0] if cache.state is not None else rows.new_zeros(n_rows, n_before, C)
    seen = torch.cat([strips.begin(kept), rows], dim=1)  # [N, width - 1 + L, C]
    if strips.lengths is None:
        new = seen[:, rows.shape[1] :]
    else:
        places = strips.lengths[:, None] + torch.arange(n_before, device=rows.device)  # [N, width - 1]
        new = seen.gather(1, places[..., None].expand(-1, -1, C))
    cache.state = (strips.end(new, kept).clone(),)
    return seen
