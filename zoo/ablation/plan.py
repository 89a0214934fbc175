"""What an ablation will do, known before its first step: the variants, what they cost, and every training."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from presets import OVERRIDE, PresetError
from registry import Difference, Problem, SpecError, differences
from zoo.ablation.matching import matched, of_base
from zoo.ablation.spec import (
    BASE,
    SEED,
    AblationSpec,
    Change,
    Document,
    base_source,
    changes,
    combinations,
    override_words,
)
from zoo.run.folder import require
from zoo.run.memory import check_memory
from zoo.run.spec import RunSpec, load
from zoo.run.telling import how_to_give
from zoo.storage.hashing import sha256_of_text

_LONGEST_SLUG = 80  # characters of a folder's name

Locate = Callable[[str], str]
"""`file:line` of a dotted path of an ablation."""

TUNING_SEED = 0
"""Of the trainings that only look for a better setting; where an ablation uses it itself, the next free one."""


@dataclass(frozen=True)
class Variant:
    """One of the models that are compared."""

    name: str
    overrides: tuple[str, ...]
    """Of the base, in the order they are given, those that match it included."""
    run: RunSpec
    note: str = ""
    """How it was made equal to the base; empty where nothing had to be done."""

    def differences(self, other: Variant) -> list[Difference]:
        """What its spec has other than another's, the base's say."""
        return differences(other.run, self.run)


@dataclass(frozen=True)
class Trial:
    """One training of a variant."""

    variant: str
    seed: int
    tried: tuple[str, ...] = ()
    """What a tuning tries; empty for what is compared."""

    @property
    def place(self) -> Path:
        """Its run folder within the ablation's."""
        folder = Path("runs") / slug(self.variant)
        return (
            folder / f"seed-{self.seed}" if not self.tried else folder / "tuning" / slug(" ".join(self.tried))
        )

    @property
    def name(self) -> str:
        """As it is called in messages."""
        what = f"seed {self.seed}" if not self.tried else f"trying {', '.join(self.tried)}"
        return f"{self.variant}, {what}"


@dataclass(frozen=True)
class Plan:
    """An ablation whose every variant has been checked."""

    spec: AblationSpec
    source: str
    """What the base is read from."""
    given: tuple[str, ...]
    """Overrides of all variants, from the command line."""
    variants: tuple[Variant, ...]
    """The base first."""
    same: tuple[tuple[str, str], ...] = ()
    """Those that turned out to be another before them, by both names, such as a factor's own value and the base."""

    @property
    def base(self) -> Variant:
        return self.variants[0]

    @property
    def tuning(self) -> list[Trial]:
        """The short trainings that come first."""
        tried = [override_words(keys) for keys in combinations(self.spec.tune)] if self.spec.tune else []
        seed = next(n for n in range(TUNING_SEED, len(self.spec.seeds) + 1) if n not in self.spec.seeds)
        return [Trial(variant.name, seed, words) for variant in self.variants for words in tried]

    @property
    def trials(self) -> list[Trial]:
        """What is compared: a seed of all variants before the next seed, so that whole pairs come first."""
        return [Trial(variant.name, seed) for seed in self.spec.seeds for variant in self.variants]

    def variant(self, name: str) -> Variant:
        return next(each for each in self.variants if each.name == name)

    def steps(self, trial: Trial) -> int:
        training = self.variant(trial.variant).run.training
        assert training is not None
        return min(self.spec.tune_steps, training.max_steps) if trial.tried else training.max_steps

    def run(self, trial: Trial, chosen: Sequence[str] = ()) -> RunSpec:
        """A trial's own spec; chosen is what tuning found for its variant.

        Raises: SpecError.
        """
        variant = self.variant(trial.variant)
        own = override_words({SEED: trial.seed})
        if trial.tried:
            own += override_words({"training.max_steps": self.steps(trial)})
        return _load(self, (*variant.overrides, *chosen, *trial.tried, *own))


def make_plan(document: Document, *, given: Sequence[str] = (), force: bool = False) -> Plan:
    """The plan of an ablation: all variants, checked, matched and small enough.

    given are overrides of all variants; force also plans what memory does not hold.
    Raises: PresetError; SpecError with what is wrong with every variant.
    """
    spec, locate = document.spec, document.locate
    source = base_source(spec, document.folder)
    if any(word.startswith(f"{SEED}=") for word in given):
        raise SpecError(
            [Problem(SEED, "every variant is trained with each of `seeds`; give them in the file")]
        )
    plan = Plan(spec, source, tuple(given), ())
    base = _base(plan, locate, force=force)
    plan = replace(plan, variants=(base,))
    found, same, problems = [base], list[tuple[str, str]](), list[Problem]()
    try:
        changed = changes(spec)
    except SpecError as error:
        problems = [replace(each, where=locate(each.path)) for each in error.problems]
        raise SpecError(problems) from None
    for change in changed:
        try:
            variant = _variant(plan, change)
            _check_machine(variant.run)
            check_memory(variant.run, force=force)
        except (SpecError, PresetError) as error:
            problems += _of_variant(change, error, locate)
            continue
        twin = next((each.name for each in found if not variant.differences(each)), None)
        if twin is None:
            found.append(variant)
        else:
            same.append((variant.name, twin))
    slugs = [slug(variant.name) for variant in found]
    problems += [
        Problem(
            "variants",
            f"'{variant.name}' and '{found[slugs.index(slugs[i])].name}' would share the folder {slugs[i]}; rename one",
            where=locate("variants"),
        )
        for i, variant in enumerate(found)
        if slugs.index(slugs[i]) < i
    ]
    if not problems and len(found) == 1:
        message = "every variant is the base itself; nothing would be compared"
        problems.append(Problem("variants", message, where=locate("variants")))
    plan = replace(plan, variants=tuple(found), same=tuple(same))
    problems += _of_tuning(plan, locate)
    if problems:
        raise SpecError(problems)
    return plan


