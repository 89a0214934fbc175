"""A run's model as files that others read: a checkpoint of transformers, safetensors, ONNX, a program of torch.export.

Each is read back and compared with the model before the folder appears: it is there whole and right, or not at all.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from registry import Problem, SpecError, dump
from zoo.data.labels import Labels
from zoo.data.scaling import Scaling
from zoo.data.tokenizer import Tokenizer
from zoo.data.tokenizers.hugging_face import TrainedHuggingFace, read_folder
from zoo.interop import graph_files, hugging_face
from zoo.interop.graph import Graph, parts, traced, whole_inputs
from zoo.interop.model_folder import load_model, save_model
from zoo.run.inputs import LINE_FIELDS
from zoo.run.spec import to_yaml
from zoo.run.using import TrainedRun, open
from zoo.storage.files import SPEC_FILE, check_free, export_folder
from zoo.tasks.task import Refusal

Format = Literal["hf", "safetensors", "onnx", "torch-export"]
FORMATS: tuple[str, ...] = get_args(Format)
ABOUT_FILE = "model.json"
EXAMPLE = "The dog sees an old house."
_SUFFIXES = {"onnx": ".onnx", "torch-export": ".pt2"}
_READERS = {
    "hf": "read back",
    "safetensors": "read back",
    "onnx": "run by onnxruntime",
    "torch-export": "run from the file",
}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """What was written."""

    folder: Path
    format: str
    about: str
    """The family of a checkpoint, or the kind of model."""
    dtypes: str
    largest_difference: float
    """Between what the files give and what the model gives, on random input of other sizes than were traced."""

    def text(self) -> str:
        """Two lines, for a reader."""
        how = _READERS[self.format]
        return (
            f"{self.folder}: {self.about}, {self.dtypes}\n"
            f"{how}: differs from the model by {self.largest_difference:.2g} at most"
        )


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr)


def export(
    folder: str | Path,
    out: str | Path,
    *,
    format: str = "hf",
    checkpoint: str | int = "result",
    family: str | None = None,
    fields: Mapping[str, Any] | None = None,
    say: Say = _to_stderr,
) -> Exported:
    """Writes the model of a run, or of what `zoo import` wrote, into the new folder `out`.

    hf: config.json, with the ids its search has, safetensors and, of the tokenizers library, the tokenizer, as
        transformers reads them; family and fields are those of zoo.to_hf.
    safetensors: spec.yaml, model.safetensors, tokenizer and labels: what `zoo import` writes and every command takes.
    onnx, torch-export: model.onnx or model.pt2, a graph for any batch and length, and of a model that reads and writes
        encoder and decoder besides; model.json with the inputs, outputs, sizes, labels and special ids; spec.yaml,
        tokenizer and labels. ONNX is in float32 and needs the extra `onnx`.

    What was written is read again and compared with the model, on random input of other sizes than the traced one,
    before the folder appears. say is given a line for each thing that is not as it was.
    Raises: SpecError for a format that there is not or that cannot hold this model, and where the numbers differ by
    more than rounding; RunError for a folder that holds no model, or one that is not free.
    """
    if format not in FORMATS:
        raise SpecError([Problem("format", f"'{format}' is unknown; known: {', '.join(FORMATS)}")])
    if format != "hf" and (family is not None or fields):
        raise SpecError([Problem("format", f"family and fields are of config.json, which {format} has not")])
    target = Path(out)
    check_free(target)
    if format == "onnx":
        graph_files.check_onnx()
    loaded = open(folder, checkpoint=checkpoint, device="cpu")
    with export_folder(target) as inner:
        if format == "hf":
            about, difference = _checkpoint(loaded, inner, target, family, fields or {}, say)
        elif format == "safetensors":
            about, difference = _type(loaded), _safetensors(loaded, inner)
        else:
            about, difference = _type(loaded), _graphs(loaded, inner, format, say)
    return Exported(target, format, about, _dtypes(loaded.model), difference)


def _checkpoint(
    loaded: TrainedRun, inner: Path, target: Path, family: str | None, fields: Mapping[str, Any], say: Say
) -> tuple[str, float]:
    run, model = loaded.run, loaded.model
    fields = {**_of_series(loaded, say), **_of_labels(loaded), **fields}
    name = hugging_face.export(
        run.model,
        model,
        inner,
        family=family,
        fields=fields,
        generation=run.generation,
        say=lambda text: say(text.replace(str(inner), str(target))),
    )
    _tokenizers(loaded, inner, say)
    again = hugging_face.from_hf(inner, ignore=tuple(fields), say=lambda text: None)[1]
    return name, _difference_read(loaded, again)


def _of_labels(loaded: TrainedRun) -> dict[str, Any]:
    """The names of a classifier's classes, as config.json has them."""
    labels = loaded.coders.get("labels")
    if not isinstance(labels, Labels):
        return {}
    return {
        "id2label": {str(i): name for i, name in enumerate(labels.names)},
        "label2id": {name: i for i, name in enumerate(labels.names)},
    }


def _tokenizers(loaded: TrainedRun, inner: Path, say: Say) -> None:
    """The tokenizer's files beside a checkpoint; say is given what is not written, and what they do not say."""
    several = len(loaded.tokenizers) > 1
    for stem, tokenizer in loaded.tokenizers.items():
        if several or not isinstance(tokenizer, TrainedHuggingFace):
            say(f"{stem}{tokenizer.suffix} is not written: transformers has tokenizers in other forms")
            continue
        tokenizer.write_files(inner)
        again = read_folder(inner, ids={})
        assert again is not None
        assert again.encode([EXAMPLE]) == tokenizer.encode([EXAMPLE])
        if (again.before, again.after) != (tokenizer.before, tokenizer.after):
            around = [*tokenizer.before, "the text's", *tokenizer.after]
            say(f"tokenizer.json puts nothing around a text; this model reads {' '.join(map(str, around))}")


