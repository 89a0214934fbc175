"""From an ablation's file to its plan: every variant read, checked and matched, and every mistake told at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from presets import OVERRIDE, PresetError
from presets.yaml12 import read_value
from registry import Problem, SpecError
from zoo.ablation.matching import matched, of_base
from zoo.ablation.metric import primary_metric
from zoo.ablation.plan import Plan, Variant, slug
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
from zoo.run.spec import RunSpec
from zoo.run.telling import how_to_give

_MOST_MISTAKES = 100  # after which no further variant is looked at: nobody reads on
Locate = Callable[[str], str]
"""`file:line` of a dotted path of an ablation."""


def make_plan(document: Document, *, given: Sequence[str] = (), force: bool = False) -> Plan:
    """The plan of an ablation: all variants, checked, matched and small enough.

    given are overrides of all variants; force also plans what memory does not hold.
    Raises: SpecError with what is wrong with the file, the base, every variant, what is tuned and the score, in this
        order. Where the base is wrong, variants are not matched with it.
    """
    spec, locate = document.spec, document.locate
    of_seed = [word for word in given if word.startswith(f"{SEED}=")]
    told = _Told(list(document.mistakes))
    if of_seed:
        told.add(Problem(SEED, "every variant is trained with each of `seeds`; give them in the file"))
    own = tuple(word for word in given if word not in of_seed)
    plan = Plan(spec, base_source(spec, document.folder), own, ())
    try:
        base = _base(plan, force=force)
    except PresetError as error:
        for line in f"base: {error}".splitlines():
            told.add(Problem("", line, where=locate("base")))
    except SpecError as error:
        told.add(*(_placed(each, spec, locate) for each in error.problems))
        told.known = {(each.path, each.message) for each in error.problems}
        _tell_of_changes(plan, told, locate)
    else:
        plan = _with_variants(replace(plan, variants=(base,)), told, locate, force=force)
        _tell_of_tuning(plan, told, locate)
        try:
            primary_metric(spec, base.run)
        except SpecError as error:
            told.add(*(replace(each, where=locate("metric")) for each in error.problems))
    if told.problems:
        raise SpecError(told.problems, is_ordered=True)
    return plan


@dataclass
class _Told:
    """The mistakes that are found one after the other."""

    problems: list[Problem]
    known: set[tuple[str, str]] = field(default_factory=set)
    """Path and message of what all variants have from the base, which is told once."""

    def add(self, *problems: Problem) -> None:
        self.problems += problems

    def add_of(self, change: Change, error: SpecError | PresetError, locate: Locate) -> None:
        """Adds what is wrong with a variant, and not with the base too; of what all have in the same way, the first."""
        if isinstance(error, SpecError):
            own = [each for each in error.problems if (each.path, each.message) not in self.known]
            shared = own if change.path in ("grid", "tune") else [each for each in own if each.path == "by"]
            self.known |= {(each.path, each.message) for each in shared}
            error = SpecError(own)
        self.add(*_of_variant(change, error, locate))


def _changes(spec: AblationSpec, told: _Told, locate: Locate) -> list[Change]:
    try:
        return changes(spec)
    except SpecError as error:
        told.add(*(replace(each, where=locate(each.path)) for each in error.problems))
        return []


def _tell_of_changes(plan: Plan, told: _Told, locate: Locate) -> None:
    """What is wrong with variants and tuned values in themselves, where there is no base to compare them with."""
    tried = combinations(plan.spec.tune) if plan.spec.tune else ()
    tuned = [Change(BASE, override_words(keys), "tune") for keys in tried]
    for change in (*_changes(plan.spec, told, locate), *tuned):
        try:
            plan.load(change.overrides)
        except (SpecError, PresetError) as error:
            told.add_of(change, error, locate)


def _with_variants(plan: Plan, told: _Told, locate: Locate, *, force: bool) -> Plan:
    """The plan with those variants in which nothing is wrong."""
    found, same = [plan.base], list[tuple[str, str]]()
    changed = _changes(plan.spec, told, locate)
    for i, change in enumerate(changed):
        if len(told.problems) > _MOST_MISTAKES:
            told.add(Problem("variants", f"{len(changed) - i:,} further variants are not looked at"))
            break
        try:
            variant = _variant(plan, change)
            _check_machine(variant.run)
            check_memory(variant.run, force=force)
        except (SpecError, PresetError) as error:
            told.add_of(change, error, locate)
            continue
        twin = next((each.name for each in found if not variant.differences(each)), None)
        if twin is None:
            found.append(variant)
        else:
            same.append((variant.name, twin))
    slugs = [slug(variant.name) for variant in found]
    told.add(
        *(
            Problem(
                "variants",
                f"'{variant.name}' and '{found[slugs.index(slugs[i])].name}' would share the folder {slugs[i]}; "
                "rename one",
                where=locate("variants"),
            )
            for i, variant in enumerate(found)
            if slugs.index(slugs[i]) < i
        )
    )
    if not told.problems and len(found) == 1:
        message = "every variant is the base itself; nothing would be compared"
        told.add(Problem("variants", message, where=locate("variants")))
    return replace(plan, variants=tuple(found), same=tuple(same))


def _base(plan: Plan, *, force: bool) -> Variant:
    run = plan.load(())
    require(run, "task", "training", "generation", why="train it", how=how_to_give)
    _check_machine(run)
    check_memory(run, force=force)
    overrides = of_base(plan.spec.match, run).overrides
    return Variant(BASE, overrides, plan.load(overrides))


def _tell_of_tuning(plan: Plan, told: _Told, locate: Locate) -> None:
    """What is wrong with what tuning would try, such as a key that is none; once for all variants that have it."""
    for trial in plan.tuning:
        try:
            plan.run(trial)
        except (SpecError, PresetError) as error:
            told.add_of(Change(trial.variant, trial.tried, "tune"), error, locate)


def _check_machine(run: RunSpec) -> None:
    """Raises: SpecError for a training of several machines: nobody would start the others."""
    if run.training is not None and run.training.num_nodes > 1:
        why = f"an ablation trains each of its models on one machine, and {run.training.num_nodes} are asked for"
        raise SpecError([Problem("training.num_nodes", why)])


def _placed(problem: Problem, spec: AblationSpec, locate: Locate) -> Problem:
    """A problem of the base with where the ablation's file sets its key, if it is that which does."""
    if problem.path in AblationSpec.model_fields:
        return replace(problem, where=locate(problem.path))
    told_of = problem.where or problem.message  # whose override is none at all has no place of its own
    keys = [key for key in spec.overrides if told_of.startswith(f"{OVERRIDE}'{key}=")]
    return replace(problem, where=locate(f"overrides.{keys[0]}")) if keys else problem


def _variant(plan: Plan, change: Change) -> Variant:
    run = plan.load(change.overrides)
    equal = matched(
        plan.spec.match,
        plan.spec.by,
        base=plan.base.run,
        variant=run,
        load=lambda words: plan.load((*change.overrides, *words)),
        path=change.path,
    )
    overrides = (*change.overrides, *equal.overrides)
    return Variant(change.name, overrides, plan.load(overrides) if equal.overrides else run, equal.note)


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
        given = read_value(value, word)
        if (
            isinstance(given, dict)
            and not {"type", "like"} & given.keys()
            and f"{path}.".startswith(f"{key}.")
        ):
            first = next(iter(given), "KEY")
            return f"; the mapping replaces all of {key}: to change keys of it alone, write {key}.{first}"
    return ""
