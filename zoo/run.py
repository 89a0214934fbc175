"""RunSpec, a whole run as one spec, and what is done with it: load, train, resume, evaluate, generate."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import nn

import presets
from registry import Problem, Spec, SpecError, check_part, dump, load_plugin, parse, suggest
from zoo.assembly.build import build
from zoo.assembly.build import n_parameters as count
from zoo.data.bad_lines import BadLines
from zoo.data.corpus import Corpus
from zoo.data.lines import read_pairs
from zoo.errors import DataError, RunError
from zoo.generation.max_length import LengthLimit
from zoo.generation.translate import Output
from zoo.kinds import CORPUS, DECODING, MODEL, TASK
from zoo.training import files
from zoo.training.randomness import untouched
from zoo.training.selection import load_weights, weights_folder
from zoo.training.spec import TrainingSpec

RUNS_FOLDER = Path("runs")
SPEC_FILE = "spec.yaml"
HYPOTHESES_FILE = "hypotheses.txt"
RESULTS_FILE = "results.json"
N_SAMPLES = 5
MAX_CHARACTERS = 100_000
"""Longest line of a file to evaluate on."""

_FOLDER_VARIABLE = "ZOO_RUN_FOLDER"


class RunSpec(Spec):
    """A model, and as far as it is to be trained and used: its task, its training, its decoding."""

    model: Annotated[Spec, MODEL]
    """The architecture."""
    task: Annotated[Spec | None, TASK] = None
    """What is learnt, from which data; training needs it."""
    training: TrainingSpec | None = None
    """How it is learnt; training needs it."""
    generation: Annotated[Spec | None, DECODING] = None
    """How output is searched for; training needs it, for the scores, and so does whoever uses the model."""

    def problems(self, path: str) -> list[Problem]:
        """What is wrong with each part, and with the parts together."""
        prefix = f"{path}." if path else ""
        found = self.model.problems(f"{prefix}model")
        if self.task is not None:
            found += [
                *check_part(self.task, f"{prefix}task", model=self.model),
                *self.task.problems(f"{prefix}task"),
            ]
        if self.training is not None:
            found += self.training.problems(f"{prefix}training")
        if self.generation is not None:
            found += check_part(self.generation, f"{prefix}generation")
            found += self.generation.problems(f"{prefix}generation")
            if not hasattr(MODEL.entry(self.model.type).builder, "decode"):  # type: ignore[attr-defined]
                message = f"a model of type {self.model.type} has no decoder to search with; remove this"  # type: ignore[attr-defined]
                found.append(Problem(f"{prefix}generation", message))
        return found + self._short_positions(prefix)

    def _short_positions(self, prefix: str) -> list[Problem]:
        """Positions that end before the text does, which training would meet at its first long sentence."""
        longest_input: int = getattr(self.task, "max_length", 0)
        rule: int | str | None = getattr(self.generation, "max_length", None)
        longest_output = 0 if not longest_input or rule is None else LengthLimit(rule)(longest_input - 1) + 1
        found = []
        for path, part in _parts(self.model, f"{prefix}model"):
            is_read_only = path.startswith(f"{prefix}model.encoder.")
            needed = longest_input if is_read_only else max(longest_input, longest_output)
            max_len: int = getattr(part, "max_len", None) or needed
            if max_len < needed:
                limits = (
                    "task.max_length"
                    if needed == longest_input
                    else "task.max_length and generation.max_length"
                )
                found.append(
                    Problem(path, f"max_len ({max_len}) must be at least {needed}, for {limits} allow it")
                )
        return found


def load(
    source: str | Path | Mapping[str, Any],
    *overrides: str,
    scale: str | None = None,
    plugins: Sequence[str | Path] = (),
) -> RunSpec:
    """Reads a preset (by name), a YAML file, a run folder or a mapping; overrides are `dotted.key=VALUE`.

    scale is one of the document's `scales`; plugins are Python files that register components, executed here.
    Raises: PresetError, SpecError and PluginError, all ValueErrors; the second names every mistake at once.
    """
    document = presets.read(source, overrides=overrides, scale=scale)
    for plugin in plugins:
        load_plugin(plugin)
    return from_document(document)


def from_document(document: presets.Document) -> RunSpec:
    """The run's spec that a document holds. Raises: SpecError, its mistakes named by file and line."""
    return parse(RunSpec, document.data, locate=document.locate)


def to_yaml(run: RunSpec) -> str:
    """A run's spec as YAML, every default written out; `load` reads it back to an equal spec."""
    return presets.to_yaml({key: value for key, value in dump(run).items() if value is not None})


