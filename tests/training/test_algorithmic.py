"""A run of an algorithmic task, cut off and resumed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from cutting import left_by_resuming

from registry import parse


def test_an_algorithmic_run_is_resumed_bit_for_bit(toy: ModuleType, tmp_path: Path) -> None:
    data = toy.toy_run(max_steps=8).model_dump(serialize_as_any=True)
    data["model"] = {
        "type": "decoder_only",
        "d_model": 8,
        "tokens": {"type": "tokens", "vocab_size": 19},
        "decoder": data["model"]["encoder"],
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    data["task"] = {
        "type": "algorithmic",
        "data": {
            "type": "sorting",
            "lengths": [6, 10],
            "test_lengths": [6],
            "n_train": 61,
            "n_dev": 9,
            "n_test": 5,
        },
    }
    data["training"] |= {"tokens_per_batch": 120}
    run = parse(toy.ToyRun, data)
    assert left_by_resuming(run, tmp_path) == []
