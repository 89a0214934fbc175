"""Image classification through the whole of training: it learns, and is resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cutting import left_by_resuming

import zoo


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


def test_a_run_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    run = classifying()
    assert left_by_resuming(run, tmp_path) == []
