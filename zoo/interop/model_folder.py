"""A folder of our own for a model without a run: spec.yaml and model.safetensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

import presets
from registry import Spec, dump, parse
from zoo.assembly.build import build
from zoo.errors import RunError
from zoo.interop.checkpoint import WEIGHTS_FILE
from zoo.interop.rules import Rule, Rules
from zoo.interop.transfer import fill
from zoo.kinds import MODEL
from zoo.storage.files import SPEC_FILE, export_folder
from zoo.storage.tensors import promise, stored_tensors, write_tensors
from zoo.storage.weights import untied


class Coder(Protocol):
    """What is needed of a coder: see zoo.data.coder."""

    def save(self, folder: Path, stem: str) -> None: ...


def save_model(
    folder: str | Path,
    spec: Spec,
    model: nn.Module,
    *,
    task: Spec | None = None,
    generation: Spec | None = None,
    coders: Mapping[str, Coder] | None = None,
) -> None:
    """Writes a model, each tensor once, what it is for, how it is searched, and its tokenizer and other coders by the
    stems of their files; the folder appears whole or not at all.

    Raises: RunError where the folder exists and is not empty, or cannot be written.
    """
    tensors = {name: promise(tensor) for name, tensor in untied(model.state_dict(keep_vars=True)).items()}
    sections = {"model": spec, "task": task, "generation": generation}
    data = {name: dump(section) for name, section in sections.items() if section is not None}
    with export_folder(Path(folder)) as inner:
        write_tensors(inner / WEIGHTS_FILE, tensors)
        for stem, coder in (coders or {}).items():
            coder.save(inner, stem)
        (inner / SPEC_FILE).write_text(presets.to_yaml(data), encoding="utf-8")


def load_model(folder: str | Path, *, dtype: torch.dtype | None = None) -> tuple[Spec, nn.Module]:
    """The spec and the model of such a folder, on the CPU and in eval mode; streamed as `from_hf` does.

    Raises: RunError for a folder that is none or is damaged, SpecError for a wrong spec, DataError for tensors that are
    not the spec's.
    """
    folder = Path(folder)
    if not (folder / SPEC_FILE).is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise RunError(f"{folder}: no model lies here: {SPEC_FILE} and {WEIGHTS_FILE} are needed")
    document = presets.read(folder / SPEC_FILE)
    data: Any = document.data["model"]
    spec = parse(MODEL.entry(data["type"]).spec, data, path="model", locate=document.locate)
    model = build(spec, device="meta")
    rules: Rules = [Rule((name,), (name,)) for name in untied(model.state_dict(keep_vars=True))]
    fill(model, rules, stored_tensors(folder / WEIGHTS_FILE), where=str(folder), dtype=dtype)
    return spec, model.eval()
