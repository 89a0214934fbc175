"""A language model by the command line: trained, evaluated, writing; and its bad data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TINY = (
    "gpt2",
    "--scale=tiny",
    "task.data={type: grammar_text, n_train: 19, n_dev: 5, n_test: 7}",
    "task.length=32",
    "task.stride=20",
    "training.max_steps=3",
    "training.precision=fp32",
    "training.accelerator=cpu",
    "generation.max_length=5",
)


def test_a_language_model_is_trained_evaluated_and_writes(zoo: Any) -> None:
    result = zoo("train", *TINY, "--out", "run")
    assert result.exit_code == 0, result.stderr
    assert "step 3/3  validation loss " in result.stderr
    first = [line.split()[0] for line in result.stdout.splitlines()[:3]]
    assert first == ["loss", "perplexity", "bits_per_byte"]
    results = json.loads((Path("run") / "results.json").read_text())
    assert results["n_rows"] == 7
    (again,) = [zoo("evaluate", "run", "--split=dev", "--json")]
    assert again.exit_code == 0, again.stderr
    dev = json.loads(again.stdout)
    lines = [json.loads(line) for line in (Path("run") / "metrics.jsonl").read_text().splitlines()]
    (validated,) = [line for line in lines if line["kind"] == "validation"]
    for name in ("loss", "perplexity", "bits_per_byte"):
        assert dev[name] == pytest.approx(validated[name], rel=1e-6)
    # Another window changes what is known, not what is scored.
    wider = zoo("evaluate", "run", "--split=dev", "--json", "task.stride=1")
    assert json.loads(wider.stdout)["loss"] != dev["loss"]
    assert "loss" in zoo("resume", "run", "--quiet").stdout
    written = zoo("generate", "run", input="The boat\n\nA man\n")
    assert written.exit_code == 0, written.stderr
    assert len(written.stdout.splitlines()) == 3


def test_training_needs_no_search_and_writing_says_that_it_does(zoo: Any) -> None:
    shown = zoo("show", *TINY)
    spec = shown.stdout.partition("generation:")[0]
    Path("bare.yaml").write_text(spec)
    result = zoo("train", "bare.yaml", "--quiet", "--out", "run")
    assert result.exit_code == 0, result.stderr
    refused = zoo("generate", "run", input="The boat\n")
    assert refused.exit_code == 2
    assert "generation: missing key; say how text is written, such as generation=greedy" in refused.stderr
    written = zoo("generate", "run", "generation={type: greedy, max_length: 4}", input="The boat\n")
    assert written.exit_code == 0, written.stderr
    assert len(written.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "text", "message"),
    [
        ("{type: text, train: bad, train_share: 0.5}", b"good\nb\xffd\n", "bad:2: broken UTF-8"),
        ("{type: text, train: bad, dev: bad, documents: line}", b"good\n\nmore\n", "bad:2: empty line"),
        (
            "{type: json_lines, train: bad, dev: bad}",
            b'{"text": "a"}\n{"txt": "b"}\n',
            "bad:2: missing field",
        ),
    ],
)
def test_bad_data_is_named_and_nothing_is_trained(zoo: Any, data: str, text: bytes, message: str) -> None:
    Path("bad").write_bytes(text)
    result = zoo("train", *TINY, f"task.data={data}", "--out", "run")
    assert result.exit_code == 3
    assert message in result.stderr
    assert not Path("run").exists()


def test_a_block_that_no_batch_holds_is_an_error_before_training(zoo: Any) -> None:
    result = zoo("train", *TINY, "training.tokens_per_batch=31", "--out", "run")
    assert result.exit_code == 3
    assert "training.tokens_per_batch is 31, but a block has task.length = 32 tokens" in result.stderr
