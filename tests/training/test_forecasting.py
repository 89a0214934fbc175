"""Forecasting through the whole of training: it learns, and is resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cutting import left_by_resuming

import zoo
from zoo.training.fit import fit


def forecasting(preset: str, *overrides: str) -> Any:
    return zoo.load(
        preset,
        "training.max_steps=8",
        "training.validate_every=3",
        "training.checkpoint_every=3",
        "training.schedule.warmup_steps=2",
        "training.precision=fp32",
        "training.accelerator=cpu",
        "task.data={type: waves, n_train: 150, n_dev: 80}",
        *overrides,
        scale="tiny",
    )


@pytest.mark.parametrize("preset", ["patch_tst", "series_decoder"])
def test_a_run_is_resumed_bit_for_bit(tmp_path: Path, preset: str) -> None:
    run = forecasting(preset)
    assert left_by_resuming(run, tmp_path) == []


@pytest.mark.parametrize(("preset", "most"), [("patch_tst", 0.5), ("series_decoder", 0.6)])
def test_it_learns_to_forecast(tmp_path: Path, preset: str, most: float) -> None:
    data = "task.data={type: waves, n_train: 600, n_dev: 100, noise: 0.1}"
    steps = ("training.max_steps=300", "training.schedule.warmup_steps=15", "training.schedule.peak_lr=5e-3")
    result = fit(
        forecasting(preset, data, *steps, "training.validate_every=300"),
        tmp_path,
        resume=False,
        progress=False,
    )
    assert result.validation["mse"] < most  # 1 for one who always says the mean
