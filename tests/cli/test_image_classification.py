"""Image classification by the command line: trained, evaluated, and what it says of bad data."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

TINY = (
    "vit_small_fashion",
    "--scale=tiny",
    "training.max_steps=3",
    "training.validate_every=3",
    "training.precision=fp32",
    "training.accelerator=cpu",
)


def test_a_run_is_trained_and_evaluated(zoo: Any, tmp_path: Path) -> None:
    trained = zoo("train", *TINY, "task.data.n_train=60", "--quiet", "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.output
    result = zoo("evaluate", tmp_path / "run")
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["n_rows"] == 200
    assert f"Accuracy {results['accuracy']:.2f}" in result.stdout
    answers = [json.loads(line) for line in (tmp_path / "run" / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 200
    assert set(answers[0]["probabilities"]) == {"circle", "cross", "square", "stripes"}


@pytest.mark.parametrize(
    ("n_labels", "message"),
    [
        (9, "train-images-idx3-ubyte: 8 images, but train-labels-idx1-ubyte has 9 labels"),
        (8, "the training data has 2 labels, and the model's head is for 4; set model.head.n_classes=2"),
    ],
)
def test_bad_data_is_named_and_nothing_trained(zoo: Any, tmp_path: Path, n_labels: int, message: str) -> None:
    images = struct.pack(">HBB3I", 0, 8, 3, 8, 12, 12) + bytes(8 * 144)
    labels = struct.pack(">HBBI", 0, 8, 1, n_labels) + bytes(i % 2 for i in range(n_labels))
    (tmp_path / "train-images-idx3-ubyte").write_bytes(images)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(labels)
    data = "task.data={type: idx, folder: ., n_dev: 2, test: null}"
    result = zoo("train", *TINY, data, "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert message in result.stderr.replace("\n", " ")
    assert not list(tmp_path.glob("run/checkpoints/*"))
