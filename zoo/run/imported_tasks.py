"""What an imported model is for: its task, and that task's coders, by the files beside the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from registry import Spec, dump, inner, parse
from zoo.data.coder import Coder
from zoo.data.labels import Labels
from zoo.data.scaling import Scaling
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError
from zoo.interop.checkpoint import read_config
from zoo.kinds import TASK
from zoo.run.spec import RunSpec
from zoo.storage.records import read_json
from zoo.tasks.task import Task

_TASKS = {
    ("tokens", "language_model", 2): "translation",
    ("tokens", "language_model", 1): "language_model",
    ("tokens", "masked_language_model", 1): "masked_language_model",
    ("tokens", "pooled_classifier", 1): "text_classification",
    ("tokens", "token_classifier", 1): "tagging",
    ("images", "pooled_classifier", 1): "image_classification",
    ("waveform", "ctc", 1): "speech_recognition",
    ("spectrogram", "language_model", 2): "transcription",
    ("series", "flattened_regression", 1): "forecasting",
    ("series", "pooled_regression", 1): "forecasting",
}
"""The task of a model by what it reads, its head, and how many inputs it has. An encoder-decoder's is translation,
whatever text it writes for a text: which one, its weights do not tell."""
_TSV = {"train": "train.tsv", "dev": "dev.tsv"}
_TEXTS = {"type": "text", "train": "train.txt", "dev": "dev.txt"}
_RECORDINGS = {"type": "wav_manifest", **_TSV, "text_column": "text"}
_DATA: dict[str, dict[str, Any]] = {
    "translation": {"type": "tab_separated", **_TSV},
    "language_model": _TEXTS,
    "masked_language_model": _TEXTS,
    "text_classification": {"type": "columns", **_TSV, "columns": ["text", "label"]},
    "tagging": {
        "type": "conll",
        "train": "train.txt",
        "dev": "dev.txt",
        "columns": {"tokens": 1, "tags": -1},
        "separator": "spaces",
    },
    "image_classification": {"type": "image_folder", "folder": "images"},
    "speech_recognition": _RECORDINGS,
    "transcription": _RECORDINGS,
    "forecasting": {"type": "series_csv", "path": "series.csv"},
}
"""The usual form of each task's data, so that nothing but its place is left to be said, as task.data.test=FILE."""
_LONGEST = {"translation": 256, "language_model": 256}
"""What bounds an input in these tasks' training, where the model has positions enough."""
_USUAL_LENGTH = 512
"""The bound in other tasks where neither model nor tokenizer says one."""
_UNBOUNDED = 10**6
"""Where a tokenizer says that much or more it means that there is no bound."""
_RESAMPLING = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
"""Pillow's ways by their numbers."""
PREPROCESSOR_FILE = "preprocessor_config.json"


@dataclass(frozen=True)
class Folder:
    """A checkpoint folder, and what has been read from it."""

    path: Path
    spec: Any
    """The model's."""
    generation: Spec | None
    tokenizer: Tokenizer | None
    say: Callable[[str], None]

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """config.json."""
        return read_config(self.path)

    def settings(self, name: str) -> dict[str, Any]:
        """A further JSON file of it. Raises: DataError where it is not there."""
        if not (self.path / name).is_file():
            raise DataError(f"{self.path}: there is no {name}, which says what the model is given")
        return read_json(self.path / name)


Found = tuple[dict[str, Any], dict[str, Coder]]
"""Fields of a task's spec, and coders besides a tokenizer."""


def task_name(spec: Any) -> str | None:
    """The task that a model is for; None where none of ours is."""
    name = _TASKS.get((_read_by(spec), spec.head.type, len(spec.slots)))
    return name if name in TASK.names() else None


def needs_tokenizer(name: str) -> bool:
    """Whether a task has one."""
    return "tokenizer" in TASK.entry(name).spec.model_fields


