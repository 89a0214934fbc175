"""train, evaluate and check on Parquet and on datasets of Hugging Face, from files of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

Zoo = Callable[..., Any]

SMALL = (
    "--scale=tiny",
    "--quiet",
    "--out=run",
    "model.encoder.n_layers=1",
    "task.tokenizer=words",
    "training.max_steps=2",
    "training.precision=fp32",
    "training.accelerator=cpu",
)
REVIEWS = ("text_classifier_small", *SMALL, "model.inputs.vocab_size=30", "model.head.n_classes=2")
PARQUET = "{type: parquet, train: train-*.parquet, dev: dev.parquet, columns: {text: review, label: stars}}"
SAVED = "{type: datasets, path: saved, columns: {text: text, label: label}}"
PAIRS = (
    "{type: parquet, train: pairs.parquet, dev: pairs.parquet, columns: {source: pair.en, target: pair.de}}"
)

TEXTS, LABELS = ["good, he said", "bad", "fine", "poor thing"], [1, 0, 1, 0]


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """Two files of two reviews each, and the first again."""
    for name, start in (("train-0", 0), ("train-1", 2), ("dev", 0)):
        part = slice(start, start + 2)
        table = pa.table({"review": TEXTS[part], "stars": LABELS[part]})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return tmp_path


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["poor", "good"])})
    table = Dataset.from_dict({"text": TEXTS, "label": LABELS}, features=features)
    DatasetDict({"train": table, "validation": table.select([3, 0])}).save_to_disk(str(tmp_path / "saved"))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "data", "labels"), [("parquet", PARQUET, {"0", "1"}), ("saved", SAVED, {"good", "poor"})]
)
def test_reviews_are_checked_learnt_and_evaluated(
    zoo: Zoo, tmp_path: Path, request: pytest.FixtureRequest, given: str, data: str, labels: set[str]
) -> None:
    request.getfixturevalue(given)
    checked = zoo("check", REVIEWS[0], "model.head.n_classes=2", f"task.data={data}")
    assert checked.exit_code == 0, checked.output
    trained = zoo("train", *REVIEWS, f"task.data={data}")
    assert trained.exit_code == 0, trained.output
    results = json.loads((tmp_path / "run" / "results.dev.json").read_text())
    assert results["n_rows"] == 2
    evaluated = zoo("evaluate", "run", "--split", "train")
    assert evaluated.exit_code == 0, evaluated.output
    lines = (tmp_path / "run" / "answers.train.jsonl").read_text().splitlines()
    assert [json.loads(line)["probabilities"].keys() for line in lines] == [labels] * 4


def test_pairs_are_learnt_and_translated(zoo: Zoo, tmp_path: Path) -> None:
    pairs = [{"en": "a dog", "de": "ein\nHund"}, {"en": "a cat", "de": "eine Katze"}]
    pq.write_table(pa.table({"pair": pairs}), tmp_path / "pairs.parquet")
    words = ("model.source.vocab_size=30", "generation.max_length=5", f"task.data={PAIRS}")
    trained = zoo("train", "multi30k_small", *SMALL, *words)
    assert trained.exit_code == 0, trained.output
    results = json.loads((tmp_path / "run" / "results.dev.json").read_text())
    assert results["n_rows"] == 2
    # A line end in a reference is a space of it, and begins no further one.
    assert results["bleu_signature"].startswith("nrefs:1|")
    assert {sample["reference"] for sample in results["samples"]} == {"ein Hund", "eine Katze"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"review": ["good", None], "stars": [1, 0]}, "train-2.parquet, row 2: missing field: column 'review'"),
        ({"review": ["a", "b"], "stars": [1, 7]}, "the training data has 3 labels (0, 1, 7)"),
        ({"review": ["a", "b"]}, "train-2.parquet: no column 'stars'; known: review (task.data.columns)"),
        (None, "train-2.parquet: no Parquet file, or damaged"),
    ],
)  # fmt: skip
def test_a_bad_file_is_said_and_nothing_is_trained(
    zoo: Zoo, parquet: Path, columns: dict[str, Any] | None, message: str
) -> None:
    if columns is None:
        (parquet / "train-2.parquet").write_bytes(b"PAR1")
    else:
        pq.write_table(pa.table(columns), parquet / "train-2.parquet")
    refused = zoo("train", *REVIEWS, f"task.data={PARQUET}")
    assert refused.exit_code == 3, refused.output
    assert message in " ".join(refused.stderr.split())
    assert not (parquet / "run" / "metrics.jsonl").exists()


def test_a_label_that_is_not_learnt_is_named_by_file_and_row(zoo: Zoo, parquet: Path) -> None:
    pq.write_table(pa.table({"review": ["a", "b"], "stars": [1, 7]}), parquet / "dev.parquet")
    refused = zoo("train", *REVIEWS, f"task.data={PARQUET}")
    assert refused.exit_code == 3, refused.output
    assert "dev.parquet, row 2: unusable label: '7' is no label" in " ".join(refused.stderr.split())


def test_a_field_that_no_column_gives_is_a_mistake_of_the_spec(zoo: Zoo) -> None:
    data = "{type: datasets, path: saved, columns: {text: text}}"
    refused = zoo("check", "text_classifier_small", f"task.data={data}")
    assert refused.exit_code == 2
    assert "rows of text are given, and this task reads text, label: label is missing" in refused.stderr
