"""A split's documents as one stream of tokens, cut into blocks of equal length without regard to where they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zoo.data.store import Example, ExampleStore, Integers
from zoo.errors import DataError

Sampling = Literal["epochs", "random"]


class Packing:
    """Blocks of a stream, an Arrangement: what is in a block follows from its number, which blocks from the epoch's.

    The stream is the column `tokens` of a store, one document after the other, each with its end. Every token of it
    is predicted: from the one before it, and the first of a document from `start`. Nothing of it is in memory.

    A block to learn from has `length` tokens. An epoch of `epochs` predicts every token once, in blocks that are
    shuffled and begin elsewhere in each epoch; one of `random` has as many blocks, each from anywhere.
    An evaluation scores every token once, in order: by windows of `length` tokens that move on by `stride`, of which
    those are scored that no window before has had.
    """

    def __init__(
        self,
        store: ExampleStore,
        *,
        start: int,
        length: int,
        stride: int,
        sampling: Sampling,
        is_training: bool,
        tokens_per_batch: int,
        rows_per_batch: int | None,
        seed: int,
    ) -> None:
        """Raises: DataError where a batch to learn from does not hold a block."""
        if is_training and length > tokens_per_batch:
            raise DataError(
                f"training.tokens_per_batch is {tokens_per_batch}, but a block has task.length = {length} tokens; "
                "raise the one or lower the other"
            )
        self._store = store
        self._start, self._length, self._stride = start, length, stride
        self._sampling, self._is_training, self._seed = sampling, is_training, seed
        self._rows = max(1, min(tokens_per_batch // length, rows_per_batch or tokens_per_batch))

    @property
    def n_tokens(self) -> int:
        """Tokens of the stream, ends of documents included."""
        return len(self._store.columns["tokens"].values)

    def epoch(self, number: int) -> Sequence[NDArray[np.int64]]:
        """The blocks of each batch; batches of one epoch differ by one block at most."""
        if not self._is_training:
            starts = np.r_[0, np.arange(self._length, self.n_tokens, self._stride)]
            blocks = self._numbers(starts, np.r_[starts[1:], self.n_tokens])
        else:
            # Raw bits of a counter-based generator, which numpy promises to keep as they are.
            generator = np.random.Philox(key=np.array([self._seed, number], np.uint64))
            blocks = self._random(generator) if self._sampling == "random" else self._shifted(generator)
        return np.array_split(blocks, -(-len(blocks) // self._rows))

    def _random(self, generator: np.random.Philox) -> NDArray[np.int64]:
        length = min(self._length, self.n_tokens)
        bits = generator.random_raw(-(-self.n_tokens // length))
        starts = (bits % np.uint64(self.n_tokens - length + 1)).astype(np.int64)
        return self._numbers(starts, starts + length)

    def _shifted(self, generator: np.random.Philox) -> NDArray[np.int64]:
        shift = int(generator.random_raw() % self._length)
        starts = np.arange(shift, self.n_tokens, self._length)
        if shift:
            starts = np.r_[0, starts]
        blocks = self._numbers(starts, np.r_[starts[1:], self.n_tokens])
        return blocks[np.argsort(generator.random_raw(len(blocks)), kind="stable")]

    def _numbers(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
        """A block's number: where what it predicts begins, and how many tokens that is."""
        return starts * (self._length + 1) + (ends - starts)

    def example(self, number: int) -> Example:
        """A block of T tokens, of which the last n are predicted, or all of one to learn from.

        tokens [T] are read, labels [T] follow them; documents [T] is one more at each beginning; scored [1] is n. Where
        the store has `bytes`, so has the block: how many the documents have that end among the n.
        """
        start, n = divmod(number, self._length + 1)
        end = start + n
        first = start if self._is_training else max(0, start - self._length + self._stride)
        column = self._store.columns["tokens"]
        labels = np.asarray(column.values[first:end])
        tokens = np.empty_like(labels)
        tokens[1:] = labels[:-1]
        tokens[0] = column.values[first - 1] if first else self._start
        begun, over = np.searchsorted(column.offsets[:-1], (first, end))
        begins: Integers = column.offsets[begun:over] - first
        tokens[begins] = self._start
        is_first = np.zeros(len(labels), np.int32)
        is_first[begins] = 1
        example = {
            "tokens": tokens,
            "labels": labels,
            "documents": np.cumsum(is_first),
            "scored": np.array([n]),
        }
        if (n_bytes := self._store.columns.get("bytes")) is not None:
            ended = np.searchsorted(column.offsets[1:], (start, end), side="right")
            example["bytes"] = n_bytes.values[ended[0] : ended[1]].sum(keepdims=True)
        return example
