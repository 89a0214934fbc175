"""The cache of examples: what is in it is what the encoding says, and it is there whole or not at all."""

from __future__ import annotations

import logging
import os
import pickle
import random
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.data import cache
from zoo.data.bad_lines import Policy
from zoo.data.cache import Rejected, entry_name
from zoo.data.store import Example, ExampleStore, ExampleWriter, text_array, text_of
from zoo.errors import DataError, RunError
from zoo.kinds import Corpus, Row

MakeCorpus = Callable[..., Corpus]

ROWS: list[Row] = [
    {"source": source, "target": target}
    for source, target in [("ab", "xyz"), ("b", "zz"), ("abbab", "x"), ("aa", "yyyy"), ("bbb", "zx")]
]


@dataclass(frozen=True)
class Letters:
    """Letters as numbers, and for each letter of the source two shares; long rows are rejected."""

    recipe: str = "letters"
    is_strict: bool = True
    longest: int = 50

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> list[Example | Rejected]:
        return [self._one(row, is_scored=is_scored) for row in rows]

    def _one(self, row: Row, *, is_scored: bool) -> Example | Rejected:
        source, target = (np.array([ord(letter) for letter in row[side]], np.uint16) for side in row)
        longest = max(len(source), len(target))
        if longest > self.longest:
            return Rejected("too many", f"{longest} letters, over {self.longest}")
        shares = np.stack([source / 256, source % 7], axis=1).astype(np.float32)
        example = {"source": source, "target": target, "shares": shares, "label": np.array([len(source)])}
        return {**example, "answer": text_array(row["target"])} if is_scored else example


@pytest.fixture
def letters() -> Letters:
    return Letters()


def encoded(
    corpus: Corpus, split: str, encoding: Letters, folder: Path, bad_lines: Policy = "error"
) -> ExampleStore:
    return cache.encoded(corpus, split, encoding, folder, bad_lines=bad_lines)


def everything(store: ExampleStore) -> list[dict[str, Any]]:
    return [{name: array.tolist() for name, array in store[number].items()} for number in range(len(store))]


