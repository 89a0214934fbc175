"""Runs of the tasks of speech, cut off and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
from cutting import left_by_resuming

import zoo as library


@pytest.mark.parametrize("preset", ["wav2vec2_base", "whisper_tiny", "spoken_digits"])
def test_a_run_is_resumed_bit_for_bit(tmp_path: Path, preset: str) -> None:
    few = ("task.data.n_train=60", "task.data.n_dev=6", "task.data.n_test=5", "training.max_steps=7")
    how = ("training.accelerator=cpu", "training.precision=fp32", "training.tokens_per_batch=500")
    regular = ("training.checkpoint_every=2", "training.validate_every=4")
    run = library.load(preset, *few, *how, *regular, scale="tiny")
    assert left_by_resuming(run, tmp_path) == []
