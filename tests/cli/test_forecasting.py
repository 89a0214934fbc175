"""Forecasting by the command line: trained, evaluated, and what it says of bad data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

TINY = (
    "--scale=tiny",
    "training.max_steps=3",
    "training.validate_every=3",
    "training.precision=fp32",
    "training.accelerator=cpu",
)


@pytest.mark.parametrize("preset", ["patch_tst", "series_decoder"])
def test_a_run_is_trained_and_evaluated(zoo: Any, tmp_path: Path, preset: str) -> None:
    trained = zoo("train", preset, *TINY, "task.data.n_test=75", "--quiet", "--out", tmp_path / "run")
    assert trained.exit_code == 0, trained.output
    result = zoo("evaluate", tmp_path / "run")
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["n_rows"] == 75 - 24 + 1
    assert f"MSE {results['mse']:.2f}" in result.stdout
    assert f"MAE {results['mae']:.2f}" in result.stdout
    answers = [json.loads(line) for line in (tmp_path / "run" / "answers.jsonl").read_text().splitlines()]
    assert np.shape(answers[-1]["forecast"]) == (24, 3)
    assert len(answers) == 52
    given = np.random.default_rng(0).normal(size=(50, 3)).tolist()
    (tmp_path / "series.jsonl").write_text(
        "".join(json.dumps({"series": rows}) + "\n" for rows in (given, given[1:], given[:9]))
    )
    found = zoo("predict", tmp_path / "run", tmp_path / "series.jsonl")
    first, second, third = (json.loads(line) for line in found.stdout.splitlines())
    assert np.shape(first["forecast"]) == (24, 3)
    assert second == first  # both end alike
    assert third == {"refused": "9 values, but the model looks back at 48"}
    found = zoo("predict", tmp_path / "run", tmp_path / "series.jsonl", "--embed")
    assert np.shape(json.loads(found.stdout.splitlines()[0])["vector"]) == (8,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,a\n" + "1,2\n" * 50 + "1,x\n" + "1,2\n" * 200, "series.csv:52: no number: 'x' in column a"),
        ("date,a\n" + "1,2\n" * 50, "series.csv: 50 good lines, but n_train, n_dev and n_test need 120 + 80"),
    ],
)
def test_bad_data_is_named_and_nothing_trained(zoo: Any, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "series.csv").write_text(text)
    data = "task.data={type: series_csv, path: series.csv, n_train: 120, n_dev: 80}"
    result = zoo("train", "patch_tst", *TINY, data, "--out", tmp_path / "run")
    assert result.exit_code == 3
    assert message in result.stderr
    assert not list(tmp_path.glob("run/checkpoints/*"))
