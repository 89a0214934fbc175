"""Blocks of a stream: which tokens are predicted in them, from what, and how often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from zoo.data.packing import Packing
from zoo.data.store import ExampleStore, temporary_store
from zoo.errors import DataError
from zoo.special_ids import BOS, EOS

LENGTHS = (5, 1, 13, 2, 7, 3)  # with their ends: a stream of 31 tokens


@pytest.fixture
def store() -> Iterator[ExampleStore]:
    """Documents whose tokens are all different: 100, 101, ..., each document ended by EOS."""
    documents, token = [], 100
    for n in LENGTHS:
        tokens = [*range(token, token + n - 1), EOS]
        token += n
        documents.append({"tokens": np.array(tokens, np.uint16), "bytes": np.array([10 * n])})
    with temporary_store(documents) as made:
        yield made


def packing(store: ExampleStore, **given: Any) -> Packing:
    defaults: dict[str, Any] = {
        "start": BOS,
        "length": 4,
        "stride": 4,
        "sampling": "epochs",
        "is_training": True,
        "tokens_per_batch": 13,
        "rows_per_batch": None,
        "seed": 1,
    }
    return Packing(store, **{**defaults, **given})


def predicted(made: Packing, epoch: int) -> list[list[tuple[int, int]]]:
    """The places and labels of the tokens that each block predicts, in order."""
    column = made._store.columns["tokens"]
    found = []
    for number in (int(number) for batch in made.epoch(epoch) for number in batch):
        example = made.example(number)
        n = int(example["scored"][0])
        start = number // (made._length + 1)
        found.append(list(zip(range(start, start + n), example["labels"][-n:].tolist(), strict=True)))
        assert column.values[start : start + n].tolist() == example["labels"][-n:].tolist()
    return found


@pytest.mark.parametrize("length", [1, 4, 30, 31, 50])
def test_an_epoch_predicts_every_token_once_in_blocks_that_begin_elsewhere(
    store: ExampleStore, length: int
) -> None:
    made = packing(store, length=length, tokens_per_batch=3 * length)
    begins = set()
    for epoch in range(7):
        blocks = predicted(made, epoch)
        assert sorted(place for block in blocks for place, _ in block) == list(range(31))
        assert all(1 <= len(block) <= length for block in blocks)
        begins.add(tuple(sorted(block[0][0] for block in blocks)))
    assert len(begins) > 1 or length == 1


def test_an_epoch_is_a_function_of_seed_and_number(store: ExampleStore) -> None:
    def epochs(seed: int) -> list[list[list[int]]]:
        made = packing(store, seed=seed)
        return [[batch.tolist() for batch in made.epoch(number)] for number in (3, 0, 3)]

    assert epochs(1) == epochs(1) != epochs(2)
    assert epochs(1)[0] == epochs(1)[2] != epochs(1)[1]


def test_batches_hold_as_many_blocks_as_the_budget_and_differ_by_one(store: ExampleStore) -> None:
    for given, most in (({}, 3), ({"rows_per_batch": 2}, 2), ({"tokens_per_batch": 4}, 1)):
        for epoch in range(5):
            sizes = [len(batch) for batch in packing(store, **given).epoch(epoch)]
            assert max(sizes) <= most
            assert max(sizes) - min(sizes) <= 1


def test_a_budget_that_no_block_fits_is_an_error_in_training_alone(store: ExampleStore) -> None:
    with pytest.raises(DataError, match=r"tokens_per_batch is 3, but a block has task\.length = 4 tokens"):
        packing(store, tokens_per_batch=3)
    assert len(packing(store, tokens_per_batch=3, is_training=False).epoch(0)) == 8


def test_random_blocks_are_whole_and_come_from_everywhere(store: ExampleStore) -> None:
    made = packing(store, sampling="random")
    starts: Counter[int] = Counter()
    for epoch in range(100):
        blocks = predicted(made, epoch)
        assert [len(block) for block in blocks] == [4] * 8
        starts.update(block[0][0] for block in blocks)
    assert set(starts) == set(range(28))
    (whole,) = predicted(packing(store, sampling="random", length=50, tokens_per_batch=50), 0)
    assert len(whole) == 31


@pytest.mark.parametrize(("length", "stride"), [(4, 4), (4, 1), (7, 3), (31, 5), (50, 50), (50, 2)])
def test_an_evaluation_scores_every_token_once_and_with_the_context_that_the_stride_leaves(
    store: ExampleStore, length: int, stride: int
) -> None:
    made = packing(store, length=length, stride=stride, is_training=False)
    blocks = predicted(made, 0)
    assert [place for block in blocks for place, _ in block] == list(range(31))
    for number, block in zip((int(n) for batch in made.epoch(0) for n in batch), blocks, strict=True):
        n_before = len(made.example(number)["labels"]) - len(block)
        assert n_before >= min(block[0][0], length - stride)
        assert n_before + len(block) <= length


def test_a_block_by_hand(store: ExampleStore) -> None:
    # Documents: 100-103 E | E | 106-117 E | 119 E | ...; a block of places 2 to 8.
    made = packing(store, length=7, tokens_per_batch=7)
    found = made.example(2 * 8 + 7)
    assert found["labels"].tolist() == [102, 103, EOS, EOS, 106, 107, 108]
    assert found["tokens"].tolist() == [101, 102, 103, BOS, BOS, 106, 107]
    assert found["documents"].tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert found["scored"].tolist() == [7]
    assert found["bytes"].tolist() == [50 + 10]
    first = made.example(0 * 8 + 3)
    assert first["tokens"].tolist() == [BOS, 100, 101]
    assert first["labels"].tolist() == [100, 101, 102]


def test_a_window_by_hand(store: ExampleStore) -> None:
    made = packing(store, length=5, stride=2, is_training=False)
    found = made.example(5 * 6 + 2)  # places 5 and 6, after three that were scored before
    assert found["labels"].tolist() == [102, 103, EOS, EOS, 106]
    assert found["tokens"].tolist() == [101, 102, 103, BOS, BOS]
    assert found["scored"].tolist() == [2]
    assert found["bytes"].tolist() == [10]


def test_bytes_of_all_windows_are_those_of_all_documents(store: ExampleStore) -> None:
    for length, stride in ((4, 4), (7, 3), (50, 2)):
        made = packing(store, length=length, stride=stride, is_training=False)
        assert sum(int(made.example(int(n))["bytes"][0]) for batch in made.epoch(0) for n in batch) == 310
