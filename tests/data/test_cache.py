"""The token cache: what is in it is what the tokenizers say, and it is there whole or not at all."""

from __future__ import annotations

import logging
import os
import pickle
import random
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo.data import cache
from zoo.data.cache import Recipe, token_pairs
from zoo.data.rows import RowWriter, TokenPairs
from zoo.data.tokenizer import Tokenizer
from zoo.data.tokenizers.characters import Characters
from zoo.errors import DataError, RunError
from zoo.kinds import Corpus

MakeCorpus = Callable[..., Corpus]

ROWS: list[tuple[str, str]] = [("ab", "xyz"), ("b", "zz"), ("abbab", "x"), ("aa", "yyyy"), ("bbb", "zx")]


def tokenizer(letters: str) -> Tokenizer:
    return Characters().train([letters], vocab_size=99)


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(tokenizer("ab"), tokenizer("xyz"), max_length=50, too_long="error", bad_lines="error")


def rows(side: Any) -> list[list[int]]:
    return [side[i] for i in range(len(side))]


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_rows_are_what_the_tokenizers_say(list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path) -> None:
    pairs = token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path)
    assert rows(pairs.source) == recipe.source_tokenizer.encode([source for source, _ in ROWS])
    assert rows(pairs.target) == recipe.target_tokenizer.encode([target for _, target in ROWS])
    assert pairs.source.lengths().tolist() == [2, 1, 5, 2, 3]
    assert (len(pairs), pairs.counts, pairs.left_out.tolist()) == (5, {}, [])


def test_many_chunks_make_one_array(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = token_pairs(list_corpus(train=ROWS * 3), "train", recipe, tmp_path / "whole")
    monkeypatch.setattr(cache, "CHUNK", 4)
    chunked = token_pairs(list_corpus(train=ROWS * 3), "train", recipe, tmp_path / "chunked")
    assert rows(chunked.source) == rows(whole.source)
    assert rows(chunked.target) == rows(whole.target)


def test_rows_are_taken_in_any_order_and_often(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path
) -> None:
    pairs = token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path)
    numbers = np.array([3, 0, 2, 2, 4])
    tokens, lengths = pairs.target.take(numbers)
    expected = [pairs.target[i] for i in numbers]
    assert tokens.tolist() == [number for row in expected for number in row]
    assert lengths.tolist() == [len(row) for row in expected]


def test_a_large_vocabulary_gets_wider_numbers(tmp_path: Path) -> None:
    for size, dtype in [(1 << 16, "<u2"), ((1 << 16) + 1, "<u4")]:
        with RowWriter(tmp_path, str(size), size) as writer:
            writer.add([[size - 1]])
        assert writer.dtype == dtype
        assert np.fromfile(tmp_path / f"{size}.tokens", dtype).tolist() == [size - 1]


def test_a_second_opening_reads_no_text(list_corpus: Any, recipe: Recipe, tmp_path: Path) -> None:
    corpus = list_corpus(train=ROWS)
    first = token_pairs(corpus, "train", recipe, tmp_path)
    second = token_pairs(corpus, "train", recipe, tmp_path)
    assert corpus.n_reads == 1
    assert second.folder == first.folder
    assert entries(tmp_path) == [first.folder.name]


def test_whatever_changes_the_rows_changes_the_name(list_corpus: MakeCorpus, recipe: Recipe) -> None:
    corpus = list_corpus(train=ROWS, dev=ROWS[:2])
    recipes = [
        recipe,
        replace(recipe, source_tokenizer=tokenizer("abc")),
        replace(recipe, target_tokenizer=tokenizer("abc")),
        replace(recipe, source_tokenizer=recipe.target_tokenizer, target_tokenizer=recipe.source_tokenizer),
        replace(recipe, max_length=49),
        replace(recipe, too_long="drop"),
        replace(recipe, bad_lines="skip"),
    ]
    names = [one.name(corpus, "train") for one in recipes]
    names += [recipe.name(corpus, "dev"), recipe.name(list_corpus(train=ROWS[::-1]), "train")]
    assert len(set(names)) == 9
    assert recipe.name(list_corpus(train=[*ROWS]), "train") == names[0]


