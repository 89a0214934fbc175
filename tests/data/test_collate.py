"""Padded tensors against rows put together one by one, and batches of like lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from zoo.data.collate import length_batches, padded

LENGTHS = [3, 1, 7, 2]


def arrays(dtype: str, *shape: int, lengths: list[int] = LENGTHS) -> list[NDArray[Any]]:
    draw = np.random.Generator(np.random.PCG64(5))
    return [draw.normal(0, 50, (n, *shape)).astype(dtype) for n in lengths]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("<u2", torch.int64),
        ("<i4", torch.int64),
        ("u1", torch.int64),
        ("<f4", torch.float32),
        ("bool", torch.bool),
    ],
)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_rows_are_padded_as_one_by_one(dtype: str, expected: torch.dtype, shape: tuple[int, ...]) -> None:
    rows = arrays(dtype, *shape)
    values, mask = padded(rows, fill=1)
    assert values.shape == (4, 7, *shape)
    assert values.dtype == expected
    assert mask is not None
    assert mask.tolist() == [[place < length for place in range(7)] for length in LENGTHS]
    for value, row in zip(values, rows, strict=True):
        torch.testing.assert_close(value[: len(row)], torch.from_numpy(row.astype(expected_name(expected))))
        assert (value[len(row) :] == 1).all()


def expected_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def test_rows_of_one_length_have_no_mask() -> None:
    rows = arrays("<f4", 3, lengths=[5, 5])
    values, mask = padded(rows)
    assert mask is None
    torch.testing.assert_close(values, torch.from_numpy(np.stack(rows)))


def test_padding_is_zero_unless_told_otherwise() -> None:
    values, _ = padded(arrays("<f4", 2, lengths=[1, 4]))
    assert (values[0, 1:] == 0).all()


def test_rows_without_an_item_are_all_padding() -> None:
    values, mask = padded(arrays("<u2", lengths=[0, 2]))
    assert mask is not None
    assert mask.tolist() == [[False, False], [True, True]]
    assert values[0].tolist() == [0, 0]


@pytest.mark.parametrize("budget", [1, 12, 40, 1000])
def test_batches_hold_every_item_once_within_the_budget(budget: int) -> None:
    torch.manual_seed(budget)
    lengths = torch.randint(0, 20, (50,)).tolist()
    batches = length_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == [i for i, length in enumerate(lengths) if length]
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) * longest <= budget or len(batch) == 1


def test_batches_come_longest_first() -> None:
    longest = [[4, 9, 2, 6][batch[0]] for batch in length_batches([4, 9, 2, 6], 8)]
    assert longest == [9, 6, 4]
