"""The size of sums over earlier tokens that fade."""

from __future__ import annotations

from zoo.kernels.decayed_sums import CHUNK
from zoo.sizes import Batch


def n_kept_of_sums(batch: Batch, *, n_heads: int, n_groups: int, d_k: int, d_v: int, is_learned: bool) -> int:
    """What `decayed_sums` keeps a token, what it is given aside: weights of pairs, and beyond a chunk the states.

    Decays that are learned call for more: their gradient needs what they are multiplied by.
    """
    size = min(CHUNK, batch.length)
    pairs = (2 * n_heads + n_groups * is_learned) * size
    if batch.length == size:
        return pairs
    states = (1 + is_learned) * n_heads * d_k * d_v // size
    values = (3 if is_learned else 1) * n_heads * d_v
    whole = -(-batch.length // size) * size  # the last chunk is filled up
    return (pairs + states + 4 * n_groups * d_k + values) * whole // batch.length
