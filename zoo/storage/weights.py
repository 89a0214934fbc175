"""A model's weights as one safetensors file, each shared tensor stored once."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import RunError
from zoo.storage.tensors import DTYPES, promise, stored_metadata, stored_tensors, write_tensors

TIED_KEY = "tied"  # in the file's metadata: {name left out: name it shares its tensor with}, as JSON

_RANKS = {dtype: rank for rank, dtype in enumerate(DTYPES.values())}


def first_names(weights: Mapping[str, Tensor]) -> dict[str, str]:
    """For each name of a state dict the first one of the same tensor: tied tensors have several."""
    by_identity: dict[Hashable, str] = {}
    return {name: by_identity.setdefault(_identity(tensor), name) for name, tensor in weights.items()}


def untied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor of a state dict once, by its first name."""
    return {name: weights[name] for name, first in first_names(weights).items() if first == name}


def _identity(tensor: Tensor) -> Hashable:
    if tensor.is_meta or not tensor.numel():  # without an address to be recognised by
        return id(tensor)
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes a state dict; names that share one tensor (tied embeddings) share it in the file too.

    Raises: OSError when the file cannot be written; RunError for a dtype that is not stored.
    """
    tied = {name: first for name, first in first_names(weights).items() if first != name}
    order = sorted(
        untied(weights).items(), key=lambda item: (_RANKS.get(item[1].dtype, len(_RANKS)), item[0])
    )
    # One key, and that sorted: equal weights are equal bytes.
    metadata = {TIED_KEY: json.dumps(tied, sort_keys=True)}
    write_tensors(path, {name: promise(tensor) for name, tensor in order}, metadata=metadata)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict on the CPU; tied names hold the same tensor object.

    Raises: RunError when the file is missing or is no safetensors file.
    """
    stored = stored_tensors(path)
    weights = {name: torch.empty(tensor.shape, dtype=tensor.dtype) for name, tensor in stored.items()}
    try:
        for name, tensor in stored.items():
            tensor.read_into(weights[name])
    except OSError as error:
        if isinstance(error, RunError):
            raise
        raise RunError(f"{path}: cannot be read: {error.strerror}") from error
    for name, first in json.loads(stored_metadata(path).get(TIED_KEY, "{}")).items():
        weights[name] = weights[first]
    return weights
