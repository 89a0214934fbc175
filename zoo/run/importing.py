"""A checkpoint folder of transformers as a folder that every command takes: model, task, search and tokenizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from registry import Spec, SpecError
from zoo.data.coder import Coder
from zoo.data.tokenizer import Tokenizer
from zoo.data.tokenizers import ctc_letters, hugging_face, marian
from zoo.errors import DataError, RunError
from zoo.interop.checkpoint import read_config
from zoo.interop.hugging_face import from_hf, generation_of
from zoo.interop.model_folder import save_model
from zoo.run.imported_tasks import Folder, needs_tokenizer, task_name, task_of
from zoo.special_ids import SpecialIds
from zoo.storage.files import check_free


@dataclass(frozen=True)
class Imported:
    """What was found in a checkpoint folder."""

    spec: Spec
    model: nn.Module
    task: Spec | None
    """What the model is for; None where no task of ours suits its head, or there is no tokenizer."""
    generation: Spec | None
    coders: Mapping[str, Coder]
    """The task's, or, without a task, the tokenizer, where there is one."""


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
        if tokenizer is not None:
            # Taken along even where no task is written, for a run that starts from this folder.
            found = Imported(spec, model, None, generation, {"tokenizer": tokenizer})
        name = task_name(spec)
        if name is None:
            text = f"no task of ours is what {architecture or 'this model'} is for, so that none is written"
            say(text if tokenizer is None else f"{text}; zoo predict --embed gives a text's vector")
        elif tokenizer is None and needs_tokenizer(name):
            say(f"{folder}: no tokenizer of a known form lies there, so that no task is written")
        else:
            task, coders = task_of(name, Folder(folder, spec, generation, tokenizer, say))
            found = Imported(spec, model, task, generation, coders)
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
    return ctc_letters.read_folder(folder) if found is None else found
