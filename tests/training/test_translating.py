"""The real task through the whole of training: it learns, and it is resumed like the toy."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cutting import left_by_resuming

from registry import parse
from zoo.training.fit import fit


def translating(toy: ModuleType, **training: Any) -> Any:
    data = toy.toy_run(max_steps=8, **training).model_dump(serialize_as_any=True)
    data["model"]["source"]["vocab_size"] = 150
    data["task"] = {
        "type": "translation",
        "data": {"type": "grammar", "n_train": 61, "n_dev": 9, "n_test": 5},
        "tokenizer": "words",
        "validation_sentences": 4,
    }
    data["training"] |= {"tokens_per_batch": 90}
    return parse(toy.ToyRun, data)


@pytest.mark.parametrize("precision", ["fp32", "bf16-mixed"])
def test_a_translation_run_is_resumed_bit_for_bit(toy: ModuleType, tmp_path: Path, precision: str) -> None:
    run = translating(toy, precision=precision, average_last=2)
    assert left_by_resuming(run, tmp_path) == []


@pytest.mark.slow
def test_it_learns_to_translate(toy: ModuleType, tmp_path: Path) -> None:
    data = translating(toy).model_dump(serialize_as_any=True)
    data["model"]["d_model"] = 128
    data["model"]["source"]["vocab_size"] = 1000
    for stack in ("encoder", "decoder"):
        data["model"][stack] |= {"input_dropout": 0.0, "n_layers": 2}
        data["model"][stack]["layer"] |= {"dropout": 0.0}
        data["model"][stack]["layer"]["ffn"]["d_ff"] = 512
    data["task"]["data"] = {"type": "grammar", "n_train": 50000, "n_dev": 50, "n_test": 50}
    data["task"]["validation_sentences"] = 50
    data["training"] |= {
        "tokens_per_batch": 1024,
        "max_steps": 800,
        "validate_every": 800,
        # It falls to 0: at a rate still high, BLEU is 12 to 40 by the processor and the seed.
        "schedule": {"type": "linear", "peak_lr": 3e-3, "warmup_steps": 100},
    }
    run = parse(toy.ToyRun, data)
    result = fit(run, tmp_path, resume=False, progress=False)
    assert result.validation["loss"] < 1.0  # ln 1000 = 6.9 for one who knows nothing
    assert result.validation["bleu"] > 30
