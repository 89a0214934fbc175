"""Text classification and tagging through the whole of training: resumed like the toy, bit for bit."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cutting import left_by_resuming

import zoo


@pytest.mark.parametrize("preset", ["text_classifier_small", "tagger_small"])
def test_a_labelling_run_is_resumed_bit_for_bit(toy: ModuleType, tmp_path: Path, preset: str) -> None:
    run: Any = zoo.load(
        preset,
        "model.encoder.n_layers=1",
        "model.inputs.vocab_size=130",
        "task.data.n_train=61",
        "task.data.n_dev=9",
        "task.data.n_test=5",
        "task.tokenizer=words",
        "training.tokens_per_batch=90",
        "training.max_steps=8",
        "training.validate_every=4",
        "training.checkpoint_every=3",
        "training.precision=fp32",
        "training.accelerator=cpu",
        scale="tiny",
    )
    assert left_by_resuming(run, tmp_path) == []
