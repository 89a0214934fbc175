"""Corpora of series: what they read, how they are cut by time, and what they say of bad data."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus

LINES = ["date,a,b", *(f"2016-07-01 {i:02}:00:00,{i}.5,{-i}" for i in range(12))]


def csv(folder: Path, lines: list[str] = LINES, **fields: Any) -> Corpus:
    path = folder / "series.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return of({"type": "series_csv", "path": str(path), "n_train": 5, "n_dev": 3, "n_test": 2, **fields})


def of(data: dict[str, Any]) -> Corpus:
    built: Corpus = CORPUS.build(parse(CORPUS.entry(data["type"]).spec, data))
    return built


def read(corpus: Corpus, split: str, policy: Any = "error") -> tuple[np.ndarray[Any, Any], int, BadLines]:
    bad_lines = BadLines(policy)
    (row,) = corpus.rows(split, bad_lines=bad_lines)
    return row["series"], row["n_before"], bad_lines


def test_a_series_is_cut_by_time_and_a_split_sees_what_lies_before_it(tmp_path: Path) -> None:
    corpus = csv(tmp_path)
    assert corpus.splits() == ["train", "dev", "test"]
    for split, end, before in (("train", 5, 0), ("dev", 8, 5), ("test", 10, 8)):
        series, n_before, _ = read(corpus, split)
        assert series.tolist() == [[i + 0.5, -i] for i in range(end)]
        assert n_before == before
    assert csv(tmp_path, n_test=0).splits() == ["train", "dev"]


def test_other_columns_and_delimiters_and_gzip(tmp_path: Path) -> None:
    path = tmp_path / "series.gz"
    path.write_bytes(gzip.compress(b'x;"the y";z\n1;"2";3\n4;5;6\n'))
    data = {"type": "series_csv", "path": str(path), "n_train": 1, "n_dev": 1}
    series, _, _ = read(of(data | {"delimiter": ";", "ignore": ["the y"]}), "dev")
    assert series.tolist() == [[1, 3], [4, 6]]


@pytest.mark.parametrize(
    ("number", "line", "message"),
    [
        (
            2,
            "2016-07-01,x,1",
            r"series\.csv:2: no number: 'x' in column a; what is no variable, task\.data\.ignore names",
        ),
        (4, "2016-07-01,x,1", r"series\.csv:4: no number: 'x' in column a"),
        (5, "2016-07-01,1,", r"series\.csv:5: no number: '' in column b"),
        (5, "2016-07-01,1,nan", r"series\.csv:5: no number: 'nan' in column b"),
        (6, "2016-07-01,1", r"series\.csv:6: wrong number of columns: 2, but the heading has 3"),
        (3, "", r"series\.csv:3: wrong number of columns: 0, but the heading has 3"),
        (7, "2016\u2028,1,2", r"series\.csv:7: line separator: U\+2028"),
    ],
)
def test_a_bad_line_is_named_or_left_out(tmp_path: Path, number: int, line: str, message: str) -> None:
    lines = LINES.copy()
    lines[number - 1] = line
    corpus = csv(tmp_path, lines)
    with pytest.raises(DataError, match=message):
        read(corpus, "dev")
    series, _, bad_lines = read(corpus, "dev", "skip")
    assert series[:, 1].tolist() == [-i for i in range(9) if i != number - 2]
    assert bad_lines.counts.total() == 1


@pytest.mark.parametrize(
    ("lines", "fields", "message"),
    [
        ([], {}, "series.csv: the file is empty"),
        (LINES[:9], {}, r"series.csv: 8 good lines, but n_train, n_dev and n_test need 5 \+ 3 \+ 2"),
        (LINES, {"ignore": ["time"]}, "series.csv:1: there is no column 'time' to ignore"),
        (LINES, {"ignore": ["date", "a", "b"]}, "series.csv:1: no variable in the heading"),
        (LINES[1:], {}, "series.csv:1: no heading: '0.5' is a number"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(
    tmp_path: Path, lines: list[str], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(csv(tmp_path, lines, **fields), "test")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = {"type": "series_csv", "path": str(tmp_path / "none.csv"), "n_train": 1, "n_dev": 1}
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read(of(data), "train")


def test_without_numbers_a_series_is_cut_by_shares_of_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "series.csv"
    path.write_text("a\n" + "".join(f"{i}\n" for i in range(24)))
    corpus = of({"type": "series_csv", "path": str(path)})
    assert corpus.splits() == ["train", "dev", "test"]
    found = {split: read(corpus, split)[:2] for split in corpus.splits()}
    assert {split: (len(series), before) for split, (series, before) in found.items()} == {
        "train": (16, 0), "dev": (18, 16), "test": (24, 18),
    }  # fmt: skip
    counted = of({"type": "series_csv", "path": str(path), "n_train": 16, "n_dev": 2, "n_test": 6})
    assert found["test"][0].tolist() == read(counted, "test")[0].tolist()
    path.write_text("a\n" + "1\n" * 9)
    with pytest.raises(DataError, match=r"series\.csv: 9 good lines cannot be cut into parts to train"):
        read(corpus, "train")
    path.write_text("time,a\n" + "8 o'clock,1\n" * 30)
    with pytest.raises(
        DataError, match=r"series\.csv:2: .* in column time; what is no variable, task\.data\.ignore"
    ):
        read(corpus, "train")
    with pytest.raises(DataError, match=r"in column time \("):  # a file that is no corpus has no such key
        corpus.whole(bad_lines=BadLines("error"))


@pytest.mark.parametrize("given", [{"n_train": 5}, {"n_dev": 5}, {"n_test": 5}, {"n_train": 5, "n_test": 2}])
def test_numbers_of_some_splits_alone_are_refused(given: dict[str, int]) -> None:
    with pytest.raises(SpecError, match="n_train, n_dev and n_test go together"):
        parse(CORPUS.entry("series_csv").spec, {"type": "series_csv", "path": "x", **given})


WAVES = {"type": "waves", "n_train": 340, "n_dev": 23, "n_test": 29}


def test_waves_are_the_same_each_time_and_others_for_another_seed() -> None:
    first, again, other = (read(of({**WAVES, "seed": seed}), "test")[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert first.shape == (392, 3)
    assert not np.allclose(first, other)


def test_waves_without_noise_repeat_every_week() -> None:
    series, n_before, _ = read(of({**WAVES, "noise": 0}), "dev")
    assert n_before == 340
    np.testing.assert_allclose(series[168:], series[:-168], atol=2e-4)
    assert np.abs(series[24:] - series[:-24]).max() > 0.1


@pytest.mark.parametrize(
    "make", [lambda folder, **more: csv(folder, **more), lambda folder, **more: of(WAVES | more)]
)
def test_a_fingerprint_tells_splits_and_settings_apart(tmp_path: Path, make: Any) -> None:
    corpus = make(tmp_path)
    found = {corpus.fingerprint(split) for split in corpus.splits()}
    assert len(found) == 3
    assert make(tmp_path).fingerprint("train") in found
    assert make(tmp_path, n_train=4).fingerprint("train") not in found