def n_parameters(model: Spec) -> int:
    """The number of a model's parameters, tied ones once, found without allocating them."""
    return count(build(model, device="meta"))


def _parts(spec: Spec, path: str) -> Iterator[tuple[str, Spec]]:
    """The specs within a spec, each with its path."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        items = {f".{i}": item for i, item in enumerate(value)} if isinstance(value, tuple) else {"": value}
        for index, item in items.items():
            if isinstance(item, Spec):
                yield f"{path}.{name}{index}", item
                yield from _parts(item, f"{path}.{name}{index}")


# Training


def train(run: RunSpec, out: str | Path | None = None, *, name: str = "run", progress: bool = True) -> Path:
    """Trains a run in a folder of its own and returns that: `out`, or a new `runs/<name>-<hash>-<number>`.

    Raises: SpecError for a spec without task, training or generation, or a device that is not there;
        DataError; RunError for a folder in use; DivergedError; PreemptedError and KeyboardInterrupt, both
        after saving.
    """
    _require(run, "task", "training", "generation", why="train it")
    return _fit(run, _folder(run, name) if out is None else Path(out), is_resumed=False, progress=progress)


def resume(folder: str | Path, *overrides: str, progress: bool = True) -> Path:
    """Goes on with a run from its newest checkpoint, from the start if there is none yet; returns the folder.

    overrides may change what does not touch what is learnt, such as training.max_steps.
    Raises: as `train`.
    """
    run = _run_in(Path(folder), *overrides)
    _require(run, "task", "training", "generation", why="train it")
    return _fit(run, Path(folder), is_resumed=True, progress=progress)


def is_first_process() -> bool:
    """False in the further processes of a training on several devices, which run the same command."""
    return all(os.environ.get(variable, "0") == "0" for variable in ("RANK", "LOCAL_RANK"))


def _fit(run: RunSpec, folder: Path, *, is_resumed: bool, progress: bool) -> Path:
    from zoo.training.fit import fit  # the way to lightning, whose import takes longer than torch's

    if progress and is_first_process():
        print(f"run: {folder} (after an interruption: zoo resume {folder})", file=sys.stderr, flush=True)
    fit(run, folder, resume=is_resumed, progress=progress)  # type: ignore[arg-type]
    return folder


def _folder(run: RunSpec, name: str) -> Path:
    """A folder that nobody else has made: the hash is the spec's, the number the first one free."""
    if not is_first_process():
        if _FOLDER_VARIABLE not in os.environ:
            raise RunError(
                "processes started one by one do not know each other's run folder: say which (--out)"
            )
        return Path(os.environ[_FOLDER_VARIABLE])
    digest = hashlib.sha256(json.dumps(dump(run), sort_keys=True).encode()).hexdigest()[:7]
    try:
        RUNS_FOLDER.mkdir(exist_ok=True)
        folder = next(filter(_is_made, (RUNS_FOLDER / f"{name}-{digest}-{n}" for n in itertools.count(1))))
    except OSError as error:
        raise RunError(f"{RUNS_FOLDER}: no run folder can be made in it: {error.strerror}") from error
    os.environ[_FOLDER_VARIABLE] = str(folder)  # for the processes that this one starts
    return folder


def _is_made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


# Using a trained model


class TrainedRun:
    """A run's trained model on a device, and what its task can do with it."""

    def __init__(
        self, folder: str | Path, *overrides: str, checkpoint: str | int = "result", device: str = "auto"
    ) -> None:
        """checkpoint is result (the average if there is one, else the best), best, last, average or a step.

        overrides may change how is decoded (`generation.`) and what data is read (`task.`), not the model.
        device auto is a GPU where there is one, unless the spec trains on the CPU.
        Raises: RunError where the folder holds no such run, or a file of it is damaged; SpecError.
        """
        self.folder = Path(folder)
        self.run = _run_in(self.folder, *overrides)
        _require(self.run, "task", "generation", why="use its model")
        for text in overrides:
            if not text.startswith(("generation.", "task.")):
                message = f"override '{text}': the model is trained; only generation and task may change"
                raise SpecError([Problem("", message)])
        self.task: Any = TASK.build(self.run.task)  # type: ignore[arg-type]
        if not hasattr(self.task, "translate"):
            raise SpecError([Problem("task", f"{self.run.task.type} is no task of translating text")])  # type: ignore[union-attr]
        step_or_name = int(checkpoint) if str(checkpoint).isdecimal() else checkpoint
        self.checkpoint = weights_folder(self.folder, step_or_name).name
        wants_cpu = self.run.training is not None and self.run.training.accelerator == "cpu"
        self.device = _device("cpu" if device == "auto" and wants_cpu else device)
        with untouched():
            self.model: nn.Module = build(self.run.model)
        self.model.load_state_dict(load_weights(self.folder, step_or_name))
        self.model.to(self.device).eval()

    def translate(self, lines: Iterable[str]) -> Iterator[list[Output]]:
        """For each line, in order, its translations, best first."""
        translations: Iterator[list[Output]] = self.task.translate(
            self.model, lines, decoding=self.run.generation, folder=self.folder
        )
        return translations


