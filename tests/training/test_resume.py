"""A run cut off anywhere and resumed equals the run left alone, bit for bit, with dropout on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from comparison import differences, final
from cutting import Cut, cut_off

from zoo.errors import RunError
from zoo.storage.checkpoints import Checkpoints
from zoo.training.fit import fit

SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {"average_last": 2},
    "accumulating": {"accumulate": 3, "clip_norm": 0.5, "optimizer": "adamw"},
    "bf16": {"precision": "bf16-mixed"},
    "workers": {"data_workers": 2},
}


@pytest.fixture(scope="module")
def references(toy: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """What each setting comes to when it is left alone."""
    known: dict[str, dict[str, Any]] = {}

    def reference(name: str) -> dict[str, Any]:
        if name not in known:
            folder = tmp_path_factory.mktemp(name) / "run"
            fit(toy.toy_run(**SETTINGS[name]), folder, resume=False, progress=False)
            known[name] = final(folder)
        return known[name]

    return reference


# 10 steps; batches 0-6 are epoch 0 (plain), a record every 2, validation every 4, a checkpoint every 3.
CUTS = [
    ("_count", 0, False),  # before the first step is counted: nothing is saved
    ("_after_step", 2, False),
    ("_record", 4, True),  # recorded, then gone
    ("_validate", 4, True),  # validated, not saved
    ("_save", 4, False),
    ("_save", 4, True),
    ("_after_step", 6, True),
    ("_after_step", 7, True),  # the end of the first epoch
    ("_validate", 8, False),
    ("_save", 9, True),
    ("_record", 10, True),
    ("_validate", 10, True),
    ("_save", 10, False),
    ("_tidy", 10, False),  # the checkpoint is there, the index does not know
    ("_save", 10, True),  # all done but the average
]


SHORT = (("_after_step", 2, False), ("_validate", 8, False), ("_save", 9, True))
"""Cuts at which a run that accumulates is tried in the default suite."""


@pytest.mark.parametrize(
    ("setting", "method", "step", "after"),
    [
        *(pytest.param("plain", *cut) for cut in CUTS),
        *(
            pytest.param("accumulating", *cut, marks=[] if cut in SHORT else [pytest.mark.slow])
            for cut in CUTS
        ),
    ],
)
def test_a_run_cut_off_anywhere_ends_as_if_it_had_not_been(
    toy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    references: Callable[[str], dict[str, Any]],
    setting: str,
    method: str,
    step: int,
    after: bool,
) -> None:
    run = toy.toy_run(**SETTINGS[setting])
    with monkeypatch.context() as patch:
        cut_off(patch, method, step, after=after)
        with pytest.raises(Cut):
            fit(run, tmp_path / "run", resume=False, progress=False)
    torch.rand(3)  # resuming does not lean on the generators as the cut left them
    fit(run, tmp_path / "run", resume=True, progress=False)
    assert list(differences(references(setting), final(tmp_path / "run"))) == []


@pytest.mark.parametrize("setting", ["bf16", "workers"])
def test_so_does_one_in_bfloat16_or_with_data_workers(
    toy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    references: Callable[[str], dict[str, Any]],
    setting: str,
) -> None:
    run = toy.toy_run(**SETTINGS[setting])
    with monkeypatch.context() as patch:
        cut_off(patch, "_after_step", 7, after=False)
        with pytest.raises(Cut):
            fit(run, tmp_path / "run", resume=False, progress=False)
    fit(run, tmp_path / "run", resume=True, progress=False)
    assert list(differences(references(setting), final(tmp_path / "run"))) == []


def test_data_workers_change_nothing_but_the_time(references: Callable[[str], dict[str, Any]]) -> None:
    kinds = ("weights", "journal", "index")
    plain, workers = references("plain"), references("workers")
    found = list(differences({k: plain[k] for k in kinds}, {k: workers[k] for k in kinds}))
    assert all("average" in line for line in found)  # only the plain run averages


def test_dropout_is_on_in_these_runs(toy: ModuleType, tmp_path: Path, references: Any) -> None:
    fit(toy.toy_run(average_last=2, dropout=0.0), tmp_path / "run", resume=False, progress=False)
    assert list(differences(references("plain")["weights"], final(tmp_path / "run")["weights"]))


def test_a_seed_decides_the_run_and_the_callers_generators_are_left_alone(
    toy: ModuleType, tmp_path: Path, references: Any
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    fit(toy.toy_run(average_last=2), tmp_path / "again", resume=False, progress=False)
    assert torch.equal(torch.rand(2), expected)
    fit(toy.toy_run(average_last=2, seed=3), tmp_path / "other", resume=False, progress=False)
    assert list(differences(references("plain"), final(tmp_path / "again"))) == []
    assert list(differences(references("plain")["weights"], final(tmp_path / "other")["weights"]))


def test_how_often_it_is_watched_changes_nothing_that_is_learnt(
    toy: ModuleType, tmp_path: Path, references: Any
) -> None:
    run = toy.toy_run(validate_every=3, checkpoint_every=5, log_every=1)
    fit(run, tmp_path / "run", resume=False, progress=False)
    expected, found = references("plain"), final(tmp_path / "run")
    assert list(differences(expected["weights"][10], found["weights"][10])) == []
    for part in ("optimizer", "random"):
        assert list(differences(expected["states"][10][part], found["states"][10][part])) == []


def test_a_run_that_is_done_is_given_back(toy: ModuleType, tmp_path: Path, references: Any) -> None:
    run = toy.toy_run(average_last=2)
    first = fit(run, tmp_path / "run", resume=False, progress=False)
    again = fit(run, tmp_path / "run", resume=True, progress=False)
    assert again == first
    assert list(differences(references("plain"), final(tmp_path / "run"))) == []


def test_a_longer_training_goes_on_where_a_shorter_one_ended(toy: ModuleType, tmp_path: Path) -> None:
    fit(toy.toy_run(max_steps=6), tmp_path / "run", resume=False, progress=False)
    fit(toy.toy_run(max_steps=9), tmp_path / "run", resume=True, progress=False)
    fit(toy.toy_run(max_steps=9), tmp_path / "alone", resume=False, progress=False)
    weights = [final(tmp_path / name)["weights"][9] for name in ("run", "alone")]
    assert list(differences(*weights)) == []
    assert "max_steps: 9" in (tmp_path / "run" / "spec.yaml").read_text()


def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_it_used(
    toy: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture, references: Any
) -> None:
    run = toy.toy_run(average_last=2)
    fit(run, tmp_path / "run", resume=False, progress=False)
    before = Checkpoints(tmp_path / "run" / "checkpoints").steps()[-3]
    for step in (9, 10):
        file = tmp_path / "run" / "checkpoints" / f"step-{step}" / "model.safetensors"
        changed = bytearray(file.read_bytes())
        changed[-7] ^= 1
        file.write_bytes(changed)
    fit(run, tmp_path / "run", resume=True, progress=False)
    assert "step-10" in caplog.messages[0]
    assert f"going on from step {before}, the newest intact one" in caplog.messages[0]
    assert "step-9" in caplog.messages[1]
    assert list(differences(references("plain"), final(tmp_path / "run"))) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_norm": 0.2}, "training.clip_norm: None when it was saved, now 0.2"),
        ({"task": {"n_pairs": 4}}, "task.n_pairs: 3 when it was saved, now 4; the text or the tokenizer"),
        ({"dropout": 0.2}, "model.encoder.layer.dropout: 0.3 when it was saved, now 0.2"),
        ({"accumulate": 2}, "training.devices · num_nodes · accumulate: 1 when it was saved, now 2"),
        ({"schedule": "noam"}, "training.schedule.warmup_steps: 5 when it was saved, now 4000"),
    ],
)
def test_another_recipe_is_refused_by_name(
    toy: ModuleType, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    fit(toy.toy_run(max_steps=3), tmp_path / "run", resume=False, progress=False)
    with pytest.raises(RunError) as caught:
        fit(toy.toy_run(**{"max_steps": 6, **changes}), tmp_path / "run", resume=True, progress=False)
    assert message in str(caught.value)
    assert "max_steps: 3" in (tmp_path / "run" / "spec.yaml").read_text()


def test_batches_accumulated_equal_batches_on_more_ranks_for_the_refusal(toy: ModuleType) -> None:
    from zoo.training.identity import check_identity, identity

    one = identity(toy.toy_run(accumulate=4), "x")
    two = identity(toy.toy_run(accumulate=2, devices=2, max_steps=99, log_every=1), "x")
    check_identity(one, two)
    with pytest.raises(RunError, match="the text or the tokenizer"):
        check_identity(one, {**two, "data": "y"})


def test_fewer_steps_than_were_taken_are_refused_and_nothing_is_changed(
    toy: ModuleType, tmp_path: Path
) -> None:
    fit(toy.toy_run(max_steps=6), tmp_path, resume=False, progress=False)
    before = (tmp_path / "spec.yaml").read_bytes()
    with pytest.raises(RunError, match=r"has taken 6 steps already, and 4 are asked for"):
        fit(toy.toy_run(max_steps=4), tmp_path, resume=True, progress=False)
    assert (tmp_path / "spec.yaml").read_bytes() == before