def slug(name: str) -> str:
    """A name as that of a folder; a long one, as of a mapping that a factor takes, is cut and told apart by a hash."""
    text = re.sub(r"[^\w.=-]+", "_", name).strip("_.") or "variant"
    return text if len(text) <= _LONGEST_SLUG else f"{text[:_LONGEST_SLUG]}-{sha256_of_text(name)[:8]}"


def _base(plan: Plan, locate: Locate, *, force: bool) -> Variant:
    try:
        run = _load(plan, ())
        require(run, "task", "training", "generation", why="train it", how=how_to_give)
        _check_machine(run)
        check_memory(run, force=force)
        overrides = of_base(plan.spec.match, run).overrides
        return Variant(BASE, overrides, _load(plan, overrides))
    except PresetError as error:
        raise PresetError(f"{_prefix(locate('base'))}base: {error}") from None
    except SpecError as error:
        raise SpecError([_placed(each, locate) for each in error.problems]) from None


def _check_machine(run: RunSpec) -> None:
    """Raises: SpecError for a training of several machines: nobody would start the others."""
    if run.training is not None and run.training.num_nodes > 1:
        why = f"an ablation trains each of its models on one machine, and {run.training.num_nodes} are asked for"
        raise SpecError([Problem("training.num_nodes", why)])


def _placed(problem: Problem, locate: Locate) -> Problem:
    """A problem of the base with where the ablation's file sets its key, if it is that which does."""
    if problem.path in AblationSpec.model_fields:
        return replace(problem, where=locate(problem.path))
    place = locate(f"overrides.{problem.path}")
    is_ours = problem.where.startswith(OVERRIDE) and place != locate("overrides")
    return replace(problem, where=place) if is_ours else problem


def _variant(plan: Plan, change: Change) -> Variant:
    run = _load(plan, change.overrides)
    equal = matched(
        plan.spec.match,
        plan.spec.by,
        base=plan.base.run,
        variant=run,
        load=lambda words: _load(plan, (*change.overrides, *words)),
        path=change.path,
    )
    overrides = (*change.overrides, *equal.overrides)
    return Variant(change.name, overrides, _load(plan, overrides) if equal.overrides else run, equal.note)


def _load(plan: Plan, overrides: Sequence[str]) -> RunSpec:
    common = (*override_words(plan.spec.overrides), *plan.given)
    return load(plan.source, *common, *overrides, scale=plan.spec.scale)


def _of_tuning(plan: Plan, locate: Locate) -> list[Problem]:
    """What is wrong with what tuning would try: a key that is none, say."""
    problems = []
    for trial in plan.tuning:
        try:
            plan.run(trial)
        except (SpecError, PresetError) as error:
            problems += _of_variant(Change(trial.variant, trial.tried, "tune"), error, locate)
    return problems


def _of_variant(change: Change, error: SpecError | PresetError, locate: Locate) -> list[Problem]:
    if isinstance(error, PresetError):
        where = locate(change.path)
        return [
            Problem("", f"variant '{change.name}': {line}", where=where) for line in str(error).splitlines()
        ]
    return [
        replace(
            each,
            message=f"variant '{change.name}': {each.message}{_of_mapping(change, each.path)}",
            where=locate(each.path if each.path in ("by", change.path) else f"{change.path}.{each.path}"),
        )
        for each in error.problems
    ]


def _of_mapping(change: Change, path: str) -> str:
    """What to write instead of a mapping that has put itself in the place of a whole part, where that was not meant."""
    for word in change.overrides:
        key, _, value = word.partition("=")
        given = json.loads(value)
        if (
            isinstance(given, dict)
            and not {"type", "like"} & given.keys()
            and f"{path}.".startswith(f"{key}.")
        ):
            first = next(iter(given), "KEY")
            return f"; the mapping replaces all of {key}: to change keys of it alone, write {key}.{first}"
    return ""


def _prefix(where: str) -> str:
    return f"{where}: " if where else ""
