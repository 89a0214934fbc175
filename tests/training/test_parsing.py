"""A run of parsing, cut off and resumed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from cutting import left_by_resuming

from registry import parse


def test_a_parsing_run_is_resumed_bit_for_bit(toy: ModuleType, tmp_path: Path) -> None:
    data = toy.toy_run(max_steps=8).model_dump(serialize_as_any=True)
    data["model"]["source"]["vocab_size"] = 150
    data["model"]["target"] = {"type": "tokens", "vocab_size": 40}
    data["task"] = {
        "type": "parsing",
        "data": {"type": "grammar_trees", "n_train": 61, "n_dev": 9, "n_test": 5},
        "tokenizer": "words",
    }
    data["training"] |= {"tokens_per_batch": 200}
    data["generation"] = {"type": "greedy", "max_length": 9}
    run = parse(toy.ToyRun, data)
    assert left_by_resuming(run, tmp_path) == []
