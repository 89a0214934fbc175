"""A small ablation as data, and an engine that pretends to train."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.ablation.plan import Plan, Trial
from zoo.ablation.planning import make_plan
from zoo.ablation.spec import read
from zoo.ablation.trial import Job, Outcome, outcome, write_outcome
from zoo.errors import DivergedError
from zoo.run.spec import RunSpec, to_yaml
from zoo.run.training import train

SMALL: dict[str, Any] = {
    "base": "char_gpt",
    "scale": "tiny",
    "overrides": {
        "task.data.n_train": 30,
        "task.data.n_dev": 5,
        "task.data.n_test": 7,
        "model.d_model": 12,
        "model.decoder.layer.self_attention.n_heads": 3,
        "training.max_steps": 6,
        "training.validate_every": 3,
        "training.checkpoint_every": 2,
        "training.tokens_per_batch": 128,
        "training.accelerator": "cpu",
        "training.precision": "fp32",
    },
    "variants": {
        "one_head": {"model.decoder.layer.self_attention.n_heads": 1},
        "shallow": {"model.decoder.n_layers": 1},
    },
    "seeds": [1, 2],
}


def small(**changes: Any) -> dict[str, Any]:
    """SMALL with other keys; overrides are added to its own."""
    overrides = {**SMALL["overrides"], **changes.pop("overrides", {})}
    return {**SMALL, "overrides": overrides, **changes}


def plan_of(**changes: Any) -> Plan:
    return make_plan(read(small(**changes)))


class Pretended:
    """Says at once what became of a training, and leaves its validations; counts what it was handed."""

    restarts = False

    def __init__(
        self,
        *,
        ends: Callable[[Trial], Outcome | None] = lambda trial: Outcome("done"),
        losses: Callable[[Trial], float | None] = lambda trial: 1.0,
        n_slots: int = 1,
    ) -> None:
        self.ends, self.losses, self.n_slots = ends, losses, n_slots
        self.seen: list[Trial] = []
        self.runs: dict[Trial, RunSpec] = {}

    def submit(self, job: Job, run: RunSpec, slot: int) -> Ended:
        self.seen.append(job.trial)
        self.runs[job.trial] = run
        place = job.folder / job.trial.place
        place.mkdir(parents=True, exist_ok=True)
        (place / "spec.yaml").write_text(to_yaml(run), encoding="utf-8")
        record = {"kind": "validation", "step": 3, "loss": self.losses(job.trial), "seconds": 1.0}
        (place / "metrics.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
        found = self.ends(job.trial)
        if found is not None:
            write_outcome(job.folder, job.trial, found)
        return Ended(found)

    def close(self) -> None:
        pass


class InProcess(Pretended):
    """Really trains, without the seconds that a process of its own takes to start."""

    def submit(self, job: Job, run: RunSpec, slot: int) -> Ended:
        self.seen.append(job.trial)
        place = job.folder / job.trial.place
        try:
            train(run, place, progress=False)
            found = Outcome("done")
        except DivergedError as error:
            found = Outcome("diverged", str(error))
        except ValueError as error:
            found = Outcome("failed", str(error))
        write_outcome(job.folder, job.trial, found)
        return Ended(found)


class Ended:
    """A training that is over as soon as it is handed over."""

    def __init__(self, found: Outcome | None) -> None:
        self.found = found

    def done(self) -> bool:
        return True

    def result(self) -> Outcome | None:
        return self.found

    def cancel(self) -> None:
        pass


def outcomes(plan: Plan, folder: Path) -> Mapping[str, str | None]:
    """What became of each trial, by its name in messages."""
    found = {trial.name: outcome(folder, trial) for trial in plan.trials}
    return {name: each and each.status for name, each in found.items()}