def _of_series(loaded: TrainedRun, say: Say) -> dict[str, Any]:
    """What config.json says of a forecaster's data; say is given what it cannot say."""
    scaling, is_by_task = loaded.coders.get("scaling"), getattr(loaded.run.task, "instance_norm", None)
    if is_by_task is None or not isinstance(scaling, Scaling):
        return {}
    if scaling.mean.any() or (scaling.deviation != 1).any():
        say(
            "the model reads and forecasts standardised variables, (x - mean) / deviation by the run's "
            f"scaling{scaling.suffix}, which config.json cannot say"
        )
    if is_by_task:
        say(
            "each series was given by its own mean and deviation (task.instance_norm), which config.json cannot say; "
            "that of a model with model.inputs.scaling=standard does"
        )
    return {"num_input_channels": len(scaling.mean)}


def _safetensors(loaded: TrainedRun, inner: Path) -> float:
    run = loaded.run
    save_model(inner, run.model, loaded.model, task=run.task, generation=run.generation, coders=loaded.coders)
    return _difference_read(loaded, load_model(inner)[1])


def _difference_read(loaded: TrainedRun, again: nn.Module) -> float:
    """Between a model and the same as it was read back."""
    model: Any = loaded.model
    given, _ = whole_inputs(model, loaded.run.model, 2, {})
    given = {
        name: tensor.to(_dtype(model)) if tensor.is_floating_point() else tensor
        for name, tensor in given.items()
    }
    with torch.no_grad():
        real = model.hidden(**given)[1]
        return graph_files.difference(model(**given), again(**given), real, where="the model read back")


def _graphs(loaded: TrainedRun, inner: Path, format: str, say: Say) -> float:
    run, model = loaded.run, loaded.model
    if format == "onnx" and (found := _dtypes(model)) != "float32":
        say(f"the weights are {found}; ONNX is written in float32")
        model.float()
    write = graph_files.write_onnx if format == "onnx" else graph_files.write_program
    written: list[tuple[Graph, str]] = []
    largest = 0.0
    for part in parts(model, run.model):
        graph, file = traced(part), f"{part.name}{_SUFFIXES[format]}"
        gives = write(graph, inner / file)
        largest = max(largest, graph_files.largest_difference(graph, gives, model, run.model))
        written.append((graph, file))
    for stem, coder in loaded.coders.items():
        coder.save(inner, stem)
    (inner / SPEC_FILE).write_text(to_yaml(run), encoding="utf-8")
    about = _about(loaded, format, written, largest)
    (inner / ABOUT_FILE).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return largest


def _about(
    loaded: TrainedRun, format: str, written: list[tuple[Graph, str]], largest: float
) -> dict[str, Any]:
    """What a user of the graphs needs to know."""
    run = loaded.run
    about: dict[str, Any] = {
        "format": format,
        "model": run.model.type,
        "task": None if run.task is None else run.task.type,
        "checkpoint": loaded.checkpoint,
        "graphs": [
            {
                "file": file,
                "inputs": [asdict(port) for port in graph.inputs],
                "outputs": [asdict(port) for port in graph.outputs],
                "largest_sizes": graph.most,
            }
            for graph, file in written
        ],
        "largest_difference": largest,
    }
    for stem, coder in loaded.coders.items():
        if isinstance(coder, Tokenizer):
            ids = {"pad": coder.pad, "start": coder.start, "end": coder.end}
            about[stem] = {"type": coder.type, "file": f"{stem}{coder.suffix}", **ids}
        elif isinstance(coder, Labels):
            about[stem] = list(coder.names)
        elif isinstance(coder, Scaling):
            about[stem] = {"mean": coder.mean.tolist(), "deviation": coder.deviation.tolist()}
    sound = getattr(run.task, "sound", None)
    if sound is not None:
        about["sound"] = dump(sound)
    if (example := _example(loaded)) is not None:
        about["example"] = example
    return about


def _example(loaded: TrainedRun) -> dict[str, Any] | None:
    """A text and the ids that the model is given for it, so that one who cuts texts himself can see whether he does it
    alike; None for a task that reads none."""
    spec: Any = loaded.run.task
    if spec is None or spec.asks[0] not in LINE_FIELDS or (spec.searches and loaded.run.generation is None):
        return None
    task = loaded.task
    (read,) = task.read([{spec.asks[0]: EXAMPLE}], loaded.model)
    if isinstance(read, Refusal):
        return None
    tensors = task.collate([read]).tensors
    ids = {
        name: each[0].tolist()
        for name, each in tensors.items()
        if isinstance(each, torch.Tensor) and each.dim() == 2 and each.dtype == torch.int64
    }
    bounds = {key: getattr(spec, key) for key in ("max_length", "length", "truncation") if hasattr(spec, key)}
    return {spec.asks[0]: EXAMPLE, "ids": ids, **bounds}


def _dtype(model: nn.Module) -> torch.dtype:
    return next(each.dtype for each in model.parameters() if each.is_floating_point())


def _dtypes(model: nn.Module) -> str:
    return ", ".join(sorted({str(each.dtype).removeprefix("torch.") for each in model.parameters()}))


def _type(loaded: TrainedRun) -> str:
    return str(loaded.run.model.type).replace("_", "-")
