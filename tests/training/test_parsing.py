"""A run of parsing, cut off and resumed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from comparison import differences, final

from registry import parse
from zoo.training import keeper
from zoo.training.fit import fit


def test_a_parsing_run_is_resumed_bit_for_bit(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
