"""The size and the cost of sums over earlier tokens that fade."""

from __future__ import annotations

from math import ceil

from zoo.costs import product
from zoo.kernels.decayed_sums import CHUNK
from zoo.sizes import Batch


def n_chunks(length: int, size: int = CHUNK) -> int:
    """Chunks of a sequence, which follow each other."""
    return ceil(length / size)


def flops_of_sums(batch: Batch, *, n_heads: int, n_groups: int, d_k: int, d_v: int) -> int:
    """Operations of `decayed_sums`: pairs within a chunk, and beyond one, what it adds to the state and reads there."""
    size = min(CHUNK, batch.length)
    n_vectors = batch.n_rows * n_chunks(batch.length) * size  # the last chunk is filled up
    forward = product(n_vectors, size, n_groups * d_k + n_heads * d_v)
    return forward + (2 * product(n_vectors, d_k, n_heads * d_v) if batch.length > size else 0)


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
    whole = n_chunks(batch.length) * size  # the last chunk is filled up
    return (pairs + states + 4 * n_groups * d_k + values) * whole // batch.length
