"""train and evaluate of text classification and tagging, from files of one's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Zoo = Callable[..., Any]

SMALL = (
    "--scale=tiny",
    "--quiet",
    "--out=run",
    "model.encoder.n_layers=1",
    "model.inputs.vocab_size=30",
    "task.tokenizer=words",
    "task.label_smoothing=0",
    "training.max_steps=2",
    "training.precision=fp32",
    "training.accelerator=cpu",
)
REVIEWS = "{type: columns, train: train.csv, dev: dev.csv, columns: {label: stars, text: review}, separator: comma, quoting: double, heading: true}"  # noqa: E501 (as it is typed)
TREEBANK = "{type: conll, train: train.conllu, dev: dev.conllu, columns: {tokens: 2, tags: 4}, ids: 1}"


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """train.csv of four reviews and dev.csv of two."""
    good, bad = '5,"good, he said"\n', "1,bad\n"
    (tmp_path / "train.csv").write_text("stars,review\n" + good + bad + "5,fine\n1,poor thing\n")
    (tmp_path / "dev.csv").write_text("stars,review\n" + good + bad)
    return tmp_path


@pytest.fixture
def treebank(tmp_path: Path) -> Path:
    """train.conllu and dev.conllu of a sentence each."""
    for split in ("train", "dev"):
        (tmp_path / f"{split}.conllu").write_text("1\tshe\t_\tP\n2\truns\t_\tV\n3\t.\t_\tO\n\n")
    return tmp_path


def test_texts_that_are_cut_are_counted_wherever_they_are_met(
    zoo: Zoo, reviews: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = (*SMALL, "model.head.n_classes=2", f"task.data={REVIEWS}", "task.max_length=4")
    trained = zoo("train", "text_classifier_small", *words)
    assert trained.exit_code == 0, trained.output
    # "good, he said" is three words, and two beside begin and end are room for.
    assert "train.csv: 1 of 4 rows is longer than 4 tokens and cut (task.max_length)" in caplog.text
    assert "dev.csv: 1 of 2 rows is longer than 4 tokens and cut (task.max_length)" in caplog.text
    results = json.loads((reviews / "run" / "results.dev.json").read_text())
    assert (results["cut"], results["cut_to"]) == (1, 4)
    evaluated = zoo("evaluate", "run", "--split", "train")
    assert "\n1 of 4 rows is longer than 4 tokens and cut (task.max_length)" in evaluated.stdout
    for further in ([], ["--embed"]):
        found = zoo("predict", "run", *further, input="good he said he said\nbad\ngood thing said\n")
        assert [json.loads(line).get("cut") for line in found.stdout.splitlines()] == [3, None, 1]
        assert found.stderr == "2 of 3 rows are longer than 4 tokens and cut (task.max_length)\n"
    assert zoo("predict", "run", input="bad\n").stderr == ""


def test_reviews_are_learnt_and_evaluated(zoo: Zoo, reviews: Path) -> None:
    trained = zoo("train", "text_classifier_small", *SMALL, "model.head.n_classes=2", f"task.data={REVIEWS}")
    assert trained.exit_code == 0, trained.output
    results = json.loads((reviews / "run" / "results.dev.json").read_text())
    assert f"Accuracy {results['accuracy']:.2f}" in trained.stdout
    assert f"Macro F1 {results['macro_f1']:.2f}" in trained.stdout
    assert results["accuracy"] in (0, 50, 100)
    assert results["samples"][0] == {
        "text": "good, he said", "answer": results["samples"][0]["answer"], "label": "5",
    }  # fmt: skip
    evaluated = zoo("evaluate", "run", "--split", "train")
    assert evaluated.exit_code == 0, evaluated.output
    answers = [
        json.loads(line) for line in (reviews / "run" / "answers.train.jsonl").read_text().splitlines()
    ]
    assert len(answers) == 4
    assert all(answer["label"] in answer["probabilities"].keys() == {"1", "5"} for answer in answers)


def test_numbers_are_learnt_and_evaluated(zoo: Zoo, reviews: Path) -> None:
    trained = zoo("train", "text_classifier_small", *SMALL, "model.head.n_classes=1", f"task.data={REVIEWS}")
    assert trained.exit_code == 0, trained.output
    assert "Pearson " in trained.stdout
    assert "MAE " in trained.stdout


def test_a_treebank_is_learnt_and_evaluated(zoo: Zoo, treebank: Path) -> None:
    words = ("model.head.n_classes=3", "task.metric=tagging", f"task.data={TREEBANK}")
    trained = zoo("train", "tagger_small", *SMALL, *words)
    assert trained.exit_code == 0, trained.output
    results = json.loads((treebank / "run" / "results.dev.json").read_text())
    assert f"Accuracy {results['accuracy']:.2f}" in trained.stdout
    assert results["n_words"] == 3
    answers = [json.loads(line) for line in (treebank / "run" / "answers.dev.jsonl").read_text().splitlines()]
    assert len(answers[0]["tags"]) == 3


@pytest.mark.parametrize(
    ("line", "n_classes", "message"),
    [
        ('5,"good" he\n', 2, "train.csv:6: bad quoting: ',' expected after '\"'"),
        ("5,good,he\n", 2, "train.csv:6: other columns: 3 columns"),
        ("3,good\n", 2, "the training data has 3 labels (1, 3, 5), and model.head.n_classes is 2"),
        ("no,good\n", 1, "train.csv:6: unusable label: the label 'no' is no number"),
    ],
)
def test_bad_reviews_are_said_and_nothing_is_trained(
    zoo: Zoo, reviews: Path, line: str, n_classes: int, message: str
) -> None:
    with (reviews / "train.csv").open("a") as file:
        file.write(line)
    words = (f"model.head.n_classes={n_classes}", f"task.data={REVIEWS}")
    refused = zoo("train", "text_classifier_small", *SMALL, *words)
    assert refused.exit_code == 3
    assert message in " ".join(refused.stderr.split())
    assert not (reviews / "run" / "metrics.jsonl").exists()


def test_a_bad_treebank_is_said_and_nothing_is_trained(zoo: Zoo, treebank: Path) -> None:
    with (treebank / "dev.conllu").open("a") as file:
        file.write("1\tshe\t_\n")
    refused = zoo(
        "train",
        "tagger_small",
        *SMALL,
        "model.head.n_classes=3",
        "task.metric=tagging",
        f"task.data={TREEBANK}",
    )
    assert refused.exit_code == 3
    assert "dev.conllu:5: missing column: column 4 is wanted, and there are 3" in " ".join(
        refused.stderr.split()
    )
    assert not (treebank / "run" / "metrics.jsonl").exists()
