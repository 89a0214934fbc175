"""The ablations that come along can be planned: every variant is sound, and of the base's size where that is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

import zoo
from zoo.ablation.telling import plan_text
from zoo.analysis.size import n_parameters

FILES = sorted((Path(__file__).parents[2] / "examples" / "ablations").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_ablation_that_comes_along_can_be_planned(file: Path) -> None:
    plan = zoo.plan_ablation(file)
    assert len(plan.variants) > 1
    assert not plan.same
    sizes = [n_parameters(variant.run.model) for variant in plan.variants]
    if plan.spec.match == "parameters":
        assert max(abs(size - sizes[0]) for size in sizes) <= 0.01 * sizes[0]
    assert all(variant.name in plan_text(plan) for variant in plan.variants)
    assert "a mapping" not in plan_text(plan)
