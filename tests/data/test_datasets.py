"""Datasets of Hugging Face, in folders: what becomes of them, and what is said of those that cannot be read."""

from __future__ import annotations

import io
import json
import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from PIL import Image

from registry import parse
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, Row

TEXTS = [f"text {n}" for n in range(10)]
LABELS = [n % 3 for n in range(10)]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing goes to the network, and the library's cache is a folder of the test's, which is given."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


def corpus(path: Path | str, **given: Any) -> Corpus:
    spec = parse(CORPUS.entry("datasets").spec, {"type": "datasets", "path": str(path), **given})
    built: Corpus = CORPUS.build(spec)
    return built


def rows(made: Corpus, split: str = "train", policy: Any = "error") -> list[Row]:
    return list(made.rows(split, bad_lines=BadLines(policy)))


def texts(made: Corpus, split: str = "train") -> list[str]:
    return [row["text"] for row in rows(made, split)]


CLASSES = {"text": "text", "label": "label"}


def made_of(n: int = 10) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["b", "a", "c"])})
    return Dataset.from_dict({"text": TEXTS[:n], "label": LABELS[:n]}, features=features)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A folder of save_to_disk with two splits."""
    folder = tmp_path / "saved"
    DatasetDict({"train": made_of(), "validation": made_of(3)}).save_to_disk(str(folder))
    return folder


@pytest.fixture
def of_files(tmp_path: Path) -> Path:
    """A folder of data files of two splits, one of them in two parts."""
    folder = tmp_path / "files"
    folder.mkdir()
    made_of(6).to_parquet(str(folder / "train-00000-of-00002.parquet"))
    made_of(10).select(range(6, 10)).to_parquet(str(folder / "train-00001-of-00002.parquet"))
    made_of(3).to_parquet(str(folder / "validation.parquet"))
    return folder


@pytest.mark.parametrize("which", ["saved", "of_files"])
def test_a_folder_gives_its_splits_and_names_of_classes(which: str, request: pytest.FixtureRequest) -> None:
    made = corpus(request.getfixturevalue(which), columns=CLASSES)
    assert made.splits() == ["train", "dev"]
    expected = [{"text": text, "label": "bac"[label]} for text, label in zip(TEXTS, LABELS, strict=True)]
    assert rows(made) == expected
    assert rows(made, "dev") == expected[:3]


def test_data_files_may_be_lines_of_json(tmp_path: Path) -> None:
    folder = tmp_path / "lines"
    folder.mkdir()
    for split in ("train", "test"):
        lines = [json.dumps({"text": f"{split} {text}"}) for text in TEXTS]
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    made = corpus(folder, dev="test")
    assert texts(made, "dev") == [f"test {text}" for text in TEXTS]


@pytest.mark.parametrize(
    ("split", "expected"),
    [
        ("train[:30%]", TEXTS[:3]),
        ("train[30%:]", TEXTS[3:]),
        ("train[2:-5]", TEXTS[2:5]),
        ("validation+train[8:]", TEXTS[:3] + TEXTS[8:]),
    ],
)
def test_a_split_may_be_part_of_one_or_a_sum(saved: Path, split: str, expected: list[str]) -> None:
    made = corpus(saved, train=split)
    assert texts(made) == expected
    assert made.where("train") == f"{saved}, {split}"
    assert made.fingerprint("train") != corpus(saved).fingerprint("train")


def test_one_saved_table_is_called_train(tmp_path: Path) -> None:
    made_of().save_to_disk(str(tmp_path / "one"))
    assert texts(corpus(tmp_path / "one", dev="train[9:]"), "dev") == TEXTS[9:]


def test_a_table_saved_in_another_order_is_read_in_that(tmp_path: Path) -> None:
    made_of().select([4, 1, 7]).save_to_disk(str(tmp_path / "one"))
    assert texts(corpus(tmp_path / "one")) == [TEXTS[4], TEXTS[1], TEXTS[7]]


def test_translations_are_pairs(tmp_path: Path) -> None:
    pairs = [{"en": f"dog {n}", "de": f"Hund {n}"} for n in range(3)]
    features = Features({"translation": datasets.Translation(languages=("de", "en"))})
    Dataset.from_dict({"translation": pairs}, features=features).save_to_disk(str(tmp_path / "pairs"))
    made = corpus(tmp_path / "pairs", columns={"source": "translation.en", "target": "translation.de"})
    assert rows(made) == [{"source": f"dog {n}", "target": f"Hund {n}"} for n in range(3)]


def test_tags_have_the_names_of_their_classes(tmp_path: Path) -> None:
    tags = datasets.List(ClassLabel(names=["O", "B-PER"]))
    features = Features({"tokens": datasets.List(Value("string")), "ner_tags": tags})
    given = {"tokens": [["Ann", "ran"], ["hi"]], "ner_tags": [[1, 0], [0]]}
    Dataset.from_dict(given, features=features).save_to_disk(str(tmp_path / "ner"))
    made = corpus(tmp_path / "ner", columns={"tokens": "tokens", "tags": "ner_tags"})
    assert [row["tags"] for row in rows(made)] == [["B-PER", "O"], ["O"]]


def test_images_are_brought_to_their_size(tmp_path: Path) -> None:
    pixels = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    features = Features({"img": datasets.Image(), "label": ClassLabel(names=["cat", "dog"])})
    given = {"img": [{"bytes": file.getvalue(), "path": None}], "label": [1]}
    Dataset.from_dict(given, features=features).save_to_disk(str(tmp_path / "pets"))
    made = corpus(tmp_path / "pets", columns={"image": "img", "label": "label"}, image_size=[4, 3])
    (row,) = rows(made)
    np.testing.assert_array_equal(row["image"], pixels)
    assert row["label"] == "dog"


def test_a_bad_row_is_named_by_split_and_row(tmp_path: Path) -> None:
    features = made_of().features
    Dataset.from_dict({"text": ["a", "b", " "], "label": [0, -1, 2]}, features=features).save_to_disk(
        str(tmp_path / "bad")
    )
    with pytest.raises(DataError, match=r"bad, train, row 2: no label: column 'label': -1, of 3 classes"):
        rows(corpus(tmp_path / "bad", columns=CLASSES))
    with pytest.raises(DataError, match=r"bad, train\[1:\], row 2: empty field: column 'text': nothing but"):
        rows(corpus(tmp_path / "bad", train="train[1:]"))
    assert rows(corpus(tmp_path / "bad", columns=CLASSES), policy="skip") == [{"text": "a", "label": "b"}]


def test_a_column_or_split_that_is_not_there_is_refused(saved: Path) -> None:
    with pytest.raises(DataError, match=r"saved, train: no column 'txt'; did you mean 'text'\?"):
        rows(corpus(saved, columns={"text": "txt"}))
    with pytest.raises(
        DataError, match=r"saved, test: no such split: Unknown split \"test\". Should be one of"
    ):
        rows(corpus(saved, train="test"))
    with pytest.raises(DataError, match=r"saved, train\[:1%: no such split: Unrecognized instruction format"):
        rows(corpus(saved, train="train[:1%"))
    with pytest.raises(DataError, match=r"saved, train\[3:3\]: there is no row in it; of rows there are: "):
        rows(corpus(saved, train="train[3:3]"))
    with pytest.raises(
        DataError, match=r"saved, train\[500:\]: there is no row in it; of rows there are: train "
    ):
        rows(corpus(saved, train="train[500:]"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"revision": "main"}, "saved: a folder has no revisions; set task.data.revision=null"),
        ({"config": "de-en"}, "saved: a saved dataset has no configurations; set task.data.config=null"),
    ],
)
def test_what_a_folder_has_not_is_refused(saved: Path, given: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(corpus(saved, **given))


def test_a_damaged_file_of_json_is_named_with_its_row(tmp_path: Path) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n{"text": \n')
    with pytest.raises(DataError, match=r"/bad/train\.jsonl: cannot be read: JSON parse error: .* in row 2$"):
        rows(corpus(folder))


def test_a_damaged_data_file_is_named_with_its_row(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "train.csv").write_text('text,label\na,1\n"b,0\nc,1,2\n')
    logger = logging.getLogger("datasets")
    before = (list(logger.handlers), logger.propagate)
    with pytest.raises(DataError) as raised:
        rows(corpus(folder))
    message = "cannot be read: Error tokenizing data. C error: EOF inside string starting at row 2"
    assert str(raised.value) == f"{folder / 'train.csv'}: {message}"
    assert capfd.readouterr() == ("", "")  # the library's own words are not shown
    assert (list(logger.handlers), logger.propagate, datasets.is_progress_bar_enabled()) == (*before, True)


def test_a_dataset_with_code_is_refused_and_the_code_not_run(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match=r"code: cannot be read: Dataset scripts are no longer supported"):
        rows(corpus(folder))
    assert not (tmp_path / "ran").exists()


def test_a_version_of_the_library_that_could_run_code_is_refused(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "__version__", "3.6.0")
    with pytest.raises(DataError, match=r"datasets 3\.6\.0 can run code of a dataset; 4\.0 and newer cannot"):
        rows(corpus(saved))


def test_formats_that_are_no_tables_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "pictures" / "train" / "cat"
    folder.mkdir(parents=True)
    Image.new("RGB", (2, 2)).save(folder / "1.png")
    with pytest.raises(
        DataError, match=r"its data files are for the reader 'imagefolder'; read here are: arrow"
    ):
        rows(corpus(tmp_path / "pictures"))


def test_a_name_that_is_neither_cached_nor_reached_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        rows(corpus("someone/reviews"))
    message = (
        "someone/reviews: no folder here, not in the cache of the library datasets, and not reached online: "
    )
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)
    for path, what in (
        (tmp_path / "none", "no such folder"),
        (tmp_path / "a.txt", "a file, where a folder is"),
    ):
        (tmp_path / "a.txt").touch()
        with pytest.raises(DataError, match=what):
            rows(corpus(path))


def test_a_name_in_the_cache_needs_no_network(of_files: Path, offline: Path) -> None:
    texts(corpus(of_files))
    (made,) = (offline / "files" / "default" / "0.0.0").glob("*[!k]/")
    downloaded = offline / "someone___reviews" / "default" / "0.0.0" / ("0" * 40)
    shutil.copytree(made, downloaded)
    for table in downloaded.glob("*.arrow"):
        table.rename(downloaded / table.name.replace("files-", "reviews-"))
    about = downloaded / "dataset_info.json"
    about.write_text(about.read_text().replace('"files"', '"reviews"'))
    found = corpus("someone/reviews")
    assert texts(found) == TEXTS
    assert found.fingerprint("train") == corpus(of_files).fingerprint("train")


def test_the_fingerprint_is_of_the_rows_and_columns(saved: Path, tmp_path: Path) -> None:
    first = corpus(saved).fingerprint("train")
    moved = saved.rename(tmp_path / "moved")
    assert corpus(moved).fingerprint("train") == first
    assert corpus(moved, columns=CLASSES).fingerprint("train") != first
    DatasetDict({"train": made_of(9)}).save_to_disk(str(tmp_path / "other"))
    assert corpus(tmp_path / "other").fingerprint("train") != first


def test_without_the_library_it_is_said_what_to_install(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataError, match=r"datasets needs a package .* pip install 'architecture-zoo\[datasets\]'"
    ):
        rows(corpus(saved))
