"""From pairs of token ids to padded tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.data.rows import TokenPairs
from zoo.special_ids import BOS, EOS, PAD

Integers = NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Batch:
    """B pairs as padded rows; masks are True at real tokens."""

    source: Tensor
    """Long [B, S]: the source, EOS, then PAD."""
    source_mask: Tensor
    """Bool [B, S]."""
    target_input: Tensor
    """Long [B, T]: BOS, the target, then PAD."""
    labels: Tensor
    """Long [B, T]: the target, EOS, then PAD."""
    target_mask: Tensor
    """Bool [B, T], for target_input and labels alike."""
    n_tokens: int
    """Labels, padding not counted."""
    n_source_tokens: int
    """Source tokens, padding not counted."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Self:
        """The batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The batch in memory from which a GPU can copy while it computes."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        return replace(
            self,
            source=change(self.source),
            source_mask=change(self.source_mask),
            target_input=change(self.target_input),
            labels=change(self.labels),
            target_mask=change(self.target_mask),
        )


def collate(pairs: TokenPairs, indices: Integers) -> Batch:
    """The batch of the pairs with those numbers, in that order."""
    tokens, lengths = pairs.source.take(indices)
    inside = _inside(lengths)
    source = _padded(tokens, inside, lengths + 1)
    source[np.arange(len(lengths)), lengths] = EOS

    tokens, target_lengths = pairs.target.take(indices)
    inside = _inside(target_lengths)
    labels = _padded(tokens, inside, target_lengths + 1)
    target_input = np.empty_like(labels)
    target_input[:, 0] = BOS
    target_input[:, 1:] = labels[:, :-1]  # before EOS is set, where the row is full of PAD
    labels[np.arange(len(target_lengths)), target_lengths] = EOS

    return Batch(
        source=torch.from_numpy(source),
        source_mask=torch.from_numpy(_inside(lengths + 1)),
        target_input=torch.from_numpy(target_input),
        labels=torch.from_numpy(labels),
        target_mask=torch.from_numpy(_inside(target_lengths + 1)),
        n_tokens=int(target_lengths.sum()) + len(target_lengths),
        n_source_tokens=int(lengths.sum()) + len(lengths),
    )


def _inside(lengths: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Bool [B, longest]: True where a row of that length has a token."""
    return np.arange(lengths.max()) < lengths[:, None]


def _padded(
    tokens: NDArray[np.int64], inside: NDArray[np.bool_], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    rows = np.full((len(lengths), lengths.max()), PAD, np.int64)
    rows[:, : inside.shape[1]][inside] = tokens
    return rows
