"""Small models really trained: equal treatment of variants, failures as results, the table of what was found."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests.ablation.pretending import InProcess, Pretended, plan_of, small
from zoo.ablation.plan import Plan
from zoo.ablation.results import Results, collect, write_table
from zoo.ablation.telling import results_text
from zoo.ablation.trial import Outcome
from zoo.errors import RunError
from zoo.storage.selection import load_weights

VARIANTS: dict[str, Any] = {
    "shallow": {"model.decoder.n_layers": 1},
    "relu": {"model.decoder.layer.ffn.activation": "relu"},
    "fast": {
        "training.optimizer": {"type": "sgd"},
        "training.schedule.peak_lr": 1e6,
        "training.clip_norm": None,
        "training.max_skipped_steps": 1,
    },
    "broken": {"model.decoder.layer.norm": "failing_at_step_3"},
}
FROZEN = {
    "training.freeze": [
        "decoder.layers.0.*",
        "decoder.position.*",
    ],  # so that their first weights are their last
    "model.initialization.residual_scaling": False,  # which would look at how deep a model is
}

PLUGIN = '''
from typing import Literal
import torch
from torch import nn
from registry import Spec
from zoo.kinds import NORM

class FailingSpec(Spec):
    type: Literal["failing_at_step_3"] = "failing_at_step_3"

@NORM.register("failing_at_step_3", spec=FailingSpec, examples=[{}])
class Failing(nn.Module):
    """Fails at its third training step."""
    def __init__(self, *, d_model: int) -> None:
        super().__init__()
        self.n = 0

    def forward(self, x):
        self.n += self.training and torch.is_grad_enabled()
        if self.n == 3:
            raise ValueError("no third step for this norm")
        return x
'''


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Path]:
    folder = tmp_path_factory.mktemp("ablated")
    plugin = folder / "failing.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    source = small(variants=VARIANTS, seeds=[1, 2], overrides=FROZEN)
    results = zoo.ablate(source, out=folder / "out", plugins=[plugin], engine=InProcess())
    return results, folder / "out"


def digest(files: Iterator[Path], root: Path) -> dict[str, str]:
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_for_one_seed_all_variants_have_the_same_tokenizer_and_examples(
    ablated: tuple[Results, Path],
) -> None:
    folder = ablated[1] / "runs"
    for seed in (1, 2):
        kept = []
        for name in ("base", "shallow", "relu"):
            root = folder / name / f"seed-{seed}"
            files = [
                *root.glob("tokenizer*"),
                *(file for file in root.glob("examples/**/*") if file.is_file()),
            ]
            assert len(files) > 2
            kept.append(digest(iter(files), root))
        assert kept[0] == kept[1] == kept[2]
    tokenizers = {each.tokenizer for each in ablated[0].trials if each.status == "done"}
    assert len(tokenizers) == 1
    assert tokenizers != {""}


def test_for_one_seed_all_variants_begin_with_the_same_weights_in_unchanged_parts(
    ablated: tuple[Results, Path],
) -> None:
    folder = ablated[1] / "runs"
    for seed in (1, 2):
        base = load_weights(folder / "base" / f"seed-{seed}")
        for name in ("shallow", "relu"):
            own = load_weights(folder / name / f"seed-{seed}")
            frozen = [key for key in own if key.startswith(("decoder.layers.0.", "decoder.position."))]
            assert len(frozen) > 5
            for key in frozen:
                torch.testing.assert_close(own[key], base[key], rtol=0, atol=0)
            assert any(not torch.equal(own[key], base[key]) for key in own if key not in frozen)
    one, two = (load_weights(folder / "base" / f"seed-{seed}") for seed in (1, 2))
    assert not torch.equal(one["decoder.position.table.weight"], two["decoder.position.table.weight"])


def test_for_one_seed_all_variants_read_the_same_batches_in_the_same_order(
    ablated: tuple[Results, Path], tmp_path: Path
) -> None:
    plan = ablated[0].plan

    def batches(name: str, seed: int) -> list[torch.Tensor]:
        trial = next(each for each in plan.trials if (each.variant, each.seed) == (name, seed))
        _, data = zoo.lightning(plan.run(trial), tmp_path / f"{name}-{seed}")
        data.setup("fit")
        return [batch["tokens"] for batch in islice(data.train_dataloader(), 7)]

    base, other = batches("base", 1), batches("base", 2)
    assert any(a.shape != b.shape or not torch.equal(a, b) for a, b in zip(base, other, strict=True))
    for a, b in zip(base, batches("shallow", 1), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_failed_and_diverged_trainings_are_results_with_their_reason(ablated: tuple[Results, Path]) -> None:
    results, _ = ablated
    statuses = {(each.variant, each.seed): each.status for each in results.trials}
    assert statuses == {
        (name, seed): {"fast": "diverged", "broken": "failed"}.get(name, "done")
        for name in ("base", *VARIANTS)
        for seed in (1, 2)
    }
    text = results_text(results)
    assert "broken, seed 1: failed: no third step for this norm" in text
    assert "fast, seed 2: diverged: " in text
    assert all(not each.scores for each in results.trials if each.status != "done")


def test_scores_are_those_of_the_test_set_and_rows_are_plain(ablated: tuple[Results, Path]) -> None:
    results, folder = ablated
    rows = results.rows()
    assert json.loads(json.dumps(rows, allow_nan=False)) == json.loads(json.dumps(rows))
    for row in rows:
        if row["status"] == "done":
            said = json.loads((folder / row["run"] / "results.json").read_text(encoding="utf-8"))
            assert row["loss"] == said["loss"] == results.scores(row["variant"])[row["seed"]]
            assert [point["step"] for point in row["curve"]] == [3, 6]
            assert row["steps"] == 6


def test_everything_is_read_again_from_the_run_folders_alone(ablated: tuple[Results, Path]) -> None:
    results, folder = ablated
    (folder / "results.sqlite").unlink()
    again = collect(results.plan, folder)
    assert again == results
    write_table(again, folder)
    with closing(sqlite3.connect(folder / "results.sqlite")) as table:
        rows = table.execute("SELECT variant, seed, value FROM scores WHERE name = 'loss'").fetchall()
        n_points = table.execute("SELECT count(*) FROM curves WHERE variant = 'base'").fetchone()[0]
        reasons = table.execute(
            "SELECT status, count(*) FROM trials GROUP BY status ORDER BY status"
        ).fetchall()
    assert {(name, seed): value for name, seed, value in rows} == {
        (each.variant, each.seed): each.scores["loss"] for each in results.trials if each.scores
    }
    assert n_points == 4
    assert reasons == [("diverged", 2), ("done", 6), ("failed", 2)]


def test_what_is_going_on_can_be_looked_at(ablated: tuple[Results, Path], tmp_path: Path) -> None:
    results = collect(ablated[0].plan, tmp_path)
    assert {each.status for each in results.trials} == {None}
    assert "10 trainings not ended yet" in results_text(results)


def test_where_every_training_failed_that_is_an_error(tmp_path: Path) -> None:
    engine = Pretended(ends=lambda trial: Outcome("failed", "no luck"))
    with pytest.raises(
        RunError, match=r"no training came to its end.*the first: base, seed 1: failed: no luck"
    ):
        zoo.ablate(small(), out=tmp_path / "out", engine=engine)
    assert (tmp_path / "out" / "results.sqlite").exists()


def test_a_plan_is_to_be_had_without_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan: Plan = zoo.plan_ablation(small(), "training.max_steps=4")
    assert [each.name for each in plan.variants] == ["base", "one_head", "shallow"]
    assert plan == replace(plan_of(), given=("training.max_steps=4",), variants=plan.variants)
    assert list(tmp_path.iterdir()) == []
