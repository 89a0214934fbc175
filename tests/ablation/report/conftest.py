"""An ablation whose trainings were never made: its results are written down here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from zoo.ablation.kept import keep
from zoo.ablation.plan import Plan
from zoo.ablation.planning import make_plan
from zoo.ablation.report.gathering import Report, gather
from zoo.ablation.results import Found, Point, Results
from zoo.ablation.spec import read

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> | \\end{table} `a` ${b} \u202e"
SEEDS = (1, 2, 3)
SCORES: Mapping[str, Sequence[float | None]] = {
    "base": (30.0, 31.0, 32.5),
    "rotary": (33.1, 34.0, 35.7),
    HOSTILE: (29.0, 31.9, 31.2),
    "lost": (28.0, None, None),
}
"""BLEU by variant and seed."""

Make = Callable[[Mapping[str, Sequence[float | None]]], Report]


@pytest.fixture(scope="session")
def plan() -> Plan:
    """Three variants of a tiny translation."""
    document = read(
        {
            "base": "quickstart",
            "scale": "tiny",
            "variants": {
                "rotary": {"model.position": "rotary"},
                HOSTILE: {"model.encoder.layer.ffn": {"type": "glu"}, "task.label_smoothing": 0.0},
                "lost": {"model.encoder.n_layers": 1},
            },
            "seeds": list(SEEDS),
        }
    )
    return make_plan(document)


@pytest.fixture
def results(plan: Plan) -> Results:
    return results_of(plan, SCORES)


@pytest.fixture
def report(plan: Plan, results: Results, tmp_path: Path) -> Report:
    return gather(plan, results, tmp_path)


@pytest.fixture
def folder(plan: Plan, tmp_path: Path) -> Path:
    """The ablation's folder with what the trainings of two seeds would have left."""
    keep(plan, tmp_path)
    for trial in plan.trials:
        if trial.seed == 3 or trial.variant == "lost":
            continue
        place = tmp_path / trial.place
        place.mkdir(parents=True)
        lines = [f"{trial.variant} {trial.seed} {i}" for i in range(20)]
        (place / "hypotheses.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        session = {"started": f"2026-01-0{trial.seed}", "device": "a <CPU>", "packages": {"torch": "2.0"}}
        (place / "environment.json").write_text(json.dumps({"sessions": [session]}), encoding="utf-8")
        records = [{"kind": "train", "tokens_per_second": speed} for speed in (100.0, 300.0, 200.0)]
        text = "".join(f"{json.dumps(record)}\n" for record in records)
        (place / "metrics.jsonl").write_text(text, encoding="utf-8")
    return tmp_path


def results_of(plan: Plan, scores: Mapping[str, Sequence[float | None]]) -> Results:
    """Results with these scores; a missing one diverged."""
    found = []
    for trial in plan.trials:
        values = scores.get(trial.variant, ())
        score = values[trial.seed - 1] if trial.seed <= len(values) else None
        status = "done" if score is not None else "diverged"
        found.append(
            Found(
                variant=trial.variant,
                seed=trial.seed,
                status=status,  # type: ignore[arg-type]
                reason="" if score is not None else f"no longer finite: {HOSTILE}",
                run=str(trial.place),
                scores={} if score is None else {"bleu": score, "chrf": score + 17.25},
                curve=curve(trial.seed, score or 20.0),
                steps=300,
                n_tokens=90_000,
                seconds=40.0 + trial.seed,
            )
        )
    return Results("bleu", "BLEU", True, tuple(found), plan)


def curve(seed: int, score: float) -> tuple[Point, ...]:
    return tuple(
        Point(step, 300 * step + seed, 0.1 * step + seed, 5.0 - 0.01 * step + 0.1 * seed, score * step / 300)
        for step in (100, 200, 300)
    )