def task_of(name: str, folder: Folder) -> tuple[Spec, dict[str, Coder]]:
    """The task's spec and its coders.

    Raises: SpecError where the task does not take the model; DataError or RunError where the folder does not say what
        the task needs, or says what no spec of ours can.
    """
    fields, coders = _MAKERS.get(name, _nothing)(folder)
    data: dict[str, Any] = {"type": name, **fields, "data": {**_DATA[name], **fields.get("data", {})}}
    if folder.tokenizer is not None and needs_tokenizer(name):
        data["tokenizer"] = folder.tokenizer.type
        bounds = [key for key in ("max_length", "length") if key in TASK.entry(name).spec.model_fields]
        data |= dict.fromkeys(bounds, _max_length(name, folder))
    whole: dict[str, Any] = {"model": dump(folder.spec), "task": data}
    if folder.generation is not None:
        whole["generation"] = dump(folder.generation)
    task: Any = parse(RunSpec, whole).task
    bare: Task = TASK.build(task, model=folder.spec, coders={})
    for stem in bare.coder_names:
        if stem.startswith("tokenizer") and folder.tokenizer is not None:
            coders[stem] = folder.tokenizer
        elif stem not in coders:
            raise DataError(f"the checkpoint does not say the {stem} of {name}")
    coders = {stem: coders[stem] for stem in bare.coder_names}
    TASK.build(task, model=folder.spec, coders=coders).check_coders(folder.path)
    return task, coders


def _read_by(spec: Any) -> str:
    slots = list(spec.slots.values())
    if all(hasattr(slot, "vocab_size") for slot in slots):
        return "tokens"
    if hasattr(slots[0], "sides"):
        return "images"
    if hasattr(slots[0], "series_length"):
        return "series"
    return str(getattr(slots[0], "hears", ""))


def _max_length(name: str, folder: Folder) -> int:
    """Most tokens of an input: as many as there are positions, or as the tokenizer says."""
    positions = [size for _, part in inner(folder.spec, "model") if (size := getattr(part, "max_len", None))]
    if name in _LONGEST:
        return min([_LONGEST[name], *positions])
    file = folder.path / "tokenizer_config.json"
    said = read_json(file).get("model_max_length") if file.is_file() else None
    bounds = [*positions, *([int(said)] if isinstance(said, int | float) and 0 < said < _UNBOUNDED else [])]
    return min(bounds, default=_USUAL_LENGTH)


# What single tasks need


def _nothing(folder: Folder) -> Found:
    return {}, {}


def _labels(folder: Folder) -> Found:
    return {}, {"labels": _names(folder)}


def _classes(folder: Folder) -> Found:
    """Classes that exclude each other, or the number of a regression."""
    kind, n = folder.config.get("problem_type"), folder.spec.head.n_classes
    if kind == "multi_label_classification" or (kind == "regression" and n > 1):
        raise DataError(f"problem_type {kind} of {n} numbers is none of our tasks'")
    return ({}, {}) if n == 1 else _labels(folder)


def _images(folder: Folder) -> Found:
    """Classes of images, and how those become what the model reads, by preprocessor_config.json."""
    said, inputs = folder.settings(PREPROCESSOR_FILE), folder.spec.inputs
    for key in ("do_pad", "do_grayscale", "do_convert_grayscale"):
        if said.get(key):
            raise DataError(f"{PREPROCESSOR_FILE}: {key} is none of what our tasks do to an image")
    n = inputs.n_channels
    mean = _channels(said, "image_mean", n) if said.get("do_normalize", True) else [0.0] * n
    deviation = _channels(said, "image_std", n) if said.get("do_normalize", True) else [1.0] * n
    factor = float(said.get("rescale_factor", 1 / 255)) if said.get("do_rescale", True) else 1.0
    # Here 255 is brightness 1: (x · factor - mean) / deviation of a byte x, in those units.
    unit = 255 * factor
    data: dict[str, Any] = {"image_size": list(inputs.sides), "colours": "grey" if n == 1 else "colour"}
    resample = said.get("resample", 2)
    if said.get("do_resize", True):
        if resample not in range(len(_RESAMPLING)):
            raise DataError(f"{PREPROCESSOR_FILE}: resample {resample!r} is no number of Pillow's, 0 to 5")
        data["resample"] = _RESAMPLING[resample]
        data["fit"] = _fit(said, inputs.sides, folder.say)
    fields = {
        "data": data,
        "normalisation": {
            "mean": [each / unit for each in mean],
            "deviation": [each / unit for each in deviation],
        },
    }
    scaling = Scaling(
        *(np.array(fields["normalisation"][name], np.float64) for name in ("mean", "deviation"))
    )
    return fields, {"labels": _names(folder), "scaling": scaling}


def _channels(said: Mapping[str, Any], name: str, n: int) -> list[float]:
    """A number for each of n channels; transformers' 0.5 where none is said."""
    value = said.get(name, 0.5)
    values = [value] * n if isinstance(value, int | float) else value
    if (
        not isinstance(values, list)
        or len(values) != n
        or not all(isinstance(each, int | float) for each in values)
    ):
        raise DataError(
            f"{PREPROCESSOR_FILE}: {name} must be a number for each of the {n} channels, got {value!r}"
        )
    return [float(each) for each in values]


