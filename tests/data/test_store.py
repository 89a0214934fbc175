"""Examples in files: every array comes back as it was written."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zoo.data.store import ABOUT, Example, ExampleStore, ExampleWriter, text_array, text_of

SHAPES = {
    "tokens": ("<u2", ()),
    "wide": ("<i4", ()),
    "label": ("<i8", ()),
    "bytes": ("u1", ()),
    "flags": ("bool", ()),
    "series": ("<f4", (3,)),
    "image": ("u1", (2, 5)),
    "exact": ("<f8", ()),
}


def examples(n: int, seed: int = 1) -> list[Example]:
    """Arrays of all dtypes and shapes, none of one length with its neighbour's, some empty; a label is a scalar."""
    draw = np.random.Generator(np.random.PCG64(seed))

    def one(name: str) -> NDArray[Any]:
        dtype, shape = SHAPES[name]
        length = 1 if name == "label" else int(draw.integers(0, 6))
        return draw.normal(100, 60, (length, *shape)).clip(0).astype(dtype)

    return [{name: one(name) for name in SHAPES} for _ in range(n)]


def stored(folder: Path, *chunks: list[Example]) -> ExampleStore:
    folder.mkdir(exist_ok=True)
    with ExampleWriter(folder) as writer:
        for chunk in chunks:
            writer.add(chunk)
        columns = writer.about()
    (folder / ABOUT).write_text(json.dumps({"columns": columns, "counts": {"too odd": 2}}))
    return ExampleStore(folder)


def assert_equal(found: Example, given: Example) -> None:
    assert list(found) == list(given)
    for name, array in given.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_arrays_of_any_dtype_and_shape_of_items_come_back(tmp_path: Path) -> None:
    given = examples(11)
    store = stored(tmp_path, given[:4], [], given[4:])
    assert len(store) == 11
    for number in (10, 3, 0, 3, *range(11)):  # in any order, and often
        assert_equal(store[number], given[number])
    assert store.counts == {"too odd": 2}


def test_columns_tell_lengths_and_hold_all_arrays_one_after_the_other(tmp_path: Path) -> None:
    given = examples(7)
    store = stored(tmp_path, given)
    for name, column in store.columns.items():
        arrays = [example[name] for example in given]
        assert column.lengths().tolist() == [len(array) for array in arrays]
        assert column.offsets.tolist() == [0, *np.cumsum([len(array) for array in arrays])]
        np.testing.assert_array_equal(column.values, np.concatenate(arrays), strict=True)
        assert len(column) == 7


def test_a_column_without_a_single_item_is_read_like_any_other(tmp_path: Path) -> None:
    given: list[Example] = [
        {"nothing": np.zeros((0, 3), np.float32), "label": np.array([number])} for number in range(3)
    ]
    store = stored(tmp_path, given)
    for number, example in enumerate(given):
        assert_equal(store[number], example)


def test_arrays_are_the_same_bytes_on_any_machine(tmp_path: Path) -> None:
    given = np.array([1, 256, 65_535])
    store = stored(tmp_path, [{"x": given.astype(">u2")}])
    assert (tmp_path / "x.values").read_bytes() == b"\x01\x00\x00\x01\xff\xff"
    assert store[0]["x"].tolist() == given.tolist()


@pytest.mark.parametrize(
    ("first", "second"), [("<i4", "<i8"), ("<f4", "<f8"), ("<u2", "<i4"), ("<i4", "<f4")]
)
def test_an_array_that_would_not_fit_into_the_first_ones_dtype_is_refused(
    tmp_path: Path, first: str, second: str
) -> None:
    with pytest.raises(TypeError, match="Cannot cast"):
        stored(tmp_path, [{"x": np.zeros(1, first)}], [{"x": np.full(1, 70_000.1).astype(second)}])


def test_an_array_of_items_of_another_shape_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"items of shape \(2,\), and the first one \(3,\)"):
        stored(tmp_path, [{"x": np.zeros((2, 3))}], [{"x": np.zeros((3, 2))}])


@pytest.mark.parametrize("names", [["x"], ["x", "y", "z"], ["x", "z"]])
def test_examples_of_other_names_are_refused(tmp_path: Path, names: list[str]) -> None:
    def example(names: list[str]) -> Example:
        return {name: np.zeros(2, np.uint16) for name in names}

    for number, chunks in enumerate(
        ([[example(["x", "y"])], [example(names)]], [[example(["x", "y"]), example(names)]])
    ):
        with pytest.raises(ValueError, match="an example has"):
            stored(tmp_path / str(number), *chunks)


def test_a_sent_store_is_its_folder(tmp_path: Path) -> None:
    store = stored(tmp_path, examples(500))
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert_equal(pickle.loads(sent)[7], store[7])


@settings(max_examples=50)
@given(st.text())
def test_a_text_comes_back_from_its_array(text: str) -> None:
    assert text_of(text_array(text)) == text
