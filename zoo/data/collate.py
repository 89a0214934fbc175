"""From arrays of different lengths to padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def padded(rows: Sequence[NDArray[Any]], *, fill: float = 0) -> tuple[Tensor, Tensor | None]:
    """Arrays [L, ...] of B rows as one tensor [B, longest, ...], and which places are real: bool [B, longest].

    None where nothing is padded. Integers become int64.
    """
    lengths = np.array([len(row) for row in rows])
    first = rows[0]
    dtype = np.int64 if first.dtype.kind in "iu" else first.dtype
    values = np.full((len(rows), lengths.max(), *first.shape[1:]), fill, dtype)
    inside = np.arange(lengths.max()) < lengths[:, None]
    values[inside] = np.concatenate(rows)
    return torch.from_numpy(values), None if inside.all() else torch.from_numpy(inside)


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices of the items of lengths above 0, in batches of like length, longest first.

    Longest first, so that a batch too large for the memory fails at the start. In a batch, items × longest is
    at most batch_tokens, except for a single longer item.
    """
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    for i in order:
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