def test_long_pairs_are_dropped_and_counted_where_the_spec_says_so(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CHUNK", 2)
    dropping = replace(recipe, max_length=4, too_long="drop", bad_lines="skip")  # 3 tokens and EOS or BOS
    pairs = token_pairs(list_corpus(train=[None, *ROWS[:3], None, *ROWS[3:]]), "train", dropping, tmp_path)
    assert len(pairs) == 3
    assert pairs.left_out.tolist() == [2, 3]
    assert pairs.counts == {"over max_length": 2, "bad": 2}
    assert rows(pairs.source) == recipe.source_tokenizer.encode(["ab", "b", "bbb"])


def test_a_long_pair_is_an_error_that_names_its_line_otherwise(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path
) -> None:
    strict = replace(recipe, max_length=5, bad_lines="skip")
    with pytest.raises(DataError, match=r"train\.txt:4: 6 tokens.* over max_length 5 \(task\.too_long=drop "):
        token_pairs(list_corpus(train=[ROWS[0], None, ROWS[1], ROWS[2], ROWS[3]]), "train", strict, tmp_path)
    assert entries(tmp_path) == []


def test_a_split_of_which_nothing_is_left_is_an_error(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path
) -> None:
    with pytest.raises(
        DataError, match=r"train\.txt: no pair is left; left out: {'bad': 1, 'over max_length': 5}"
    ):
        token_pairs(list_corpus(train=[None, *ROWS]), "train",
                    replace(recipe, max_length=2, too_long="drop", bad_lines="skip"), tmp_path)  # fmt: skip
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
    "name", ["source.tokens", "source.offsets", "target.tokens", "target.offsets", "left_out", "about.json"]
)
def test_a_damaged_entry_is_made_anew_and_said_to_be(
    list_corpus: MakeCorpus,
    recipe: Recipe,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: str,
) -> None:
    corpus, dropping = list_corpus(train=ROWS), replace(recipe, max_length=5, too_long="drop")
    sound = token_pairs(corpus, "train", dropping, tmp_path)
    expected = rows(sound.source), rows(sound.target), sound.left_out.tolist(), sound.counts
    damage(sound.folder / name, how)
    again = token_pairs(corpus, "train", dropping, tmp_path)
    assert (rows(again.source), rows(again.target), again.left_out.tolist(), again.counts) == expected
    assert "the token cache is damaged" in caplog.text
    assert entries(tmp_path) == [sound.folder.name]


def test_a_changed_count_is_damage(list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path) -> None:
    corpus, dropping = list_corpus(train=ROWS), replace(recipe, max_length=5, too_long="drop")
    about = token_pairs(corpus, "train", dropping, tmp_path).folder / "about.json"
    about.write_text(about.read_text().replace('"over max_length": 1', '"over max_length": 2'))
    assert token_pairs(corpus, "train", dropping, tmp_path).counts == {"over max_length": 1}


def test_what_is_no_folder_is_replaced_too(list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path) -> None:
    corpus = list_corpus(train=ROWS)
    (tmp_path / recipe.name(corpus, "train")).write_text("not a folder")
    assert len(token_pairs(corpus, "train", recipe, tmp_path)) == 5


def test_many_writers_at_once_make_one_entry(list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path) -> None:
    corpus, n = list_corpus(train=ROWS * 50), 12
    for _ in range(5):
        with ThreadPoolExecutor(n) as pool:
            made = [pool.submit(token_pairs, corpus, "train", recipe, tmp_path) for _ in range(n)]
        found = [future.result() for future in made]
        assert {pairs.folder.name for pairs in found} == set(entries(tmp_path))
        assert all(rows(pairs.target) == rows(found[0].target) for pairs in found)
        damage(found[0].folder / "source.tokens", "cut")  # and the next round begins with a damaged one


def test_a_failed_writing_leaves_nothing_and_is_a_run_error(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RowWriter, rows: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RowWriter, "add", full)
    with pytest.raises(RunError, match="the token cache cannot be written: No space left on device"):
        token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path)
    assert entries(tmp_path) == []


def test_a_place_that_is_no_folder_is_a_run_error(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="the token cache cannot be written"):
        token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path / "file")


def test_only_what_dead_writers_left_is_swept(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path
) -> None:
    dead, alive, other = tmp_path / ".a.1.tmp", tmp_path / ".b.2.tmp", tmp_path / "c"
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "source.tokens").write_bytes(b"..")
        for path in (folder / "source.tokens", folder):
            os.utime(path, (time.time() - 9e5,) * 2)
    (alive / "source.tokens").touch()
    made = token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path)
    assert entries(tmp_path) == sorted([alive.name, other.name, made.folder.name])


def test_a_data_process_gets_the_files_not_a_copy(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path
) -> None:
    pairs = token_pairs(list_corpus(train=ROWS * 500), "train", recipe, tmp_path)
    sent = pickle.dumps(pairs)
    assert len(sent) < 500
    assert rows(pickle.loads(sent).target) == rows(pairs.target)


def test_an_open_entry_outlives_its_removal(list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path) -> None:
    pairs = token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path)
    shutil.rmtree(tmp_path)
    assert isinstance(pairs, TokenPairs)
    assert len(rows(pairs.source)) == 5


def test_a_sound_entry_makes_no_noise(
    list_corpus: MakeCorpus, recipe: Recipe, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            token_pairs(list_corpus(train=ROWS), "train", recipe, tmp_path)
    assert caplog.text == ""
