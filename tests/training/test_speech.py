"""Runs of the tasks of speech, cut off and resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from comparison import differences, final

import zoo as library
from zoo.training import keeper
from zoo.training.fit import fit


@pytest.mark.parametrize("preset", ["wav2vec2_base", "whisper_tiny", "spoken_digits"])
def test_a_run_is_resumed_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    few = ("task.data.n_train=60", "task.data.n_dev=6", "task.data.n_test=5", "training.max_steps=7")
    how = ("training.accelerator=cpu", "training.precision=fp32", "training.tokens_per_batch=500")
    regular = ("training.checkpoint_every=2", "training.validate_every=4")
    run = library.load(preset, *few, *how, *regular, scale="tiny")
    fit(run, tmp_path / "alone", resume=False, progress=False)  # type: ignore[arg-type]
    original = keeper.Keeper._after_step

    def cutting(self: keeper.Keeper, *args: Any) -> None:
        original(self, *args)
        if self.progress.step == 5:
            raise SystemError

    with monkeypatch.context() as patch:
        patch.setattr(keeper.Keeper, "_after_step", cutting)
        with pytest.raises(SystemError):
            fit(run, tmp_path / "run", resume=False, progress=False)  # type: ignore[arg-type]
    fit(run, tmp_path / "run", resume=True, progress=False)  # type: ignore[arg-type]
    assert list(differences(final(tmp_path / "alone"), final(tmp_path / "run"))) == []
