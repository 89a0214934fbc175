"""Runs that are killed at a step and resumed, beside those that nothing disturbed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from comparison import differences, final

from zoo.training import keeper
from zoo.training.fit import fit


class Cut(BaseException):
    """Stands for a kill: nothing in the code under test catches it."""


def cut_off(monkeypatch: pytest.MonkeyPatch, method: str, step: int, *, after: bool) -> None:
    """Ends the training in a method of the keeper at a step, before or after its work."""
    original: Callable[..., Any] = getattr(keeper.Keeper, method)

    def cutting(self: keeper.Keeper, *args: Any, **kwargs: Any) -> Any:
        if after:
            result = original(self, *args, **kwargs)
        if self.progress.step == step:
            raise Cut
        return result if after else original(self, *args, **kwargs)

    monkeypatch.setattr(keeper.Keeper, method, cutting)


def resumed(run: Any, folder: Path, *, at: int = 5) -> None:
    """Trains a run into a folder, killed right after a step and resumed."""
    with pytest.MonkeyPatch.context() as patch:
        cut_off(patch, "_after_step", at, after=True)
        with pytest.raises(Cut):
            fit(run, folder, resume=False, progress=False)
    fit(run, folder, resume=True, progress=False)


def left_by_resuming(run: Any, folder: Path) -> list[str]:
    """Where a run that was killed and resumed is not, bit for bit, what it is undisturbed; both lie in the folder."""
    fit(run, folder / "alone", resume=False, progress=False)
    resumed(run, folder / "run")
    return list(differences(final(folder / "alone"), final(folder / "run")))
