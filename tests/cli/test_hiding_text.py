"""Masked language models, span corruption and infilling by the command line: trained, evaluated, bad data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zoo.run.spec import load

LINES = "The mother found the book.\n\nThe son has an old key. The key is red.\n\nWe open the bag.\n"
SMALL = ("task.tokenizer=words", "training.max_steps=2", "training.precision=fp32", "task.validation_texts=2")


@pytest.fixture
def text(tmp_path: Path) -> str:
    for name in ("train", "dev", "test"):
        (tmp_path / f"{name}.txt").write_text(LINES)
    return "task.data={type: text, train: train.txt, dev: dev.txt, test: test.txt}"


@pytest.mark.parametrize(
    ("preset", "scores"),
    [
        ("bert_base", ["accuracy", "loss", "perplexity"]),
        ("t5_base", ["exact"]),
        ("bart_base", ["exact"]),
    ],
)
def test_it_is_trained_and_evaluated(zoo: Any, text: str, preset: str, scores: list[str]) -> None:
    found = zoo("train", preset, "--scale=tiny", text, *SMALL, "--quiet", "--out=run")
    assert found.exit_code == 0, found.output
    found = zoo("evaluate", "run")
    assert found.exit_code == 0, found.output
    results = json.loads(Path("run/results.json").read_text())
    assert set(scores) <= results.keys()
    assert results["n_rows"] == 3
    assert results["samples"][0]["text"] == "The mother found the book."


def test_pseudo_perplexity_is_measured_where_an_evaluation_asks_for_it(zoo: Any, text: str) -> None:
    assert zoo("train", "bert_base", "--scale=tiny", text, *SMALL, "--quiet", "--out=run").exit_code == 0
    found = zoo("evaluate", "run", "task.pseudo_perplexity=true")
    assert found.exit_code == 0, found.output
    assert "Pseudo-perplexity" in found.stdout


def test_marks_in_a_text_are_what_is_mended(zoo: Any, text: str) -> None:
    assert zoo("train", "t5_base", "--scale=tiny", text, *SMALL, "--quiet", "--out=run").exit_code == 0
    found = zoo("generate", "run", input="The mother <extra_id_0> book.\n")
    assert found.exit_code == 0, found.output
    assert (len(found.stdout.splitlines()), found.stderr) == (1, "")
    bound = load("run").task.max_length  # type: ignore[union-attr]
    found = zoo("generate", "run", input=f"{'key ' * bound}\nThe key\n")
    assert found.exit_code == 0, found.output
    assert found.stderr == f"1 of 2 rows is longer than {bound} tokens and cut (task.max_length)\n"


@pytest.mark.parametrize("preset", ["bert_base", "t5_base", "bart_base"])
@pytest.mark.parametrize(
    ("data", "content", "where"),
    [
        ("{type: text, train: bad.txt, dev: bad.txt}", b"good\n\nb\xffd\n", "bad.txt:3"),
        (
            "{type: json_lines, train: bad.jsonl, dev: bad.jsonl}",
            b'{"text": "good"}\n{"words": 7}\n',
            "bad.jsonl:2",
        ),
    ],
)
def test_bad_data_is_named_and_nothing_is_trained(
    zoo: Any, preset: str, data: str, content: bytes, where: str
) -> None:
    for name in ("bad.txt", "bad.jsonl"):
        Path(name).write_bytes(content)
    found = zoo("train", preset, "--scale=tiny", f"task.data={data}", *SMALL, "--out=run")
    assert found.exit_code == 3, found.output
    assert where in found.stderr
    assert not Path("run").exists()
