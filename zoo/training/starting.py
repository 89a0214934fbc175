"""What a run starts from besides random numbers: the weights and coders of another folder; and what is not trained.

Weights are taken once, before the first step: from then on they are in the run's own checkpoints.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from torch import Tensor, nn

import presets
from registry import Problem, SpecError
from zoo.data.coders import load_coder
from zoo.errors import RunError
from zoo.interop.model_folder import WEIGHTS_FILE, load_model
from zoo.storage.files import SPEC_FILE
from zoo.storage.records import write_record
from zoo.storage.selection import load_weights, weights_folder

RECORD = "init_from.json"
_N_NAMED = 6
_POOLED = {"pooled", "pooled_classifier"}
log = logging.getLogger(__name__)


def take_coders(source: Path, folder: Path, names: Collection[str], *, tokenizer: str | None) -> None:
    """Copies tokenizers of that type from one folder into another that has none of these names yet.

    Raises: RunError for damaged ones.
    """
    names = [name for name in names if name.startswith("tokenizer")]
    if any((folder / f"{name}.json").exists() for name in names):
        return
    if not all((source / f"{name}.json").exists() for name in names):
        return
    found = {name: load_coder(source, name) for name in names}
    if all(coder.type == tokenizer for coder in found.values()):
        for name, coder in found.items():
            coder.save(folder, name)


def take_weights(model: nn.Module, source: Path, folder: Path, *, head: str) -> None:
    """Gives a model the tensors of another that have its names and shapes, and says which it has not.

    head is the type of the model's: tensors of a head of another type are left, but that the pooler of a bare model is
    the first layer of a classifier's. folder is the run's, where that is recorded.
    Raises: RunError where nothing fits, or the source holds no weights.
    """
    is_imported = (source / WEIGHTS_FILE).is_file()
    given: dict[str, Tensor] = load_model(source)[1].state_dict() if is_imported else load_weights(source)
    their_head = str(presets.read(source / SPEC_FILE).data["model"]["head"]["type"])
    if head != their_head and not {head, their_head} <= _POOLED:
        unlike = {name for name in given if name.startswith("head.")}
    else:
        unlike = set()
    everything, given = given, {name: tensor for name, tensor in given.items() if name not in unlike}
    own = model.state_dict()
    taken = [name for name, tensor in own.items() if name in given and given[name].shape == tensor.shape]
    if not taken:
        theirs, ours = (
            next((f"{name!r} {_shape(each)}" for name, each in some.items()), "none") for some in (given, own)
        )
        raise RunError(
            f"{source}: training.init_from: none of its {len(given)} tensors has name and shape of one of this model's "
            f"(it has such as {theirs}, this one {ours})"
        )
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    other = [f"{name} ({_shape(given[name])}, here {_shape(own[name])})" for name in own
             if name in given and name not in taken]  # fmt: skip
    filled = {own[name].data_ptr() for name in taken}  # also by another name, where two are tied
    new = [name for name in own if name not in given and own[name].data_ptr() not in filled]
    unused = [name for name in everything if name not in own or name in unlike]
    text = f"{source}: {len(taken)} of {len(own)} tensors taken"
    for what, names in (("new, of another shape there", other), ("new", new), ("left there", unused)):
        text += f"; {what}: {_some(names)}" if names else ""
    log.warning("%s", text)  # a warning, for that is what is seen without any setting of loggers
    checkpoint = WEIGHTS_FILE if is_imported else weights_folder(source).name
    about = {"folder": str(source.resolve()), "checkpoint": checkpoint, "taken": taken}
    write_record(folder / RECORD, {**about, "of_another_shape": other, "new": new, "left": unused})


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Keeps weights of these names from being trained. Raises: SpecError for a pattern that is the name of none."""
    named = dict(model.named_parameters(remove_duplicate=False))
    for pattern in patterns:
        found = [parameter for name, parameter in named.items() if fnmatchcase(name, pattern)]
        if not found:
            message = f"'{pattern}' is the name of no weight, such as {next(iter(named))}"
            raise SpecError([Problem("training.freeze", message)])
        for parameter in found:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in named.values()):
        raise SpecError([Problem("training.freeze", "no weight is left to be trained")])


def _shape(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape)) or "one number"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _N_NAMED} more" if len(names) > _N_NAMED else ""
    return ", ".join(names[:_N_NAMED]) + more
