"""A checkpoint folder of transformers as a folder that every command takes: model, task, search and tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry import Spec, SpecError, dump, inner, parse
from zoo.data.coder import Coder
from zoo.data.labels import Labels
from zoo.data.tokenizer import Tokenizer
from zoo.data.tokenizers import hugging_face, marian
from zoo.errors import DataError, RunError
from zoo.interop.checkpoint import read_config
from zoo.interop.hugging_face import from_hf, generation_of
from zoo.interop.model_folder import save_model
from zoo.kinds import TASK
from zoo.run.spec import RunSpec
from zoo.special_ids import SpecialIds
from zoo.storage.files import check_free

_TASKS = {
    ("language_model", 2): "translation",
    ("language_model", 1): "language_model",
}
"""The task of a model over tokens, by its head and how many inputs it has: those that take special ids from the
tokenizer, for with ids of their own they would be wrong without a word."""
_LONGEST = {"max_length": 256, "length": 256}
"""What bounds an input in a task's spec, and its bound where the model has positions enough."""


@dataclass(frozen=True)
class Imported:
    """What was found in a checkpoint folder."""

    spec: Spec
    model: nn.Module
    task: Spec | None
    """What the model is for; None where no task of ours suits its head, or there is no tokenizer."""
    generation: Spec | None
    coders: Mapping[str, Coder]


def import_checkpoint(
    folder: str | Path,
    out: str | Path,
    *,
    architecture: str | None = None,
    dtype: torch.dtype | None = None,
    ignore: Sequence[str] = (),
    ignore_tensors: Sequence[str] = (),
    unpickle: bool = False,
    say: Callable[[str], None],
) -> Imported:
    """Reads a folder as `from_hf` does and writes model, task, search and tokenizer into a new one.

    say is given a line for each thing that was left out or could not be had.
    Raises: as `from_hf`; RunError for a folder `out` that is not free.
    """
    folder = Path(folder)
    check_free(Path(out))  # before anything long
    spec, model = from_hf(
        folder,
        architecture=architecture,
        dtype=dtype,
        ignore=ignore,
        ignore_tensors=ignore_tensors,
        unpickle=unpickle,
        say=say,
    )
    try:
        generation = generation_of(folder, spec, architecture=architecture, say=say)
    except SpecError as error:
        generation = None
        say(f"no generation section is written: {error}")
    found = Imported(spec, model, None, generation, {})
    try:
        tokenizer = tokenizer_of(folder, generation)
        if tokenizer is None:
            say(f"{folder}: no tokenizer of a known form lies there, so that no task is written")
        else:
            task, coders = _task_of(spec, generation, tokenizer, read_config(folder))
            found = Imported(spec, model, task, generation, coders)
            if task is None:
                say(f"no task of ours is what {architecture or 'this model'} is for, so that none is written")
    except (SpecError, DataError, RunError) as error:
        say(f"no task is written: {error}")
    save_model(out, spec, model, task=found.task, generation=generation, coders=found.coders)
    return found


def tokenizer_of(folder: Path, generation: Spec | None) -> Tokenizer | None:
    """The tokenizer of a checkpoint folder, with the special ids of its search; None where there is none.

    Raises: DataError or RunError for files that hold none.
    """
    config = read_config(folder)
    ids: dict[str, int] = {}
    search: SpecialIds | None = getattr(generation, "ids", None)
    if search is not None:
        ids = {"pad": search.pad, "start": search.start, "end": search.ends[0]}
    elif isinstance(config.get("pad_token_id"), int) and config["pad_token_id"] >= 0:
        ids = {"pad": config["pad_token_id"]}
    found: Tokenizer | None = hugging_face.read_folder(folder, ids=ids)
    if found is None and len(ids) == 3:
        found = marian.read_folder(folder, ids=ids)
    return found


def _task_of(
    spec: Any, generation: Spec | None, tokenizer: Tokenizer, config: Mapping[str, Any]
) -> tuple[Spec | None, dict[str, Coder]]:
    """What a model is for, and the coders of that. Raises: SpecError where the task does not take the model."""
    name = _TASKS.get((spec.head.type, len(spec.slots)))
    reads_tokens = all(hasattr(slot, "vocab_size") for slot in spec.slots.values())
    if name is None or not reads_tokens or name not in TASK.names():
        return None, {}
    fields = TASK.entry(name).spec.model_fields
    positions = [size for _, part in inner(spec, "model") if (size := getattr(part, "max_len", None))]
    data: dict[str, Any] = {"type": name, "data": "none", "tokenizer": tokenizer.type}
    data |= {key: min([longest, *positions]) for key, longest in _LONGEST.items() if key in fields}
    whole: dict[str, Any] = {"model": dump(spec), "task": data}
    if generation is not None:
        whole["generation"] = dump(generation)
    task = parse(RunSpec, whole).task
    bare: Any = TASK.build(task, model=spec, coders={})  # type: ignore[arg-type]
    coders: dict[str, Coder] = {}
    for stem in bare.coder_names:
        if stem.startswith("tokenizer"):
            coders[stem] = tokenizer
        elif stem == "labels" and isinstance(labels := config.get("id2label"), dict):
            coders[stem] = Labels([str(labels[key]) for key in sorted(labels, key=int)])
        else:
            raise DataError(f"the checkpoint does not say the {stem} of {name}")
    return task, coders
