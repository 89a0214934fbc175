"""A trained run in use: generate and evaluate."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry import Problem, SpecError, dump, suggest
from zoo.assembly.build import build
from zoo.data.bad_lines import BadLines
from zoo.data.corpus import referenced
from zoo.data.lines import read_pairs
from zoo.errors import DataError, RunError
from zoo.generation.translate import Output, Progress, one_line
from zoo.kinds import CORPUS, TASK, Corpus
from zoo.progress import Bar
from zoo.run.folder import require, run_in
from zoo.run.spec import RunSpec
from zoo.storage import files
from zoo.storage.hashing import sha256_of_text
from zoo.storage.selection import load_weights, weights_folder
from zoo.training.randomness import untouched

HYPOTHESES, RESULTS = ("hypotheses", ".txt"), ("results", ".json")
"""Stem and ending of the files of an evaluation; what stands between says on which data, nothing for the test set."""
N_SAMPLES = 5
MAX_CHARACTERS = 100_000
"""Longest line of a file to evaluate on."""


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
        if isinstance(folder, RunSpec):
            raise ValueError("a trained run is a folder, such as zoo.train(run) gives back, not its spec")
        self.folder = Path(folder)
        self.run = run_in(self.folder, *overrides)
        require(self.run, "task", "generation", why="use its model")
        for text in overrides:
            if not text.startswith(("generation.", "generation=", "task.")):
                message = f"override '{text}': the model is trained; only generation and task may change"
                raise SpecError([Problem("", message)])
        self.task: Any = TASK.build(self.run.task)  # type: ignore[arg-type]
        if not hasattr(self.task, "translate"):
            raise SpecError([Problem("task", f"{self.run.task.type} is no task of translating text")])  # type: ignore[union-attr]
        self.checkpoint = weights_folder(self.folder, checkpoint).name
        wants_cpu = self.run.training is not None and self.run.training.accelerator == "cpu"
        self.device = _device("cpu" if device == "auto" and wants_cpu else device)
        with untouched():
            self.model: nn.Module = build(self.run.model)
        self.model.load_state_dict(load_weights(self.folder, checkpoint))
        self.model.to(self.device).eval()

    def translate(self, lines: Iterable[str], *, progress: Progress | None = None) -> Iterator[list[Output]]:
        """For each line, in order, its translations, best first; progress is called as lines are done.

        A line that the model cannot take gives one empty Output whose `refusal` says why.
        """
        translations: Iterator[list[Output]] = self.task.translate(
            self.model, lines, decoding=self.run.generation, folder=self.folder, progress=progress
        )
        return translations


def generate(
    folder: str | Path,
    lines: Iterable[str],
    *overrides: str,
    checkpoint: str | int = "result",
    device: str = "auto",
) -> list[str]:
    """The best translation of each line by a run's trained model, "" for a line that it cannot take.

    The rest as for TrainedRun.
    """
    if isinstance(lines, str | bytes):
        raise ValueError("lines are several: write generate(folder, ['...']), also for one line of text")
    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    return [outputs[0].text for outputs in trained.translate(lines)]


def evaluate(
    folder: str | Path,
    *overrides: str,
    split: str | None = None,
    data: Sequence[str | Path] | None = None,
    checkpoint: str | int = "result",
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Translates and scores a split of the run's corpus, or `data`: a source file and one or more reference files.

    Without either the split is `test`, or `dev` of a corpus without one. What is returned are the scores that
    `task.metric` asks for, each with its signature, what was translated and left out, which sources the model
    cannot take (`refused`: where and why), with which checkpoint, decoding and overrides, the time it took, and a
    few samples. It is written to the run folder, and the translations beside it: to results.json and hypotheses.txt
    for the test set, to results.dev.json and hypotheses.dev.txt for `dev`, to files of a name of their own for any
    other data. What cannot be written is only named, in `not_written`: the scores are not lost.
    progress shows how far it is on standard error.
    Raises: as TrainedRun; DataError for data that is not there or bad, or where a score needs what is not installed.
    """
    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    bad_lines = BadLines(trained.task.bad_lines)
    given = (
        _split(trained, split, bad_lines)
        if data is None
        else _files([Path(path) for path in data], bad_lines)
    )
    numbered = [(row, bad_lines.line) for row in given.rows]
    started = time.monotonic()
    with Bar(is_shown=progress) as bar:
        evaluation = trained.task.evaluate(
            trained.model,
            [row for row, _ in numbered],
            decoding=trained.run.generation,
            folder=trained.folder,
            progress=partial(bar, "translating"),
        )
    seconds = time.monotonic() - started
    scores = evaluation.scores
    refused = [
        {"where": _place(given.where, numbered[number][1], number), "why": why}
        for number, why in evaluation.refusals.items()
    ]
    results = {
        **scores.values,
        "sacrebleu": scores.sacrebleu,
        "n_sentences": scores.n_sentences,
        **{f"{name}_signature": signature for name, signature in scores.signatures.items()},
        "data": given.about,
        "left_out": dict(bad_lines.counts),
        "refused": refused,
        "checkpoint": trained.checkpoint,
        "generation": dump(trained.run.generation),  # type: ignore[arg-type]
        "overrides": list(overrides),
        "device": str(trained.device),
        "seconds": round(seconds, 3),
        "samples": _samples(
            evaluation.sources, evaluation.hypotheses, [texts[0] for texts in evaluation.references]
        ),
    }
    written = {
        HYPOTHESES: "".join(f"{text}\n" for text in evaluation.hypotheses),
        RESULTS: json.dumps(results, indent=1, ensure_ascii=False) + "\n",
    }
    not_written = [
        refusal
        for (stem, suffix), text in written.items()
        if (refusal := _refusal_to_write(trained.folder / f"{stem}{given.label}{suffix}", text))
    ]
    return {**results, "not_written": not_written} if not_written else results


