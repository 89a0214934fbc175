"""The task of language models through the whole of training: resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from cutting import left_by_resuming

from registry import parse


@pytest.mark.parametrize("sampling", ["epochs", "random"])
def test_a_language_model_is_resumed_bit_for_bit(toy: ModuleType, tmp_path: Path, sampling: str) -> None:
    data = toy.toy_run(max_steps=8).model_dump(serialize_as_any=True)
    model = data["model"]
    data["model"] = {
        "type": "decoder_only",
        "d_model": 8,
        "tokens": {"type": "tokens", "vocab_size": 80},
        "decoder": model["encoder"],
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    data["task"] = {
        "type": "language_model",
        "data": {"type": "grammar_text", "n_train": 5, "n_dev": 3, "n_test": 2},
        "tokenizer": "characters",
        "length": 37,
        "sampling": sampling,
    }
    data["training"] |= {"tokens_per_batch": 150}  # five batches an epoch
    run = parse(toy.ToyRun, data)
    assert left_by_resuming(run, tmp_path) == []
