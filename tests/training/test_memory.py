"""A batch that the memory does not hold: named, or learnt from in halves with the same gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, parse
from zoo.errors import RunError
from zoo.storage.metrics import read
from zoo.storage.selection import load_weights
from zoo.training.fit import fit
from zoo.training.memory import is_out_of_memory
from zoo.training.spec import TrainingSpec

REFUSAL = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
)


def holding(toy: ModuleType, rows: int, *, fails_in_backward: bool, from_step: int = 1) -> Callable[..., Any]:
    """The toy's loss on a machine whose memory holds so many rows, from a step on."""
    original = toy.Toy.loss
    seen = {"batches": 0}

    class Full(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def loss(self: Any, model: Any, batch: Any, **options: Any) -> Any:
        found = original(self, model, batch, **options)
        if not torch.is_grad_enabled():
            return found
        seen["batches"] += 1
        if len(batch["source"]) <= rows or seen["batches"] < from_step:
            return found
        if not fails_in_backward:
            raise RuntimeError(REFUSAL)
        return type(found)(Full.apply(found.loss), found.nll, found.n_predicted, found.n_processed)

    return loss


@pytest.mark.parametrize("fails_in_backward", [False, True])
def test_a_batch_too_large_is_named_with_what_bounds_it_and_the_run_goes_on_later(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails_in_backward: bool
) -> None:
    run = toy.toy_run(task={"n_pairs": 4}, checkpoint_every=2)
    with monkeypatch.context() as patch:
        full = holding(toy, 3, fails_in_backward=fails_in_backward, from_step=4)
        patch.setattr(toy.Toy, "loss", full)
        with pytest.raises(RunError, match="step 4: out of memory on cpu") as caught:
            fit(run, tmp_path / "run", resume=False, progress=False)
    message = str(caught.value)
    assert "a batch of 4 × " in message
    assert "task.n_pairs bound it; training.out_of_memory=split" in message
    fit(run, tmp_path / "run", resume=True, progress=False)
    fit(run, tmp_path / "alone", resume=False, progress=False)
    for left, right in zip(
        load_weights(tmp_path / "run").values(), load_weights(tmp_path / "alone").values(), strict=True
    ):
        assert torch.equal(left, right)


@pytest.mark.parametrize("fails_in_backward", [False, True])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("rows", [1, 3])
def test_halves_learn_what_the_whole_would_have(
    toy: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fails_in_backward: bool,
    accumulate: int,
    rows: int,
) -> None:
    run = toy.toy_run(
        task={"n_pairs": 5},
        dropout=0.0,
        max_steps=3,
        accumulate=accumulate,
        out_of_memory="split",
        clip_norm=0.5,
    )
    fit(run, tmp_path / "whole", resume=False, progress=False)
    monkeypatch.setattr(toy.Toy, "loss", holding(toy, rows, fails_in_backward=fails_in_backward))
    fit(run, tmp_path / "halves", resume=False, progress=False)
    norms = [
        [record["gradient_norm"] for record in read(tmp_path / name) if record["kind"] == "train"]
        for name in ("whole", "halves")
    ]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    whole, halves = load_weights(tmp_path / "whole"), load_weights(tmp_path / "halves")
    for name, expected in whole.items():
        assert_close(halves[name], expected, rtol=1e-4, atol=1e-6)


def test_a_batch_too_large_for_the_measuring_before_the_first_step_is_named_as_any(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy.Toy, "loss", holding(toy, 3, fails_in_backward=False))
    with pytest.raises(RunError, match="step 1: out of memory on cpu with a batch of 4 × "):
        fit(toy.toy_run(task={"n_pairs": 4}), tmp_path, resume=False, progress=True)


def test_a_validation_that_the_memory_does_not_hold_is_measured_in_halves(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = toy.toy_run(task={"n_pairs": 5, "draws": False}, out_of_memory="split", max_steps=2)
    fit(run, tmp_path / "whole", resume=False, progress=False)
    original, sizes = toy.Toy.predict, []

    def predict(self: Any, model: Any, batch: Any, **more: Any) -> Any:
        sizes.append(len(batch["source"]))
        if sizes[-1] > 2:
            raise RuntimeError(REFUSAL)
        return original(self, model, batch, **more)

    monkeypatch.setattr(toy.Toy, "predict", predict)
    fit(run, tmp_path / "halves", resume=False, progress=False)
    assert sizes == 2 * [5, 2, 3, 1, 2]
    whole, halves = (
        [r for r in read(tmp_path / name) if r["kind"] == "validation"] for name in ("whole", "halves")
    )
    for key in ("loss", "bleu"):
        assert [record[key] for record in halves] == pytest.approx(
            [record[key] for record in whole], rel=1e-5
        )
    with pytest.raises(RunError, match="out of memory between two batches"):
        fit(toy.toy_run(task={"n_pairs": 5}, max_steps=2), tmp_path / "error", resume=False, progress=False)


def test_a_single_row_that_does_not_fit_is_an_error(
    toy: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy.Toy, "loss", holding(toy, 0, fails_in_backward=False))
    with pytest.raises(RunError, match="even one row of it alone"):
        fit(toy.toy_run(out_of_memory="split"), tmp_path, resume=False, progress=False)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError(REFUSAL), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("could not create a primitive"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_is_no_lack_of_memory_is_left_alone(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_splitting_on_several_devices_is_refused() -> None:
    with pytest.raises(SpecError, match="out_of_memory 'split' needs devices 1"):
        parse(TrainingSpec, {"out_of_memory": "split", "num_nodes": 2})


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({}, "it needs devices or num_nodes above 1"),
        ({"devices": 2, "optimizer": "muon"}, "muon works on whole matrices"),
        ({"num_nodes": 2, "optimizer": "adafactor"}, "take adam, adamw, lion or sgd"),
    ],
)
def test_what_devices_cannot_share_is_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(TrainingSpec, {"strategy": "fsdp", **keys})