def _fit(said: Mapping[str, Any], sides: tuple[int, int], say: Callable[[str], None]) -> str:
    """How an image comes to the model's height and width. Raises: DataError for another size."""
    size = said.get("size", {"height": 224, "width": 224})
    if isinstance(size, Mapping) and "shortest_edge" in size:
        crop = said.get("crop_size", size["shortest_edge"])
        crop = (crop.get("height"), crop.get("width")) if isinstance(crop, Mapping) else (crop, crop)
        if crop != sides:
            raise DataError(f"{PREPROCESSOR_FILE}: images are cut to {crop}, but the model reads {sides}")
        if size["shortest_edge"] != min(sides):
            say(
                f"{PREPROCESSOR_FILE}: images are scaled to {size['shortest_edge']} before {min(sides)} are cut out; "
                f"here to {min(sides)}, so that no margin is lost"
            )
        return "cut"
    height, width = (size.get("height"), size.get("width")) if isinstance(size, Mapping) else (size, size)
    if (height, width) != sides:
        raise DataError(f"{PREPROCESSOR_FILE}: images become {height} × {width}, but the model reads {sides}")
    return "stretch"


def _waveforms(folder: Folder) -> Found:
    """How recordings become what the model hears, by preprocessor_config.json; its blank must be the letters'."""
    said, blank = folder.settings(PREPROCESSOR_FILE), folder.spec.head.blank
    if said.get("feature_size", 1) != 1:
        raise DataError(
            f"{PREPROCESSOR_FILE}: feature_size {said['feature_size']} is no waveform's, which is 1"
        )
    if folder.tokenizer is not None and folder.tokenizer.pad != blank:
        raise DataError(f"the letters' padding is {folder.tokenizer.pad}, but the model's blank is {blank}")
    sound = {"sample_rate": said.get("sampling_rate", 16000), "normalize": said.get("do_normalize", True)}
    return {"sound": sound}, {}


def _spectrograms(folder: Folder) -> Found:
    """How recordings become what the model hears, by preprocessor_config.json, and the ids around a text."""
    said, slot = folder.settings(PREPROCESSOR_FILE), folder.spec.source
    ids: Any = getattr(folder.generation, "ids", None)
    if ids is None:
        raise DataError(f"{folder.path}: how it writes is not said, and so not what begins and ends a text")
    for key, is_so in (("feature_size", slot.n_mels), ("nb_max_frames", slot.n_frames)):
        if said.get(key, is_so) != is_so:
            raise DataError(f"{PREPROCESSOR_FILE}: {key} is {said[key]}, but the model hears {is_so}")
    for key in ("do_normalize", "padding_value", "dither"):
        if said.get(key):
            raise DataError(f"{PREPROCESSOR_FILE}: {key} {said[key]} is none of what our tasks do to a sound")
    sound = {
        "sample_rate": said.get("sampling_rate", 16000),
        "window": said.get("n_fft", 400),
        "hop": said.get("hop_length", 160),
    }
    if not ids.first:
        folder.say(
            f"{folder.path}: no language and task is said with which an output begins; the model is left to guess "
            "them, where generation.ids.first=[...] would say them"
        )
    return {"sound": sound, "ids": dump(ids)}, {}


def _series(folder: Folder) -> Found:
    """Variables as they come, so many as the config says: a model that scales each series does it itself."""
    n = folder.config.get("num_input_channels", 1)
    return {"instance_norm": False}, {"scaling": Scaling(np.zeros(n), np.ones(n))}


def _names(folder: Folder) -> Labels:
    """The classes by id2label; transformers' names for them where it has not as many.

    Raises: DataError where two have one name.
    """
    n, given = folder.spec.head.n_classes, folder.config.get("id2label")
    names = [f"LABEL_{number}" for number in range(n)]
    if isinstance(given, Mapping):
        named = {int(number): str(name) for number, name in given.items() if str(number).isdecimal()}
        if sorted(named) == list(range(n)):
            names = [named[number] for number in range(n)]
        else:
            folder.say(
                f"{folder.path}: id2label does not name the {n} classes, which are called {names[0]}, ..."
            )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"id2label has the name {twice!r} twice")
    return Labels(names)


_MAKERS: dict[str, Callable[[Folder], Found]] = {
    "text_classification": _classes,
    "tagging": _labels,
    "image_classification": _images,
    "speech_recognition": _waveforms,
    "transcription": _spectrograms,
    "forecasting": _series,
}
