"""Older checkpoints, pytorch_model.bin: torch unpickles their tensors and nothing else, and only when asked to."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from zoo.errors import RunError
from zoo.interop.checkpoint import read_index
from zoo.storage.tensors import Held

_FILE = "pytorch_model.bin"
_INDEX = "pytorch_model.bin.index.json"


def read_pickles(folder: Path) -> dict[str, Held]:
    """The tensors of a folder's pickles, in one file or in shards.

    Raises: RunError where there are none, or one holds anything but tensors.
    """
    names = [_FILE]
    if not (folder / _FILE).exists() and (folder / _INDEX).exists():
        names = sorted(set(read_index(folder / _INDEX, ".bin").values()))
    found: dict[str, Held] = {}
    for name in names:
        found |= _tensors(folder / name)
    return found


def _tensors(file: Path) -> dict[str, Held]:
    if not file.is_file():
        raise RunError(f"{file}: there is no such file; only {_FILE} and its shards are unpickled")
    try:
        with warnings.catch_warnings(action="ignore"):  # of pickle protocols
            # torch's newer files are archives, of which only what is used needs memory.
            data = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except Exception as error:  # a damaged pickle is an unpickler's IndexError, KeyError, struct.error, ...
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunError(f"{file}: torch.load(weights_only=True) does not read it: {reason}") from None
    if not isinstance(data, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in data.items()
    ):
        raise RunError(f"{file}: it holds something else than tensors by their names")
    return {name: Held(tensor) for name, tensor in data.items()}
