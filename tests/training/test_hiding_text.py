"""The tasks that hide some of a text through the whole of training: resumed bit for bit."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from comparison import differences, final

from registry import parse
from zoo.training import keeper
from zoo.training.fit import fit


@pytest.mark.parametrize("name", ["masked_language_model", "span_corruption", "infilling"])
def test_a_run_is_resumed_bit_for_bit(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
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
