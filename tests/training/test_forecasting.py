"""Forecasting through the whole of training: it learns, and is resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comparison import differences, final

import zoo
from zoo.training import keeper
from zoo.training.fit import fit


def forecasting(*overrides: str) -> Any:
    return zoo.load(
        "patch_tst",
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


def test_a_run_is_resumed_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = forecasting()
    fit(run, tmp_path / "alone", resume=False, progress=False)
    original = keeper.Keeper._after_step

    def cutting(self: keeper.Keeper, *args: Any) -> None:
        original(self, *args)
        if self.progress.step == 5:
            raise SystemError

    with monkeypatch.context() as patch:
        patch.setattr(keeper.Keeper, "_after_step", cutting)
        with pytest.raises(SystemError):
            fit(run, tmp_path / "run", resume=False, progress=False)
    fit(run, tmp_path / "run", resume=True, progress=False)
    assert list(differences(final(tmp_path / "alone"), final(tmp_path / "run"))) == []


def test_it_learns_to_forecast(tmp_path: Path) -> None:
    data = "task.data={type: waves, n_train: 600, n_dev: 100, noise: 0.1}"
    steps = ("training.max_steps=150", "training.schedule.warmup_steps=15", "training.schedule.peak_lr=5e-3")
    result = fit(
        forecasting(data, *steps, "training.validate_every=150"), tmp_path, resume=False, progress=False
    )
    assert result.validation["mse"] < 0.5  # 1 for one who always says the mean