def generate(
    folder: str | Path,
    lines: Iterable[str],
    *overrides: str,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> list[str]:
    """The best translation of each line by a run's trained model; the rest as for TrainedRun."""
    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    return [outputs[0].text for outputs in trained.translate(lines)]


def evaluate(
    folder: str | Path,
    *overrides: str,
    split: str | None = None,
    data: tuple[str | Path, str | Path] | None = None,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> dict[str, Any]:
    """Translates and scores a split of the run's corpus, or `data`: a source file and a reference file.

    Without either the split is `test`, or `dev` of a corpus without one. The translations are written to
    hypotheses.txt in the run folder, what is returned to results.json: bleu and chrf, each with its
    signature, what was translated and left out, with which checkpoint and decoding, the time it took, and a
    few samples.
    Raises: as TrainedRun; DataError for data that is not there or bad.
    """
    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    bad_lines = BadLines(trained.task.bad_lines)
    if data is not None:
        source, reference = Path(data[0]), Path(data[1])
        pairs = read_pairs(source, reference, max_characters=MAX_CHARACTERS, bad_lines=bad_lines)
        about = {"source": str(source), "reference": str(reference)}
    else:
        corpus: Corpus = CORPUS.build(trained.task.data)
        split = split or ("test" if "test" in corpus.splits() else "dev")
        if split not in corpus.splits():
            raise DataError(
                f"the data has no split '{split}'; {suggest(split, corpus.splits(), listed=True)}"
            )
        pairs = corpus.pairs(split, bad_lines=bad_lines)
        about = {"split": split}
    started = time.monotonic()
    evaluation = trained.task.evaluate(
        trained.model, pairs, decoding=trained.run.generation, folder=trained.folder
    )
    seconds = time.monotonic() - started
    scores = dict(evaluation.scores)
    signatures = scores.pop("signatures")
    results = {
        **scores,
        **{f"{name}_signature": signature for name, signature in signatures.items()},
        "data": about,
        "left_out": dict(bad_lines.counts),
        "checkpoint": trained.checkpoint,
        "generation": dump(trained.run.generation),  # type: ignore[arg-type]
        "device": str(trained.device),
        "seconds": round(seconds, 3),
        "samples": _samples(evaluation.sources, evaluation.hypotheses, evaluation.references),
    }
    _write(trained.folder / HYPOTHESES_FILE, "".join(f"{text}\n" for text in evaluation.hypotheses))
    _write(trained.folder / RESULTS_FILE, json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    return results


def _samples(*columns: Sequence[str]) -> list[dict[str, str]]:
    """A few of the sentences, evenly spread."""
    rows = list(zip(*columns, strict=True))
    chosen = [rows[i * len(rows) // N_SAMPLES] for i in range(min(N_SAMPLES, len(rows)))]
    return [dict(zip(("source", "hypothesis", "reference"), row, strict=True)) for row in chosen]


def _write(path: Path, text: str) -> None:
    try:
        files.write_text(path, text)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


# Helpers


def _run_in(folder: Path, *overrides: str) -> RunSpec:
    """The spec of a run folder, which must be one: a preset's name is none."""
    file = folder / SPEC_FILE
    if not file.is_file():
        raise RunError(f"{folder}: no run lies here: there is no {SPEC_FILE}")
    return load(file, *overrides)


def _require(run: RunSpec, *keys: str, why: str) -> None:
    missing = [key for key in keys if getattr(run, key) is None]
    if missing:
        raise SpecError(
            [Problem(key, f"missing key; a spec may go without it, but not to {why}") for key in missing]
        )


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch was built without it
        reason = str(error).partition("\n")[0]
        raise SpecError(
            [Problem("device", f"'{name}' cannot be used here ({reason}); choose auto or cpu")]
        ) from None
    return device
