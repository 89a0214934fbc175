"""Image classification through the whole of training: it learns, and is resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comparison import differences, final

import zoo
from zoo.training import keeper
from zoo.training.fit import fit


def classifying(*overrides: str) -> Any:
    return zoo.load(
        "vit_small_fashion",
        "training.max_steps=8",
        "training.validate_every=3",
        "training.checkpoint_every=3",
        "training.schedule.warmup_steps=2",
        "training.precision=fp32",
        "training.accelerator=cpu",
        "task.data={type: shapes, n_train: 61, n_dev: 9, n_test: 5}",
        *overrides,
        scale="tiny",
    )


def test_a_run_is_resumed_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = classifying()
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
