"""What an imported model is for: its task, and that task's coders, by the files beside the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from registry import Spec, dump, inner, parse
from zoo.data.coder import Coder
from zoo.data.labels import Labels
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError
from zoo.interop.checkpoint import read_config
from zoo.kinds import TASK
from zoo.run.spec import RunSpec
from zoo.storage.records import read_json
from zoo.tasks.task import Task

_TASKS = {
    ("tokens", "language_model", 2): "translation",
    ("tokens", "language_model", 1): "language_model",
    ("tokens", "masked_language_model", 1): "masked_language_model",
    ("tokens", "pooled_classifier", 1): "text_classification",
    ("tokens", "token_classifier", 1): "tagging",
    ("images", "pooled_classifier", 1): "image_classification",
}
"""The task of a model by what it reads, its head, and how many inputs it has. An encoder-decoder's is translation,
whatever text it writes for a text: which one, its weights do not tell."""
_LONGEST = {"translation": 256, "language_model": 256}
"""What bounds an input in these tasks' training, where the model has positions enough."""
_USUAL_LENGTH = 512
"""The bound in other tasks where neither model nor tokenizer says one."""
_UNBOUNDED = 10**6
"""Where a tokenizer says that much or more it means that there is no bound."""
PREPROCESSOR_FILE = "preprocessor_config.json"


@dataclass(frozen=True)
class Folder:
    """A checkpoint folder, and what has been read from it."""

    path: Path
    spec: Any
    """The model's."""
    generation: Spec | None
    tokenizer: Tokenizer | None
    say: Callable[[str], None]

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json."""
        return read_config(self.path)

    def settings(self, name: str) -> dict[str, Any]:
        """A further JSON file of it. Raises: DataError where it is not there."""
        if not (self.path / name).is_file():
            raise DataError(f"{self.path}: there is no {name}, which says what the model is given")
        return read_json(self.path / name)


Found = tuple[dict[str, Any], dict[str, Coder]]
"""Fields of a task's spec, and coders besides a tokenizer."""


def task_name(spec: Any) -> str | None:
    """The task that a model is for; None where none of ours is."""
    name = _TASKS.get((_read_by(spec), spec.head.type, len(spec.slots)))
    return name if name in TASK.names() else None


def needs_tokenizer(name: str) -> bool:
    """Whether a task has one."""
    return "tokenizer" in TASK.entry(name).spec.model_fields


def task_of(name: str, folder: Folder) -> tuple[Spec, dict[str, Coder]]:
    """The task's spec and its coders.

    Raises: SpecError where the task does not take the model; DataError or RunError where the folder does not say what
        the task needs, or says what no spec of ours can.
    """
    fields, coders = _MAKERS.get(name, _nothing)(folder)
    data: dict[str, Any] = {"type": name, "data": "none", **fields}
    if folder.tokenizer is not None and needs_tokenizer(name):
        data["tokenizer"] = folder.tokenizer.type
        if "max_length" in TASK.entry(name).spec.model_fields:
            data["max_length"] = _max_length(name, folder)
    whole: dict[str, Any] = {"model": dump(folder.spec), "task": data}
    if folder.generation is not None:
        whole["generation"] = dump(folder.generation)
    task: Any = parse(RunSpec, whole).task
    bare: Task = TASK.build(task, model=folder.spec, coders={})
    for stem in bare.coder_names:
        if stem.startswith("tokenizer") and folder.tokenizer is not None:
            coders[stem] = folder.tokenizer
        elif stem not in coders:
            raise DataError(f"the checkpoint does not say the {stem} of {name}")
    coders = {stem: coders[stem] for stem in bare.coder_names}
    TASK.build(task, model=folder.spec, coders=coders).check_coders(folder.path)
    return task, coders


def _read_by(spec: Any) -> str:
    slots = list(spec.slots.values())
    if all(hasattr(slot, "vocab_size") for slot in slots):
        return "tokens"
    if hasattr(slots[0], "sides"):
        return "images"
    return str(getattr(slots[0], "hears", ""))


def _max_length(name: str, folder: Folder) -> int:
    """Most tokens of an input: as many as there are positions, or as the tokenizer says."""
    positions = [size for _, part in inner(folder.spec, "model") if (size := getattr(part, "max_len", None))]
    if name in _LONGEST:
        return min([_LONGEST[name], *positions])
    file = folder.path / "tokenizer_config.json"
    said = read_json(file).get("model_max_length") if file.is_file() else None
    bounds = [*positions, *([int(said)] if isinstance(said, int | float) and 0 < said < _UNBOUNDED else [])]
    return min(bounds, default=_USUAL_LENGTH)


# What single tasks need


def _nothing(folder: Folder) -> Found:
    return {}, {}


def _labels(folder: Folder) -> Found:
    return {}, {"labels": _names(folder)}


def _classes(folder: Folder) -> Found:
    """Classes that exclude each other, or the number of a regression."""
    kind, n = folder.config.get("problem_type"), folder.spec.head.n_classes
    if kind == "multi_label_classification" or (kind == "regression" and n > 1):
        raise DataError(f"problem_type {kind} of {n} numbers is none of our tasks'")
    return ({}, {}) if n == 1 else _labels(folder)


def _names(folder: Folder) -> Labels:
    """The classes by id2label; transformers' names for them where it has not as many.

    Raises: DataError where two have one name.
    """
    n, given = folder.spec.head.n_classes, folder.config.get("id2label")
    names = [f"LABEL_{number}" for number in range(n)]
    if isinstance(given, Mapping):
        named = {int(number): str(name) for number, name in given.items() if str(number).isdecimal()}
        if sorted(named) == list(range(n)):
            names = [named[number] for number in range(n)]
        else:
            folder.say(
                f"{folder.path}: id2label does not name the {n} classes, which are called {names[0]}, ..."
            )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"id2label has the name {twice!r} twice")
    return Labels(names)


_MAKERS: dict[str, Callable[[Folder], Found]] = {
    "text_classification": _classes,
    "tagging": _labels,
}