def expected(rows: Sequence[Row], letters: Letters) -> list[dict[str, Any]]:
    found = letters.encode(rows, is_scored=False)
    return [
        {name: array.tolist() for name, array in each.items()} for each in found if isinstance(each, dict)
    ]


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_examples_are_what_the_encoding_says(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    store = encoded(list_corpus(train=ROWS), "train", letters, tmp_path)
    assert everything(store) == expected(ROWS, letters)
    assert store.columns["source"].lengths().tolist() == [2, 1, 5, 2, 3]
    assert (len(store), store.counts) == (5, {})


def test_only_splits_that_are_predicted_have_what_predictions_are_compared_with(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    corpus = list_corpus(train=ROWS, dev=ROWS[::-1], test=ROWS)
    stores = {split: encoded(corpus, split, letters, tmp_path) for split in corpus.splits()}
    assert "answer" not in stores["train"].columns
    assert text_of(stores["dev"][0]["answer"]) == "zx"
    assert text_of(stores["test"][0]["answer"]) == "xyz"


def test_many_chunks_make_one_array(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encoded(list_corpus(train=ROWS * 3), "train", letters, tmp_path / "whole")
    monkeypatch.setattr(cache, "CHUNK", 4)
    chunked = encoded(list_corpus(train=ROWS * 3), "train", letters, tmp_path / "chunked")
    assert everything(chunked) == everything(whole) == expected(ROWS * 3, letters)


def test_a_second_opening_reads_no_text(list_corpus: Any, letters: Letters, tmp_path: Path) -> None:
    corpus = list_corpus(train=ROWS)
    first = encoded(corpus, "train", letters, tmp_path)
    second = encoded(corpus, "train", letters, tmp_path)
    assert corpus.n_reads == 1
    assert second.folder == first.folder
    assert entries(tmp_path) == [first.folder.name]


def test_whatever_changes_the_examples_changes_the_name(list_corpus: MakeCorpus, letters: Letters) -> None:
    corpus = list_corpus(train=ROWS, dev=ROWS)
    names = [
        entry_name(corpus, "train", letters, "error"),
        entry_name(corpus, "train", replace(letters, recipe="others"), "error"),
        entry_name(corpus, "train", replace(letters, is_strict=False), "error"),
        entry_name(corpus, "train", letters, "skip"),
        entry_name(corpus, "dev", letters, "error"),  # of the same rows, but scored
        entry_name(list_corpus(train=ROWS[::-1]), "train", letters, "error"),
    ]
    assert len(set(names)) == 6
    assert entry_name(list_corpus(train=[*ROWS]), "train", letters, "error") == names[0]


def test_rows_without_an_example_are_left_out_and_counted_where_the_spec_says_so(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 2)
    lenient = replace(letters, longest=3, is_strict=False)
    corpus = list_corpus(train=[None, *ROWS[:3], None, *ROWS[3:]])
    store = encoded(corpus, "train", lenient, tmp_path, "skip")
    assert store.counts == {"too many": 2, "bad": 2}
    assert everything(store) == expected([ROWS[0], ROWS[1], ROWS[4]], letters)


def test_a_chunk_of_which_nothing_is_left_leaves_no_hole(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 1)
    lenient = replace(letters, longest=3, is_strict=False)
    store = encoded(list_corpus(train=ROWS[2:]), "train", lenient, tmp_path)
    assert everything(store) == expected(ROWS[4:], letters)


def test_a_row_without_an_example_is_an_error_that_names_its_line_otherwise(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    strict = replace(letters, longest=4)
    with pytest.raises(DataError, match=r"train\.txt:4: 5 letters, over 4$"):
        encoded(list_corpus(train=[ROWS[0], None, *ROWS[1:]]), "train", strict, tmp_path, "skip")
    assert entries(tmp_path) == []


def test_a_row_of_a_corpus_without_lines_is_named_by_its_number(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 2)
    corpus = list_corpus(train=ROWS)
    monkeypatch.setattr(corpus, "rows", lambda split, *, bad_lines: iter(ROWS))
    with pytest.raises(DataError, match=r"train\.txt, row 3: 5 letters, over 4$"):
        encoded(corpus, "train", replace(letters, longest=4), tmp_path)


def test_a_split_of_which_nothing_is_left_is_an_error(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    lenient = replace(letters, longest=1, is_strict=False)
    with pytest.raises(DataError, match=r"train\.txt: no row is left; left out: {'too many': 5, 'bad': 1}"):
        encoded(list_corpus(train=[None, *ROWS]), "train", lenient, tmp_path, "skip")
    assert entries(tmp_path) == []


def damage(file: Path, how: str) -> None:
    data = file.read_bytes()
    if how == "gone":
        file.unlink()
    elif how == "cut":
        file.write_bytes(data[:-1])
    elif how == "longer":
        file.write_bytes(data + b"\0")
    else:
        place = random.Random(how).randrange(len(data))
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])


@pytest.mark.parametrize("how", ["gone", "cut", "longer", "flip", "another flip"])
@pytest.mark.parametrize(
    "name", [*(f"{column}.{part}" for column in ("source", "shares", "label") for part in ("values", "offsets")),
             "about.json"],
)  # fmt: skip
def test_a_damaged_entry_is_made_anew_and_said_to_be(
    list_corpus: MakeCorpus,
    letters: Letters,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: str,
) -> None:
    corpus, lenient = list_corpus(train=ROWS), replace(letters, longest=4, is_strict=False)
    sound = encoded(corpus, "train", lenient, tmp_path)
    before = everything(sound), sound.counts
    damage(sound.folder / name, how)
    again = encoded(corpus, "train", lenient, tmp_path)
    assert (everything(again), again.counts) == before
    assert "the cache is damaged" in caplog.text
    assert entries(tmp_path) == [sound.folder.name]


@pytest.mark.parametrize(
    ("old", "new"), [('"too many": 1', '"too many": 2'), ('"<f4"', '"<i4"'), ('"too many"', '"too few"')]
)
def test_a_changed_record_is_damage(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, old: str, new: str
) -> None:
    corpus, lenient = list_corpus(train=ROWS), replace(letters, longest=4, is_strict=False)
    first = encoded(corpus, "train", lenient, tmp_path)
    before, about = everything(first), first.folder / "about.json"
    text = about.read_text()
    assert old in text
    about.write_text(text.replace(old, new))
    again = encoded(corpus, "train", lenient, tmp_path)
    assert (again.counts, everything(again)) == ({"too many": 1}, before)


def test_what_is_no_folder_is_replaced_too(list_corpus: MakeCorpus, letters: Letters, tmp_path: Path) -> None:
    corpus = list_corpus(train=ROWS)
    (tmp_path / entry_name(corpus, "train", letters, "error")).write_text("not a folder")
    assert len(encoded(corpus, "train", letters, tmp_path)) == 5


def test_many_writers_at_once_make_one_entry(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    corpus, n = list_corpus(train=ROWS * 50), 12
    for _ in range(5):
        with ThreadPoolExecutor(n) as pool:
            made = [pool.submit(encoded, corpus, "train", letters, tmp_path) for _ in range(n)]
        found = [future.result() for future in made]
        assert {store.folder.name for store in found} == set(entries(tmp_path))
        assert all(everything(store) == everything(found[0]) for store in found)
        damage(found[0].folder / "source.values", "cut")  # and the next round begins with a damaged one


def test_a_failed_writing_leaves_nothing_and_is_a_run_error(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: ExampleWriter, examples: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ExampleWriter, "add", full)
    with pytest.raises(RunError, match="the cache cannot be written: No space left on device"):
        encoded(list_corpus(train=ROWS), "train", letters, tmp_path)
    assert entries(tmp_path) == []


def test_a_place_that_is_no_folder_is_a_run_error(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="the cache cannot be written"):
        encoded(list_corpus(train=ROWS), "train", letters, tmp_path / "file")


def test_only_what_dead_writers_left_is_swept(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    dead, alive, other = tmp_path / ".a.1.tmp", tmp_path / ".b.2.tmp", tmp_path / "c"
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "source.values").write_bytes(b"..")
        for path in (folder / "source.values", folder):
            os.utime(path, (time.time() - 9e5,) * 2)
    (alive / "source.values").touch()
    made = encoded(list_corpus(train=ROWS), "train", letters, tmp_path)
    assert entries(tmp_path) == sorted([alive.name, other.name, made.folder.name])


def test_a_data_process_gets_the_files_not_a_copy(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    store = encoded(list_corpus(train=ROWS * 500), "train", letters, tmp_path)
    sent = pickle.dumps(store)
    assert len(sent) < 500
    assert everything(pickle.loads(sent)) == everything(store)


def test_an_open_entry_outlives_its_removal(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    store = encoded(list_corpus(train=ROWS), "train", letters, tmp_path)
    shutil.rmtree(tmp_path)
    assert everything(store) == expected(ROWS, letters)


def test_a_sound_entry_makes_no_noise(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            encoded(list_corpus(train=ROWS), "train", letters, tmp_path)
    assert caplog.text == ""


def test_in_a_folder_of_its_own_a_run_leaves_nothing_half_written_behind(
    list_corpus: MakeCorpus, letters: Letters, tmp_path: Path
) -> None:
    killed = tmp_path / ".a.1.tmp"
    killed.mkdir()
    cache.encoded(list_corpus(train=ROWS), "train", letters, tmp_path, bad_lines="error", is_own=True)
    assert not killed.exists()
