"""Doing what a plan says: first what tuning tries, then all variants, seed by seed; on from where a kill left it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from registry import SpecError
from zoo.ablation.engines import Engine, Handle
from zoo.ablation.kept import keep
from zoo.ablation.plan import Plan, Trial, slug
from zoo.ablation.trial import RECORDS, SPECS, Job, Outcome, file_of, outcome, record_of, write_outcome
from zoo.errors import PreemptedError, RunError
from zoo.run.spec import RunSpec, load, to_yaml
from zoo.storage.files import write_text
from zoo.storage.metrics import METRICS_FILE
from zoo.storage.metrics import read as read_metrics
from zoo.storage.ownership import is_owned, owned
from zoo.storage.records import read_record, write_record
from zoo.training.signals import StopRequest

Report = Callable[[Trial, Outcome | None], None]
"""Is told of each trial as it starts, with None, and as it ends."""
TUNED = "tuned.json"
NOTHING_TO_CHOOSE = "no value that was tried could be trained to its end"
_POLL_S = 0.1


def run_plan(
    plan: Plan, folder: Path, engine: Engine, *, plugins: Sequence[Path] = (), report: Report | None = None
) -> None:
    """Trains what has not been trained yet; what failed before is tried again, what diverged is not.

    Raises: RunError for a folder that another process works in, or that holds a run of another spec;
        PreemptedError and KeyboardInterrupt, when all trainings have saved.
    """
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    stop = StopRequest.of_process or StopRequest()
    whole = tuple(plugin.absolute() for plugin in plugins)
    with owned(folder), stop.listening():
        stop.defer()
        session = _Session(plan, folder, engine, whole, report or (lambda trial, found: None), stop)
        session.refuse_others()  # first: what another ablation's folder says of itself stays
        keep(plan, folder, plugins=plugins)
        session.train([trial for trial in plan.tuning if tuned(folder, trial.variant) is None])
        for variant in plan.variants if plan.tuning else ():
            if tuned(folder, variant.name) is None:
                _choose(plan, folder, variant.name)
        session.train(plan.trials)


def _refuse_other_tuning(plan: Plan, folder: Path, variant: str) -> None:
    """Raises: RunError where a choice was made among other values than those of the plan."""
    if tuned(folder, variant) is None:
        return
    file = folder / RECORDS / slug(variant) / TUNED
    tried = read_record(file, lambda found: {tuple(map(str, each["tried"])) for each in found["losses"]})
    if tried != {trial.tried for trial in plan.tuning if trial.variant == variant}:
        raise RunError(
            f"{file}: was chosen among other values than tune has now; give another --out, or remove {file} and "
            f"{folder / 'runs' / slug(variant)}"
        )


def chosen(plan: Plan, folder: Path, variant: str) -> tuple[str, ...]:
    """What a variant is trained with that tuning has chosen; nothing without tuning, or before."""
    return (tuned(folder, variant) or ()) if plan.tuning else ()


def tuned(folder: Path, variant: str) -> tuple[str, ...] | None:
    """What tuning has chosen for a variant, as overrides; None where it has chosen nothing yet."""
    file = folder / RECORDS / slug(variant) / TUNED
    return read_record(file, lambda found: tuple(map(str, found["chosen"]))) if file.exists() else None


def _choose(plan: Plan, folder: Path, variant: str) -> None:
    """Keeps for good which of the values that were tried has the best last validation; of several the first."""
    losses = {trial.tried: _last_loss(folder, trial) for trial in plan.tuning if trial.variant == variant}
    best = min(losses, key=lambda words: losses[words])
    if math.isfinite(losses[best]):
        file = folder / RECORDS / slug(variant) / TUNED
        file.parent.mkdir(parents=True, exist_ok=True)
        tried = [{"tried": words, "loss": _finite(loss)} for words, loss in losses.items()]
        write_record(file, {"chosen": best, "losses": tried})


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _last_loss(folder: Path, trial: Trial) -> float:
    """Of the last validation; infinite for a training that is not done, so that it is never chosen."""
    found = outcome(folder, trial)
    place = folder / trial.place
    if found is None or found.status != "done" or not (place / METRICS_FILE).exists():
        return math.inf
    losses = [each["loss"] for each in read_metrics(place) if each["kind"] == "validation"]
    last = losses[-1] if losses else None
    return float(last) if isinstance(last, int | float) and math.isfinite(last) else math.inf


class _Session:
    """One process's part in an ablation."""

    def __init__(
        self,
        plan: Plan,
        folder: Path,
        engine: Engine,
        plugins: tuple[Path, ...],
        report: Report,
        stop: StopRequest,
    ) -> None:
        self.plan, self.folder, self.engine = plan, folder, engine
        self.plugins, self.report, self.stop = plugins, report, stop

    def refuse_others(self) -> None:
        """Raises: RunError where a trial has been trained, or has begun to be, by another spec."""
        for variant in self.plan.variants:
            _refuse_other_tuning(self.plan, self.folder, variant.name)
        for trial in (*self.plan.tuning, *self.plan.trials):
            file = file_of(self.folder, SPECS, trial, ".yaml")
            run = self._run(trial)
            if not file.exists() or run is None or not (self.folder / trial.place).exists():
                continue
            try:
                is_same = load(file) == run
            except (SpecError, ValueError):
                is_same = False
            if not is_same:
                place = self.folder / trial.place
                raise RunError(
                    f"{place}: was trained by another spec than what {trial.name} is now; give another --out, or "
                    f"remove {place} and {record_of(self.folder, trial)}"
                )

    def train(self, trials: Sequence[Trial]) -> None:
        """Trains those that have not ended yet, as many side by side as the engine takes."""
        waiting = [trial for trial in trials if not self._has_ended(trial)]
        running: dict[int, tuple[Trial, Handle]] = {}
        try:
            while waiting or running:
                self._raise_if_stopped()
                n_slots = min(self.engine.n_slots, len(waiting) + len(running))
                for slot in range(n_slots):
                    if slot not in running and waiting:
                        trial = waiting.pop(0)
                        self.report(trial, None)
                        if (handle := self._start(trial, slot)) is not None:
                            running[slot] = trial, handle
                for slot, (trial, handle) in list(running.items()):
                    if not handle.done():
                        continue
                    del running[slot]
                    found = handle.result()
                    if found is not None:
                        self.report(trial, found)
                    elif self.engine.restarts:
                        waiting.insert(0, trial)
                    else:
                        self._raise_if_stopped()
                        raise PreemptedError(
                            f"{trial.name}: told to end, and saved; the same command goes on"
                        )
                time.sleep(_POLL_S)
        finally:
            for _, handle in running.values():
                handle.cancel()
            for trial, handle in running.values():
                while not handle.done() or is_owned(self.folder / trial.place):
                    time.sleep(_POLL_S)

    def _raise_if_stopped(self) -> None:
        try:
            self.stop.raise_if_received()
        except PreemptedError:
            assert self.stop.received is not None
            name = self.stop.received.name
            raise PreemptedError(
                f"stopped by {name}; what was trained is saved, the same command goes on"
            ) from None

    def _start(self, trial: Trial, slot: int) -> Handle | None:
        """Hands a trial to the engine; None for one that cannot be trained, which has failed then."""
        run = self._run(trial)
        if run is None:
            found = Outcome("failed", NOTHING_TO_CHOOSE)
            write_outcome(self.folder, trial, found)
            self.report(trial, found)
            return None
        file = file_of(self.folder, SPECS, trial, ".yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_text(file, to_yaml(run))
        return self.engine.submit(Job(self.folder, trial, self.plugins), run, slot)

    def _run(self, trial: Trial) -> RunSpec | None:
        """A trial's spec; None as long as tuning has not chosen what belongs to it."""
        if trial.tried or not self.plan.tuning:
            return self.plan.run(trial)
        chosen = tuned(self.folder, trial.variant)
        return None if chosen is None else self.plan.run(trial, chosen)

    def _has_ended(self, trial: Trial) -> bool:
        found = outcome(self.folder, trial)
        return found is not None and found.status != "failed"  # the cause of a failure may be gone
