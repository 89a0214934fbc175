"""RunSpec: a whole run as one spec, read from presets, files and mappings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import presets
from registry import Problem, Spec, SpecError, dotted_keys, dump, inner, load_plugin, parse, suggest_key
from zoo.generation.max_length import LengthLimit
from zoo.kinds import DECODING, MODEL, TASK
from zoo.special_ids import SpecialIds
from zoo.tasks.task import TaskSpec
from zoo.training.plugins import load_allowed, missing_plugins, warn_of_changes
from zoo.training.spec import TrainingSpec

_EXAMPLES = {"decoder_only": "gpt2", "encoder_only": "bert_base", "encoder_decoder": "transformer_base"}
"""The preset of each architecture whose values are examples of right ones."""
_LONGEST_EXAMPLE = 100


class RunSpec(Spec):
    """A model, and as far as it is to be trained and used: its task, its training, its decoding."""

    model: Annotated[Spec, MODEL]
    """The architecture."""
    task: Annotated[Spec | None, TASK] = None
    """What is learnt, from which data; training needs it."""
    training: TrainingSpec | None = None
    """How it is learnt; training needs it."""
    generation: Annotated[Spec | None, DECODING] = None
    """How output is searched for; training needs it, for the scores, and so does whoever uses the model, but only
    of a model that writes."""

    @property
    def writes(self) -> bool:
        """Whether the model writes an output, token by token, so that there is something to search for."""
        return getattr(self.model, "writes", None) is not None

    def contexts(self) -> dict[str, dict[str, Any]]:
        return {"model": {}, "task": {"model": self.model}, "training": {}, "generation": {}}

    def problems(self, path: str) -> list[Problem]:
        """What is wrong with the parts together."""
        prefix = f"{path}." if path else ""
        found: list[Problem] = []
        if self.generation is not None:
            head: Spec | None = getattr(self.model, "head", None)
            if not self.writes:
                message = f"a model of type {self.model.type} has no decoder to search with; remove this"
                found.append(Problem(f"{prefix}generation", message))
            elif head is not None and not hasattr(head, "predicts"):
                message = f"a head of type {head.type} predicts no tokens to search for; remove this"
                found.append(Problem(f"{prefix}generation", message))
            found += self._other_ids(prefix) + self._strange_ids(prefix)
        return found + self._short_positions(prefix)

    def _strange_ids(self, prefix: str) -> list[Problem]:
        """Ids that an output begins with and no vocabulary of the model has."""
        ids, written = getattr(self.generation, "ids", None), getattr(self.model, "writes", None)
        size = getattr(getattr(self.model, "slots", {}).get(written), "vocab_size", None)
        if not isinstance(ids, SpecialIds) or size is None:
            return []
        begun = [("start", ids.start), *((f"first.{i}", number) for i, number in enumerate(ids.first))]
        return [
            Problem(f"{prefix}generation.ids.{name}", f"{number} is no id of a vocabulary of {size:,}")
            for name, number in begun
            if number >= size
        ]

    def _other_ids(self, prefix: str) -> list[Problem]:
        """A search that begins or ends its output with other ids than those that the task teaches."""
        learnt, searched = getattr(self.task, "ids", None), getattr(self.generation, "ids", None)
        if not isinstance(learnt, SpecialIds) or not isinstance(searched, SpecialIds):
            return []
        wanted, found = (
            f"start {each.start}{f', first {list(each.first)}' if each.first else ''} and end {each.ends[0]}"
            for each in (learnt, searched)
        )
        if wanted == found:
            return []
        message = f"{found} must be those of task.ids, {wanted}"
        return [Problem(f"{prefix}generation.ids", message)]

    def _short_positions(self, prefix: str) -> list[Problem]:
        """Positions that end before the text does, which training would meet at its first long sentence."""
        longest_input, key = (
            (self.task.longest, self.task.longest_key) if isinstance(self.task, TaskSpec) else (0, "")
        )
        rule: int | str | None = getattr(self.generation, "max_length", None)
        has_output = longest_input and rule is not None and self.writes
        longest_output = LengthLimit(rule)(longest_input - 1) + 1 if has_output else 0  # type: ignore[arg-type]
        found = []
        for path, part in inner(self.model, f"{prefix}model"):
            is_read_only = path.startswith(f"{prefix}model.encoder.")
            needed = longest_input if is_read_only else max(longest_input, longest_output)
            max_len: int = getattr(part, "max_len", None) or needed
            if max_len < needed:
                limits = (
                    f"task.{key}"
                    if needed == longest_input
                    else f"generation.max_length of a source of task.{key}"
                )
                found.append(
                    Problem(
                        path,
                        f"max_len ({max_len}) must be at least {needed}, for {limits} allows so many; raise it, or "
                        "lower that",
                    )
                )
        return found


def load(
    source: str | Path | Mapping[str, Any],
    *overrides: str,
    scale: str | None = None,
    plugins: Sequence[str | Path] = (),
) -> RunSpec:
    """Reads a preset (by name), a YAML file, a run folder or a mapping; overrides are `dotted.key=VALUE`.

    scale is one of the document's `scales`; plugins are Python files that register components, executed here.
    Raises: PresetError, SpecError and PluginError, all ValueErrors; the second names every mistake at once.
    """
    document, mistakes = read(source, *overrides, scale=scale)
    for plugin in plugins:
        load_plugin(plugin)
    return from_document(document, source, scale=scale, mistakes=mistakes)


def read(
    source: str | Path | Mapping[str, Any], *overrides: str, scale: str | None = None
) -> tuple[presets.Document, list[presets.PresetError]]:
    """A document, and the mistakes for which keys or overrides were left out of it.

    Raises: PresetError where there is nothing to read further.
    """
    try:
        return presets.read(source, overrides=overrides, scale=scale), []
    except presets.DocumentError as error:
        return error.document, error.mistakes


def from_document(
    document: presets.Document,
    source: str | Path | Mapping[str, Any],
    *,
    scale: str | None = None,
    mistakes: Sequence[presets.PresetError] = (),
) -> RunSpec:
    """The run's spec that a document holds, read from that source at that scale.

    mistakes are those already found, which are then raised with what else is wrong.
    Raises: SpecError, its mistakes named by file and line, or the plugin that a run was trained with.
    """
    folder = None if isinstance(source, Mapping) else Path(source)
    if folder is not None and not folder.is_dir():
        folder = folder.parent if folder.name == "spec.yaml" else None
    found = [Problem("", str(_explained(mistake, source, scale))) for mistake in mistakes]
    try:
        run = _parsed(document, folder)
    except SpecError as error:
        problems = _exemplified(_taught(error.problems, document, scale), document.data)
        if not found:
            raise (missing_plugins(folder) if folder else None) or SpecError(problems) from None
        found += problems
    if found:
        raise SpecError(found)
    if folder is not None:
        warn_of_changes(folder)
    return run


def _parsed(document: presets.Document, folder: Path | None) -> RunSpec:
    """The spec, once more where the user allows what the run was trained with and is not loaded."""
    try:
        return parse(RunSpec, document.data, locate=document.locate)
    except SpecError:
        if folder is None or not load_allowed(folder):
            raise
    return parse(RunSpec, document.data, locate=document.locate)


def _taught(problems: Sequence[Problem], document: presets.Document, scale: str | None) -> list[Problem]:
    """The problems; that of a key which the scale took away with its component says so, and how to have that back."""
    found = list(problems)
    for keys, old in document.replaced.items():
        path = ".".join(keys)
        set_by_hand = {".".join(each): each[len(keys) :] for each, place in document.places.items()
                       if place.startswith(presets.OVERRIDE) and each[: len(keys)] == keys}  # fmt: skip
        below = {each.path: set_by_hand[each.path] for each in problems if each.path in set_by_hand}
        if not below or () in set_by_hand.values():
            continue  # what stands there is asked for by its own name
        new = _at(document.data, keys)
        still = _wrong_paths(_with(document.data, keys, presets.merged(old, _nested(new, below.values()))))
        known = {whole: rest for whole, rest in below.items() if whole not in still}
        wanted = presets.merged(old, _nested(new, known.values()))
        message = (
            f"--scale {scale} put {path} of type {new['type']} in the place of {old['type']}; to have that, write "
            f"{path}={shlex.quote(presets.to_flow(wanted))}"
        )
        found = [replace(each, suggestion=message) if each.path in known else each for each in found]
    return found


def _exemplified(problems: Sequence[Problem], data: Mapping[str, Any]) -> list[Problem]:
    """The problems; a value that is none, or missing, with that of a preset of the same architecture as an example."""
    model = data.get("model")
    name = _EXAMPLES.get(str(model.get("type")) if isinstance(model, Mapping) else "", "transformer_base")
    if not any(_wants_example(each) for each in problems):
        return list(problems)
    known = presets.read(name).data
    return [_with_example(each, known, name) if _wants_example(each) else each for each in problems]


def _wants_example(problem: Problem) -> bool:
    is_of_form = problem.message.startswith(("missing key; give a ", "must be a ", "must be an "))
    return is_of_form and not problem.suggestion


def _with_example(problem: Problem, known: Mapping[str, Any], name: str) -> Problem:
    try:
        found = _at(known, problem.path.split("."))
    except (KeyError, IndexError, TypeError, ValueError):
        return problem
    text = presets.to_flow(found)
    is_short = found is not None and len(text) <= _LONGEST_EXAMPLE
    return replace(
        problem, suggestion=f"for example {text}, as in {name}" if is_short else f"see zoo show {name}"
    )


def _wrong_paths(data: Mapping[str, Any]) -> set[str]:
    try:
        parse(RunSpec, data)
    except SpecError as error:
        return {problem.path for problem in error.problems}
    return set()


def _at(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        data = data[int(key) if isinstance(data, list) else key]
    return data


def _with(data: Any, keys: Sequence[str], value: Any) -> Any:
    """The same data with another value at a place."""
    if not keys:
        return value
    if isinstance(data, list):
        return [_with(each, keys[1:], value) if str(i) == keys[0] else each for i, each in enumerate(data)]
    return {**data, keys[0]: _with(data[keys[0]], keys[1:], value)}


def _nested(data: Any, paths: Iterable[Sequence[str]]) -> dict[str, Any]:
    """What stands at some paths, as mappings in mappings."""
    found: dict[str, Any] = {}
    for path in paths:
        changes: Any = _at(data, path)
        for key in reversed(path):
            changes = {key: changes}
        found = presets.merged(found, changes)
    return found


def _explained(
    error: presets.PresetError, source: str | Path | Mapping[str, Any], scale: str | None
) -> presets.PresetError:
    """The refusal of an override whose key begins with no section, with the whole keys that it may have meant."""
    if not isinstance(error, presets.UnknownKeyError):
        return error
    known = list(dotted_keys(RunSpec, read(source, scale=scale)[0].data))
    first, dot, _ = error.path.partition(".")
    # Of a longer path the first key is the wrong one, unless the section before it is what is missing.
    is_tail = any(key.endswith(f".{error.path}") for key in known)
    suggestion = suggest_key(error.path if is_tail or not dot else first, RunSpec.model_fields, known)
    return presets.UnknownKeyError(error.place, error.path, suggestion)


def to_yaml(run: RunSpec) -> str:
    """A run's spec as YAML, every default written out; `load` reads it back to an equal spec."""
    return presets.to_yaml({key: value for key, value in dump(run).items() if value is not None})
