"""Labels and scalings: what they say, and that a run's folder gives back what was saved in it or an error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from zoo.data.coder import Coder
from zoo.data.coders import load_coder
from zoo.data.labels import Labels
from zoo.data.scaling import Scaling
from zoo.errors import RunError


def labels() -> Labels:
    return Labels.of(["sad", "happy", "ärgerlich", "happy", "O\u2028O"])


def scaling() -> Scaling:
    return Scaling.of(
        np.random.Generator(np.random.PCG64(3)).normal([5, -7e6, 1e-3], [2, 3e4, 1e-9], (31, 3))
    )


CODERS = {"labels": labels, "scaling": scaling}


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["10", "9", "1", "9"], ["1", "9", "10"]),
        (["2", "02", "1"], ["1", "02", "2"]),
        (["b", "a", "B"], ["B", "a", "b"]),
        (["10", "9", "none"], ["10", "9", "none"]),
        (["²", "10", "9"], ["10", "9", "²"]),
        ([], []),
    ],
)
def test_labels_of_numbers_are_sorted_by_size_and_others_by_code_points(
    names: list[str], expected: list[str]
) -> None:
    found = Labels.of(names)
    assert list(found.names) == expected
    assert [found.number(name) for name in expected] == list(range(len(expected)))
    assert len(found) == len(expected)
    assert Labels.of(names[::-1]).sha256 == found.sha256


def test_an_unknown_label_has_no_number() -> None:
    assert labels().number("bored") is None


SERIES = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 20), st.integers(1, 3)),
    elements=st.floats(-1e6, 1e6, allow_subnormal=False),
)


@settings(deadline=None)
@given(SERIES)
def test_a_series_comes_back_from_its_scaling(series: np.ndarray) -> None:
    coder = Scaling.of(series)
    scaled = coder.scaled(series)
    assert scaled.dtype == np.float32
    size = np.abs(series).max(0) + coder.deviation
    assert (np.abs(coder.restored(scaled) - series) <= 1e-5 * size + 1e-30).all()
    loaded = Scaling.restore(coder.data)
    np.testing.assert_array_equal(loaded.scaled(series), scaled)
    assert loaded.sha256 == coder.sha256


def test_scaling_is_to_mean_0_and_deviation_1_of_each_variable() -> None:
    series = np.random.Generator(np.random.PCG64(3)).normal([5, -7, 1], [2, 0.1, 30], (999, 3))
    scaled = Scaling.of(series).scaled(series)
    np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(0), 1, rtol=1e-5)
    batch = series.reshape(3, 333, 3)
    np.testing.assert_array_equal(Scaling.of(series).scaled(batch), scaled.reshape(3, 333, 3))


def test_a_variable_that_never_changes_is_only_shifted() -> None:
    series = np.array([[3.0, 1.0], [3.0, 5.0]])
    scaled = Scaling.of(series).scaled(np.array([[3.0, 3.0], [4.5, 5.0]]))
    assert scaled.tolist() == [[0, 0], [1.5, 1]]
    rounded = Scaling.of(np.full((7, 1), 0.1))  # whose mean is not quite 0.1
    np.testing.assert_allclose(rounded.scaled(np.array([[0.1], [0.35]])), [[0], [0.25]], atol=1e-7)


@pytest.mark.parametrize("name", CODERS)
def test_a_coder_is_the_same_after_saving_and_loading(tmp_path: Path, name: str) -> None:
    coder: Coder = CODERS[name]()
    coder.save(tmp_path, "stem")
    loaded = load_coder(tmp_path, "stem")
    assert type(loaded) is type(coder)
    assert (loaded.data, loaded.sha256, loaded.facts()) == (coder.data, coder.sha256, coder.facts())
    record = json.loads((tmp_path / "stem.json").read_text())
    assert record == {
        "type": name,
        "file": f"stem{coder.suffix}",
        "sha256": hashlib.sha256(coder.data).hexdigest(),
        **coder.facts(),
    }


@pytest.mark.parametrize("name", CODERS)
def test_every_flipped_byte_and_every_cut_is_found(tmp_path: Path, name: str) -> None:
    coder: Coder = CODERS[name]()
    coder.save(tmp_path, "stem")
    file = tmp_path / f"stem{coder.suffix}"
    for place in range(len(coder.data)):
        for damaged in (
            coder.data[:place],
            coder.data[:place] + bytes([coder.data[place] ^ 4]) + coder.data[place + 1 :],
        ):
            file.write_bytes(damaged)
            with pytest.raises(RunError, match="not what was saved: its SHA-256 is"):
                load_coder(tmp_path, "stem")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("labels", {"type": "scaling"}, "no scaling of a series"),
        ("scaling", {"type": "labels"}, "not a list of labels"),
        ("labels", {"type": "words"}, "says vocab_size None, but stem.names.json has 8"),
        ("labels", {"type": "colours"}, r"holds a 'colours', of which nothing is known \(known: .*labels, scaling"),
        ("labels", {"n_labels": 7}, "says n_labels 7, but stem.names.json has 4"),
        ("scaling", {"n_variables": 2}, "says n_variables 2, but stem.numbers.json has 3"),
        ("labels", {"file": "nowhere.json"}, "nowhere.json: cannot be read"),
        ("scaling", {"sha256": None}, "not what was saved"),
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_its_file_is_an_error(
    tmp_path: Path, name: str, change: dict[str, object], message: str
) -> None:
    CODERS[name]().save(tmp_path, "stem")
    record = tmp_path / "stem.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | change))
    with pytest.raises(RunError, match=message):
        load_coder(tmp_path, "stem")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"null", b"{}", b'{"a": 1}', b"[1, 2]", b'["a", 1]', b'["a", "b", "a"]', b"\xff", b'"ab"'],
)
def test_bytes_that_are_no_labels_are_refused(data: bytes) -> None:
    with pytest.raises(RunError, match="not a list of labels"):
        Labels.restore(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"null", b"[]", b'{"mean": [1]}', b'{"mean": [1], "deviation": ["x"]}', b"\xff",
        b'{"mean": 1, "deviation": 1}', b'{"mean": [1, 2], "deviation": [1]}', b'{"mean": [[1]], "deviation": [[1]]}',
    ],
)  # fmt: skip
def test_bytes_that_are_no_scaling_are_refused(data: bytes) -> None:
    with pytest.raises(RunError, match="no scaling of a series"):
        Scaling.restore(data)


def test_a_coder_that_cannot_be_written_is_a_run_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written: No such file"):
        labels().save(tmp_path / "nowhere", "stem")
