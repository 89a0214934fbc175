"""The tasks that hide some of a text through the whole of training: resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from cutting import left_by_resuming

from registry import parse


@pytest.mark.parametrize("name", ["masked_language_model", "span_corruption", "infilling"])
def test_a_run_is_resumed_bit_for_bit(toy: ModuleType, tmp_path: Path, name: str) -> None:
    data = toy.toy_run(max_steps=8).model_dump(serialize_as_any=True)
    model = data["model"]
    model["source"]["vocab_size"] = 120
    data["task"] = {
        "type": name,
        "data": {"type": "grammar_text", "n_train": 17, "n_dev": 3, "n_test": 2},
        "tokenizer": "words",
    }
    if name == "span_corruption":
        data["task"]["n_sentinels"] = 40
    if name == "masked_language_model":
        data["model"] = {
            "type": "encoder_only",
            "d_model": 8,
            "inputs": model["source"],
            "encoder": model["encoder"],
            "head": "masked_language_model",
        }
    data["training"] |= {"tokens_per_batch": 150}  # several batches an epoch, and more than one epoch
    run = parse(toy.ToyRun, data)
    assert left_by_resuming(run, tmp_path) == []