def kept_results(folder: str | Path) -> dict[str, Any] | None:
    """What `evaluate(folder)` has found before, if it would find the same now; else None.

    The same it is of the checkpoint that is the result, the data, and the search and scores that the run's spec names.
    Raises: RunError where the folder holds no such run.
    """
    folder = Path(folder)
    run = run_in(folder)
    require(run, "task", "generation", why="use its model")
    split = _usual_split(CORPUS.build(run.task.data))  # type: ignore[union-attr]
    label = _label_of_own(split)
    expected = {
        "data": {"split": split},
        "checkpoint": weights_folder(folder).name,
        "generation": json.loads(json.dumps(dump(run.generation))),  # type: ignore[arg-type]
        "overrides": [],
    }
    try:
        results = json.loads((folder / label.join(RESULTS)).read_text(encoding="utf-8"))
        is_same = all(results.get(key) == value for key, value in expected.items())
    except (OSError, ValueError, AttributeError):  # AttributeError: no mapping
        return None
    return results if is_same and (folder / label.join(HYPOTHESES)).is_file() else None


@dataclass(frozen=True)
class _DataSet:
    """What is translated and scored."""

    rows: Iterator[tuple[str, ...]]
    """A source and its references."""
    where: str
    """What the source is called in messages: its file."""
    about: dict[str, Any]
    """What results say of it."""
    label: str
    """What its files in the run folder have in their names, and those of no other data."""


def _split(trained: TrainedRun, split: str | None, bad_lines: BadLines) -> _DataSet:
    """A split of the run's corpus, or of the one that an override puts in its place."""
    corpus: Corpus = CORPUS.build(trained.task.data)
    split = split or _usual_split(corpus)
    if split not in corpus.splits():
        raise DataError(f"the data has no split '{split}'; {suggest(split, corpus.splits(), listed=True)}")
    own, used = (dump(run.task)["data"] for run in (run_in(trained.folder), trained.run))  # type: ignore[arg-type]
    label = _label(split, used) if used != own else _label_of_own(split)
    return _DataSet(
        referenced(corpus, split, bad_lines=bad_lines), corpus.where(split), {"split": split}, label
    )


def _usual_split(corpus: Corpus) -> str:
    return "test" if "test" in corpus.splits() else "dev"


def _files(paths: Sequence[Path], bad_lines: BadLines) -> _DataSet:
    """A source file and its reference files."""
    if len(paths) < 2:
        raise DataError("data needs a source file and one or more reference files")
    rows = read_pairs(*paths, max_characters=MAX_CHARACTERS, bad_lines=bad_lines)
    source, reference, *further = map(str, paths)
    about: dict[str, Any] = {"source": source, "reference": reference}
    if further:
        about["further_references"] = further
    label = _label(paths[0].name.removesuffix(".gz"), [str(path.resolve()) for path in paths])
    return _DataSet(rows, source, about, label)


def _label(name: str, *what: object) -> str:
    """What stands between stem and ending of a file's name: `.name`, and a hash of what else tells data apart."""
    digest = f"-{sha256_of_text(repr(what))[:7]}" if what else ""
    return f".{re.sub('[^A-Za-z0-9._-]', '_', name)[:60]}{digest}"


def _label_of_own(split: str) -> str:
    return "" if split == "test" else _label(split)


def _place(where: str, line: int, number: int) -> str:
    """Where a pair stands: its line, or in a corpus without lines its number, from 1."""
    return f"{where}:{line}" if line else f"{where}, pair {number + 1}"


def _samples(*columns: Sequence[str]) -> list[dict[str, str]]:
    """A few of the sentences, evenly spread."""
    rows = list(zip(*columns, strict=True))
    n = min(N_SAMPLES, len(rows))
    chosen = [rows[i * len(rows) // n] for i in range(n)]
    names = ("source", "hypothesis", "reference")
    return [dict(zip(names, map(one_line, row), strict=True)) for row in chosen]


def _refusal_to_write(path: Path, text: str) -> str | None:
    """Writes a file; what is wrong if that cannot be done."""
    try:
        files.write_text(path, text)
    except RunError as error:
        return str(error)
    return None


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
