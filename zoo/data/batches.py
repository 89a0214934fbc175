"""Which pairs go together into a batch: by token budget, alike in length, and anew in each epoch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zoo.errors import DataError

Integers = NDArray[np.integer]

POOL_PADDING = 0.03
"""Padding, as a share of all tokens, that a pool of several batches may hold at most, however it is cut."""
BATCHES_PER_BAND = 4
"""Batches' worth of rows of neighbouring target lengths that are sorted by source length together."""
N_CUTS = 5
"""Ways of cutting, a fifth of a batch apart, that the epochs take in turn."""


class BatchPlan:
    """The batches of every epoch: a pure function of lengths, budget, seed and the epoch's number.

    Rows are put in order of their lengths and cut into pools of one or more full batches. In every
    epoch, rows of equal lengths exchange places, each pool is shuffled and cut into batches, and the batches
    are shuffled; the pools lie elsewhere than in the epoch before. So a row meets other rows in each epoch,
    while the number of batches stays the same.
    """

    def __init__(
        self, lengths: Integers, *, tokens_per_batch: int, seed: int, rows_per_batch: int | None = None
    ) -> None:
        """Lengths [N, sides] are those of a batch's rows on each side, the most telling side last. A side of a
        batch, padded, has at most tokens_per_batch tokens, and the batch at most rows_per_batch rows.

        Raises: DataError for a row that is longer than that.
        """
        lengths = np.maximum(lengths, 1)  # a row of nothing takes a place too
        longest = lengths.max(1)
        if longest.max() > tokens_per_batch:
            raise DataError(
                f"training.tokens_per_batch is {tokens_per_batch}, but row {int(longest.argmax()) + 1} has "
                f"{longest.max()} tokens; raise it, or leave long rows out by task.max_length"
            )
        self._seed = seed
        # Alike is who is alike on the last side, and in the longest of the others.
        target_lengths = lengths[:, -1]
        source_lengths = lengths[:, :-1].max(1) if lengths.shape[1] > 1 else target_lengths
        # Rows of equal lengths form a cell. There are far fewer cells than rows, and the plan is made of
        # cells.
        base = int(target_lengths.max()) + 1
        both = source_lengths.astype(np.int64) * base + target_lengths
        cells, cell_of_row, counts = np.unique(both, return_inverse=True, return_counts=True)
        order = _in_order(cells // base, cells % base, counts, tokens_per_batch)
        place_of_cell = np.empty(len(cells), np.uint32)
        place_of_cell[order] = np.arange(len(cells), dtype=np.uint32)
        self._cell_places = place_of_cell[cell_of_row.reshape(-1)]
        ordered = cells[order] // base, cells[order] % base, counts[order]
        most = tokens_per_batch if rows_per_batch is None else rows_per_batch
        cuts = [_pools(*ordered, tokens_per_batch, most, (i + 1) / N_CUTS) for i in range(N_CUTS)]
        self._pool_sizes = [[size for size, _ in pools] for pools in cuts]
        self._batch_sizes = _equally_many([_batch_sizes(pools) for pools in cuts])

    @property
    def n_batches(self) -> int:
        """Batches in each epoch."""
        return len(self._batch_sizes[0])

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """The numbers of the rows in each batch of an epoch, in the order of training."""
        n = len(self._cell_places)
        # Raw bits of a counter-based generator: numpy promises that they stay as they are, which its shuffles
        # may not.
        bits = np.random.Philox(key=np.array([self._seed, number], np.uint64)).random_raw(n + self.n_batches)
        cut = 2 * number % N_CUTS  # two fifths on from one epoch to the next
        pools = np.repeat(np.arange(len(self._pool_sizes[cut]), dtype=np.uint32), self._pool_sizes[cut])
        pairs = _sorted_by(self._cell_places, bits[:n] >> np.uint64(32))
        pairs = pairs[_sorted_by(pools, bits[:n] & np.uint64(2**32 - 1))]
        bounds = np.cumsum([0, *self._batch_sizes[cut]])
        return [pairs[bounds[i] : bounds[i + 1]] for i in np.argsort(bits[n:], kind="stable")]


def _sorted_by(major: NDArray[np.uint32], minor: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The order of two keys of 32 bits; stable, so that equal keys cannot make it depend on the machine."""
    return np.argsort(major.astype(np.uint64) << np.uint64(32) | minor, kind="stable")


def _in_order(
    sources: Integers, targets: Integers, counts: Integers, tokens_per_batch: int
) -> NDArray[np.int64]:
    """An order of the cells in which neighbours are alike on both sides.

    Bands of target lengths, each with a few batches' worth of pairs, are sorted by source length: up, then
    down in the next band, so that there is no jump between two bands.
    """
    share = np.bincount(targets, weights=counts * np.maximum(sources, targets) / tokens_per_batch)
    band_of_length = np.zeros(len(share), np.int64)
    band, filled = 0, 0.0
    for length, batches in enumerate(share):
        if filled >= BATCHES_PER_BAND:
            band, filled = band + 1, 0.0
        band_of_length[length] = band
        filled += float(batches)
    bands = band_of_length[targets]
    return np.lexsort((targets, np.where(bands % 2, -sources, sources), bands))


def _pools(
    sources: Integers,
    targets: Integers,
    counts: Integers,
    tokens_per_batch: int,
    most_rows: int,
    first: float,
) -> list[tuple[int, int]]:
    """Cuts the cells, in their order, into pools: (pairs in the pool, pairs in each of its batches).

    A pool grows while its padding, every batch being as long as the pool's longest, stays within
    POOL_PADDING, and until it fills a batch. It then keeps as many pairs as fill whole batches and leaves the
    rest to the next one. The first pool is only a part of a batch, and so shifts all the others.
    """
    pools: list[tuple[int, int]] = []
    todo = [
        (int(s), int(t), int(n)) for s, t, n in zip(sources[::-1], targets[::-1], counts[::-1], strict=True)
    ]
    while todo:
        taken: list[tuple[int, int, int]] = []
        n_pairs = n_real = longest_source = longest_target = 0
        while todo:
            source, target, count = todo[-1]
            long_source, long_target = max(longest_source, source), max(longest_target, target)
            real = n_real + count * (source + target)
            longest = max(longest_source, longest_target)
            is_full = n_pairs and n_pairs >= min(tokens_per_batch // longest, most_rows)
            if is_full and real < (1 - POOL_PADDING) * (n_pairs + count) * (long_source + long_target):
                break
            taken.append(todo.pop())
            n_pairs, n_real, longest_source, longest_target = n_pairs + count, real, long_source, long_target
        per_batch = min(tokens_per_batch // max(longest_source, longest_target), most_rows)
        rest = n_pairs % per_batch if todo and n_pairs > per_batch else 0
        if not pools:
            rest = n_pairs - min(n_pairs, max(1, int(first * per_batch)))
        pools.append((n_pairs - rest, per_batch))
        while rest:
            source, target, count = taken.pop()
            back = min(rest, count)
            todo.append((source, target, back))
            rest -= back
            if back < count:
                break
    return pools


def _batch_sizes(pools: list[tuple[int, int]]) -> list[int]:
    return [min(n, size - start) for size, n in pools for start in range(0, size, n)]


def _equally_many(cuts: list[list[int]]) -> list[list[int]]:
    """Halves the largest batches of those cuts that have fewer than another."""
    most = max(map(len, cuts))
    for sizes in cuts:
        while len(sizes) < most:
            largest = sizes.index(max(sizes))
            half = sizes[largest] // 2
            sizes[largest : largest + 1] = [half, sizes[largest] - half]
    return cuts
