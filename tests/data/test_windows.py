"""Windows over stored series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from zoo.data.store import ABOUT, ExampleStore, ExampleWriter
from zoo.data.windows import Windows, window_places
from zoo.errors import DataError

LOOK_BACK, HORIZON, V = 4, 2, 3


@pytest.fixture
def store(tmp_path: Path) -> ExampleStore:
    """Two series of 11 and 9 times, of which the second is only looked back at for 6."""
    series = [np.arange(n * V, dtype=np.float32).reshape(n, V) + start for n, start in ((11, 0), (9, 1000))]
    examples = [
        {"series": each, "first": np.array([first])} for each, first in zip(series, (0, 6), strict=True)
    ]
    with ExampleWriter(tmp_path) as writer:
        writer.add(examples)
    about = {"columns": writer.about(), "counts": {}}
    (tmp_path / ABOUT).write_text(json.dumps(about))
    return ExampleStore(tmp_path)


def windows(store: ExampleStore, *, stride: int = 1, rows: int | None = None, tokens: int = 100) -> Windows:
    return Windows(
        store,
        look_back=LOOK_BACK,
        horizon=HORIZON,
        stride=stride,
        n_tokens=5,
        tokens_per_batch=tokens,
        rows_per_batch=rows,
        seed=3,
    )


def test_every_window_of_every_series_is_an_example(store: ExampleStore) -> None:
    found = windows(store)
    numbers = sorted(int(number) for batch in found.epoch(0) for number in batch)
    # 11 values: futures begin at 4 to 9; 9 values from 6 on: at 6 and 7.
    assert numbers == list(range(8))
    places = [(0, place) for place in range(4, 10)] + [(1, 6), (1, 7)]
    for number, (i, place) in enumerate(places):
        series, example = store[i]["series"], found.example(number)
        assert np.array_equal(example["past"], series[place - LOOK_BACK : place])
        assert np.array_equal(example["future"], series[place : place + HORIZON])


def test_a_stride_leaves_times_out() -> None:
    assert window_places(0, 11, LOOK_BACK, HORIZON, 3).tolist() == [4, 7]
    assert window_places(6, 11, LOOK_BACK, HORIZON, 3).tolist() == [6, 9]
    assert window_places(0, 5, LOOK_BACK, HORIZON, 1).tolist() == []
    assert window_places(0, 6, LOOK_BACK, HORIZON, 1).tolist() == [4]


def test_batches_hold_so_many_windows_and_tokens(store: ExampleStore) -> None:
    assert max(len(batch) for batch in windows(store, rows=3).epoch(0)) == 3
    assert max(len(batch) for batch in windows(store, tokens=11).epoch(0)) == 2
    with pytest.raises(DataError, match="tokens_per_batch is 4, but row 1 has 5 tokens"):
        windows(store, tokens=4)


def test_an_epoch_is_a_pure_function_of_its_number_and_no_other(store: ExampleStore) -> None:
    first, again, second = (windows(store, rows=2).epoch(number) for number in (0, 0, 1))
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in again]
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
