"""A run's spec in step with the folder that it starts from: its tokenizer, and what that decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from registry import Problem, Spec, SpecError, dump, parse
from zoo.errors import RunError
from zoo.kinds import TOKENIZER
from zoo.run.folder import run_in
from zoo.run.spec import RunSpec
from zoo.storage.records import read_json


def in_step(run: RunSpec) -> RunSpec:
    """The run with the tokenizer, vocabulary sizes and special ids of `training.init_from`, where it names one.

    A spec that says a tokenizer of another type keeps its own, and its own sizes.
    Raises: SpecError for a folder that holds no model.
    """
    name = None if run.training is None else run.training.init_from
    if name is None or run.task is None:
        return run
    try:
        source = run_in(Path(name).expanduser())
    except RunError as error:
        raise SpecError([Problem("training.init_from", str(error))]) from None
    theirs, ours = _tokenizer(source, Path(name).expanduser()), getattr(run.task, "tokenizer", None)
    if theirs is None or ours is None:
        return run
    if theirs.type != ours.type and "tokenizer" in run.task.model_fields_set:
        return run
    data: dict[str, Any] = {key: value for key, value in dump(run).items() if value is not None}
    data["task"]["tokenizer"] = dump(theirs)
    slots: dict[str, Any] = source.model.slots  # type: ignore[attr-defined]
    for slot in run.model.slots:  # type: ignore[attr-defined]
        given = slots.get(slot, next(iter(slots.values())))
        own = data["model"].get(slot)
        if isinstance(own, dict) and "vocab_size" in own and hasattr(given, "vocab_size"):
            own["vocab_size"] = given.vocab_size
            if "padding_id" in own and own["padding_id"] is not None:
                own["padding_id"] = getattr(given, "padding_id", None)
    if (ids := getattr(source.generation, "ids", None)) is not None and "ids" in data.get("generation", {}):
        data["generation"]["ids"] = dump(ids)
    return parse(RunSpec, data)


def _tokenizer(source: RunSpec, folder: Path) -> Spec | None:
    """The spec of the tokenizer in a folder; of an imported model it may lie there without a task."""
    said: Spec | None = getattr(source.task, "tokenizer", None)
    record = folder / "tokenizer.json"
    if said is not None or source.task is not None or not record.is_file():
        return said
    name = read_json(record).get("type")
    if name not in TOKENIZER.names():
        raise SpecError(
            [Problem("training.init_from", f"{record}: holds a {name!r}, of which nothing is known")]
        )
    return parse(TOKENIZER.entry(name).spec, {"type": name})
