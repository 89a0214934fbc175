"""A folder as transformers writes it: config.json and model.safetensors, in one file or in shards.

Nothing in a folder is executed or unpickled: of its files only JSON and safetensors are read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import DataError, RunError
from zoo.storage.files import export_folder
from zoo.storage.records import read_json
from zoo.storage.tensors import Promised, Stored, stored_tensors, write_tensors

CONFIG_FILE = "config.json"
SETTINGS_FILE = "generation_config.json"
WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.h5", "*.msgpack")


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json. Raises: RunError for a folder without one."""
    if not folder.is_dir():
        raise RunError(f"{folder}: no such folder; only local folders are read, nothing is downloaded")
    if not (folder / CONFIG_FILE).exists():
        raise RunError(f"{folder}: it has no {CONFIG_FILE}, so it is no checkpoint of transformers")
    return read_json(folder / CONFIG_FILE)


def read_tensors(folder: Path) -> dict[str, Stored]:
    """Where each tensor of the folder lies; nothing but headers is read.

    Raises: RunError for missing or damaged files and for folders that hold pickles only; DataError where the index and
    its shards disagree.
    """
    if (folder / WEIGHTS_FILE).exists():
        return stored_tensors(folder / WEIGHTS_FILE)
    if (folder / INDEX_FILE).exists():
        return _sharded(folder)
    pickles = sorted(path.name for pattern in PICKLES for path in folder.glob(pattern))
    if pickles:
        raise RunError(
            f"{folder}: it holds {pickles[0]} but no {WEIGHTS_FILE}; a pickle can execute anything when it is read, so "
            "none is: convert it (transformers' from_pretrained and then save_pretrained write safetensors), or have "
            "tensors, and nothing else, unpickled by torch.load(weights_only=True): --unpickle"
        )
    raise RunError(f"{folder}: it has neither {WEIGHTS_FILE} nor {INDEX_FILE}")


def read_index(index: Path, suffix: str) -> dict[str, str]:
    """Which tensor lies in which file, those files' names ending so. Raises: RunError for a damaged index."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise RunError(f"{index}: damaged: its weight_map should say which tensor lies in which file")
    for name in places.values():
        is_plain = isinstance(name, str) and name == Path(name).name and "\\" not in name
        if not is_plain or not name.endswith(suffix):
            raise RunError(f"{index}: {name!r} is refused: a shard is a {suffix} file beside the index")
    return places


def _sharded(folder: Path) -> dict[str, Stored]:
    places = read_index(folder / INDEX_FILE, ".safetensors")
    found: dict[str, Stored] = {}
    for shard in sorted(set(places.values())):
        if not (folder / shard).exists():
            raise RunError(f"{folder}: the shard {shard} is missing")
        for name, tensor in stored_tensors(folder / shard).items():
            if name in found:
                raise DataError(
                    f"{folder}: tensor {name!r} is in two files: {found[name].file.name} and {shard}"
                )
            found[name] = tensor
    lost = sorted(
        name for name, shard in places.items() if name not in found or found[name].file.name != shard
    )
    if lost:
        raise DataError(
            f"{folder}: the index says that {places[lost[0]]} holds {some(lost)}, which it does not"
        )
    return found


def write_folder(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, Promised],
    *,
    settings: Mapping[str, Any] | None,
    shard_bytes: int,
) -> None:
    """Writes config, tensors and, where there are any, the settings of a search; appears whole or not at all.

    The tensors are in shards of at most shard_bytes where they are more.

    Raises: RunError where the folder exists and is not empty, or cannot be written.
    """
    with export_folder(folder) as inner:
        _write_weights(inner, tensors, shard_bytes)
        for name, data in ((CONFIG_FILE, config), (SETTINGS_FILE, settings)):
            if data is not None:
                (inner / name).write_text(json.dumps(dict(data), indent=2) + "\n", encoding="utf-8")


def _write_weights(folder: Path, tensors: Mapping[str, Promised], shard_bytes: int) -> None:
    shards = _shards(tensors, shard_bytes)
    width = len(shards)
    names = (
        [WEIGHTS_FILE]
        if width == 1
        else [f"model-{i:05d}-of-{width:05d}.safetensors" for i in range(1, width + 1)]
    )
    for file, members in zip(names, shards, strict=True):
        write_tensors(folder / file, {name: tensors[name] for name in members})
    if width > 1:
        places = {name: file for file, members in zip(names, shards, strict=True) for name in members}
        size = sum(tensor.n_bytes for tensor in tensors.values())
        index = {"metadata": {"total_size": size}, "weight_map": places}
        (folder / INDEX_FILE).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _shards(tensors: Mapping[str, Promised], shard_bytes: int) -> list[list[str]]:
    shards: list[list[str]] = [[]]
    size = 0
    for name, tensor in tensors.items():
        if shards[-1] and size + tensor.n_bytes > shard_bytes:
            shards.append([])
            size = 0
        shards[-1].append(name)
        size += tensor.n_bytes
    return shards


def some(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    text = ", ".join(map(repr, names[:4]))
    return f"{text} and {len(names) - 4} more" if len(names) > 4 else text
