"""Several ranks learn what one rank learns by accumulation."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from comparison import differences, final

from zoo.training.fit import fit

pytestmark = pytest.mark.slow

SETTINGS: dict[str, Any] = {"dropout": 0.0, "average_last": 2, "task": {"bad_from": 5, "n_bad": 1}}
"""Without dropout, whose masks each rank draws for itself; one batch, on one rank, has no finite loss."""


def on_ranks(folder: Path, n: int, *more: int, **settings: Any) -> int:
    script = Path(__file__).with_name("ranks.py")
    text = json.dumps({**SETTINGS, "devices": n, **settings})
    command = [sys.executable, str(script), str(folder), text, *map(str, more)]
    return subprocess.run(command, check=False, timeout=300).returncode


def assert_alike(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Equal but for the order in which floating-point numbers are added."""
    for name, tensor in left["weights"][10].items():
        torch.testing.assert_close(right["weights"][10][name], tensor, rtol=1e-4, atol=1e-6)
    assert len(left["journal"]) == len(right["journal"])
    for one, other in zip(left["journal"], right["journal"], strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert other[key] == (pytest.approx(value, rel=1e-5) if isinstance(value, float) else value)


def test_two_ranks_learn_what_one_learns_from_two_batches_a_step(toy: ModuleType, tmp_path: Path) -> None:
    assert on_ranks(tmp_path / "two", 2, accumulate=2) == 0
    fit(toy.toy_run(**SETTINGS, accumulate=4), tmp_path / "one", resume=False, progress=False)
    two, one = final(tmp_path / "two"), final(tmp_path / "one")
    assert one["journal"][-2]["n_skipped"] == 1
    assert_alike(one, two)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_any_rank_ends_all_after_saving(toy: ModuleType, tmp_path: Path, rank: int) -> None:
    assert on_ranks(tmp_path / "alone", 2, dropout=0.3) == 0
    assert on_ranks(tmp_path / "run", 2, rank, 5, dropout=0.3) == 143
    assert (tmp_path / "run" / "checkpoints" / "step-6").is_dir()
    assert on_ranks(tmp_path / "run", 2, dropout=0.3) == 0
    assert list(differences(final(tmp_path / "alone"), final(tmp_path / "run"))) == []


def test_a_run_on_two_ranks_is_resumed_on_one(toy: ModuleType, tmp_path: Path) -> None:
    assert on_ranks(tmp_path / "run", 2, 0, 5) == 143
    fit(toy.toy_run(**SETTINGS, accumulate=2), tmp_path / "run", resume=True, progress=False)
    fit(toy.toy_run(**SETTINGS, accumulate=2), tmp_path / "alone", resume=False, progress=False)
    assert_alike(final(tmp_path / "alone"), final(tmp_path / "run"))


@pytest.mark.parametrize(
    "settings",
    [
        {
            "optimizer": {"type": "adam", "eps": 1e-3}
        },  # less would make steps of rounding where gradients are near 0
        {"ema": 0.5, "average_last": 1, "activation_checkpointing": True},
        {"optimizer": {"type": "adamw", "weight_decay": 0.1}},
    ],
    ids=["adam", "ema", "adamw"],
)
def test_devices_that_share_the_weights_learn_what_whole_copies_learn(
    toy: ModuleType, tmp_path: Path, settings: dict[str, Any]
) -> None:
    assert on_ranks(tmp_path / "shared", 2, strategy="fsdp", accumulate=2, **settings) == 0
    fit(
        toy.toy_run(**{**SETTINGS, "accumulate": 4, **settings}),
        tmp_path / "one",
        resume=False,
        progress=False,
    )
    assert_alike(final(tmp_path / "one"), final(tmp_path / "shared"))
    files = (tmp_path / name / "checkpoints" / "step-10" / "model.safetensors" for name in ("one", "shared"))
    assert len({file.stat().st_size for file in files}) == 1  # tied weights are written once


def test_a_run_of_shared_weights_is_resumed_bit_for_bit_and_by_one_device(
    toy: ModuleType, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"strategy": "fsdp", "ema": 0.9, "average_last": 1}
    assert on_ranks(tmp_path / "alone", 2, **settings) == 0
    assert on_ranks(tmp_path / "run", 2, 1, 5, **settings) == 143
    shutil.copytree(tmp_path / "run", tmp_path / "other")
    assert on_ranks(tmp_path / "run", 2, **settings) == 0
    assert list(differences(final(tmp_path / "alone"), final(tmp_path / "run"))) == []
    other = toy.toy_run(**{**SETTINGS, **settings, "strategy": "auto", "accumulate": 2})
    fit(other, tmp_path / "other", resume=True, progress=False)
    assert_alike(final(tmp_path / "alone"), final(tmp_path / "other"))
