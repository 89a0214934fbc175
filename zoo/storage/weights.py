"""A model's weights as one safetensors file, each shared tensor stored once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from zoo.errors import RunError

TIED_KEY = "tied"  # in the file's metadata: {name left out: name it shares its tensor with}, as JSON


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes a state dict; names that share one tensor (tied embeddings) share it in the file too.

    Raises: OSError or SafetensorError when the file cannot be written.
    """
    stored: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    first_names: dict[tuple[object, ...], str] = {}
    for name, tensor in weights.items():
        identity = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype, tensor.device)
        # An empty tensor has no address to be recognised by.
        first = first_names.setdefault(identity, name) if tensor.numel() else name
        if first == name:
            stored[name] = tensor.contiguous()
        else:
            tied[name] = first
    # One key only: of several, safetensors writes the order at random, and equal weights would differ in their bytes.
    save_file(stored, path, metadata={TIED_KEY: json.dumps(tied, sort_keys=True)})
    path.chmod(0o644)  # safetensors' own is for nobody else to read


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads a state dict on the CPU; tied names hold the same tensor object.

    Raises: RunError when the file is missing or is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            tied = json.loads((file.metadata() or {}).get(TIED_KEY, "{}"))
    except (OSError, SafetensorError) as error:
        raise RunError(f"{path}: cannot read the weights: {error}") from error
    for name, first in tied.items():
        weights[name] = weights[first]
    return weights
