"""What an ablation has found so far, read from its run folders alone, and kept as one table beside them."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from zoo.ablation.metric import primary_metric
from zoo.ablation.plan import Plan, Trial
from zoo.ablation.running import chosen
from zoo.ablation.trial import Status, outcome
from zoo.run.evaluating import evaluate, kept_results
from zoo.storage.metrics import METRICS_FILE
from zoo.storage.metrics import read as read_metrics

TABLE = "results.sqlite"


@dataclass(frozen=True)
class Point:
    """A validation on the way."""

    step: int
    n_tokens: int
    """Trained on so far."""
    seconds: float
    loss: float
    score: float | None


@dataclass(frozen=True)
class Found:
    """One training of a variant, and what it gave."""

    variant: str
    seed: int
    status: Status | None
    """None where it has not ended yet."""
    reason: str
    """Why it is not done, where it has ended otherwise."""
    run: str
    """Its folder within the ablation's."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """By name, on the ablation's split; empty of one that is not done."""
    curve: tuple[Point, ...] = ()
    steps: int = 0
    n_tokens: int = 0
    seconds: float = 0.0
    """Of training, over all resumes."""
    tokenizer: str = ""
    """SHA-256 of the tokenizers, joined: the same for all that can be compared token by token."""


@dataclass(frozen=True)
class Results:
    """Everything that is known of an ablation's trainings."""

    metric: str
    """The score that variants are compared by."""
    title: str
    """What it is called where it is shown."""
    is_higher_better: bool
    trials: tuple[Found, ...]
    """In the plan's order: a seed of all variants before the next seed."""
    plan: Plan
    """What was done."""
    tuned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What tuning has chosen for each variant, as overrides."""

    def rows(self) -> list[dict[str, Any]]:
        """Each training as plain data, for a table of any library: its scores are columns, too."""
        rows = []
        for each in self.trials:
            row = asdict(each)
            scores = row.pop("scores")
            row["tuned"] = " ".join(self.tuned.get(each.variant, ()))
            rows.append({**row, **scores})
        return rows

    def scores(self, variant: str) -> dict[int, float]:
        """The compared score of each seed that is done."""
        return {
            each.seed: each.scores[self.metric]
            for each in self.trials
            if each.variant == variant and self.metric in each.scores
        }

    def of(self, variant: str) -> list[Found]:
        return [each for each in self.trials if each.variant == variant]


def collect(plan: Plan, folder: Path) -> Results:
    """Reads the run folders of a plan; runs that are done but not scored on the split are scored now.

    The same from the same folders, however often and wherever it is asked.
    Raises: RunError for records that are damaged.
    """
    name, title, is_higher_better = primary_metric(plan.spec, plan.base.run)
    found = tuple(_found(plan, folder, trial) for trial in plan.trials)
    tuned = {each.name: chosen(plan, folder, each.name) for each in plan.variants}
    return Results(name, title, is_higher_better, found, plan, tuned)


def _found(plan: Plan, folder: Path, trial: Trial) -> Found:
    ended = outcome(folder, trial)
    place = folder / trial.place
    records = read_metrics(place) if (place / METRICS_FILE).exists() else []
    trained = [each for each in records if each["kind"] == "train"]
    last = trained[-1] if trained else {}
    is_done = ended is not None and ended.status == "done"
    return Found(
        trial.variant,
        trial.seed,
        None if ended is None else ended.status,
        "" if ended is None else ended.reason,
        str(trial.place),
        _scores(place, plan.spec.split) if is_done else {},
        tuple(_point(each, trained) for each in records if each["kind"] == "validation"),
        _number(last, "step"),
        _number(last, "n_tokens"),
        float(last.get("seconds") or 0.0),
        _tokenizers(place),
    )


def _number(record: Mapping[str, Any], key: str) -> int:
    return int(record.get(key) or 0)


def _point(record: Mapping[str, Any], trained: Sequence[Mapping[str, Any]]) -> Point:
    loss, step = record.get("loss"), _number(record, "step")
    before = [each for each in trained if _number(each, "step") <= step]
    known = {"kind", "step", "epoch", "loss", "perplexity", "seconds"}
    scores = [value for key, value in record.items() if key not in known and isinstance(value, int | float)]
    return Point(
        step,
        _number(before[-1], "n_tokens") if before else 0,
        float(record.get("seconds") or 0.0),
        math.nan if loss is None else float(loss),
        float(scores[0]) if scores else None,
    )


def _scores(place: Path, split: str | None) -> dict[str, float]:
    results = kept_results(place, split=split) or evaluate(place, split=split)
    return {name: float(results[name]) for name in results["titles"]}


def _tokenizers(place: Path) -> str:
    files = sorted(place.glob("tokenizer*"))
    if not files:
        return ""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def write_table(results: Results, folder: Path) -> Path:
    """Writes everything into one SQLite file beside the runs, in place of an older one: trials, scores, curves,
    variants. It can be made again at will: `collect` reads the run folders.
    """
    path, new = folder / TABLE, folder / f".{TABLE}.new"
    new.unlink(missing_ok=True)
    with closing(sqlite3.connect(new)) as table, table:
        table.execute("CREATE TABLE variants (variant TEXT PRIMARY KEY, overrides TEXT, matched TEXT)")
        table.executemany(
            "INSERT INTO variants VALUES (?, ?, ?)",
            [(each.name, json.dumps(each.overrides), each.note) for each in results.plan.variants],
        )
        table.execute(
            "CREATE TABLE trials (variant TEXT, seed INTEGER, status TEXT, reason TEXT, run TEXT, steps INTEGER, "
            "n_tokens INTEGER, seconds REAL, tokenizer TEXT, PRIMARY KEY (variant, seed))"
        )
        table.execute("CREATE TABLE scores (variant TEXT, seed INTEGER, name TEXT, value REAL)")
        table.execute(
            "CREATE TABLE curves (variant TEXT, seed INTEGER, step INTEGER, n_tokens INTEGER, seconds REAL, loss REAL, "
            "score REAL)"
        )
        for each in results.trials:
            row = asdict(each)
            scores, curve = row.pop("scores"), row.pop("curve")
            table.execute(f"INSERT INTO trials VALUES ({', '.join('?' * len(row))})", list(row.values()))
            key = (each.variant, each.seed)
            table.executemany(
                "INSERT INTO scores VALUES (?, ?, ?, ?)", [(*key, *item) for item in scores.items()]
            )
            table.executemany(
                "INSERT INTO curves VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(*key, *point.values()) for point in curve],
            )
    os.replace(new, path)
    return path
