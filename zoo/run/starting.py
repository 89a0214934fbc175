"""A run's spec in step with the folder that it starts from: its tokenizer, and what that decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from registry import Problem, SpecError, dump, parse
from zoo.errors import RunError
from zoo.run.folder import run_in
from zoo.run.spec import RunSpec


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
    theirs, ours = (getattr(each.task, "tokenizer", None) for each in (source, run))
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
    if (ids := getattr(source.generation, "ids", None)) is not None and "ids" in data.get("generation", {}):
        data["generation"]["ids"] = dump(ids)
    return parse(RunSpec, data)
