"""A trained run in use: generate and evaluate."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from registry import Problem, SpecError, dump, suggest
from zoo.assembly.build import build
from zoo.data.bad_lines import BadLines
from zoo.data.corpus import Corpus
from zoo.data.lines import read_pairs
from zoo.errors import DataError, RunError
from zoo.generation.translate import Output
from zoo.kinds import CORPUS, TASK
from zoo.run.folder import require, run_in
from zoo.run.spec import RunSpec
from zoo.training import files
from zoo.training.randomness import untouched
from zoo.training.selection import load_weights, weights_folder

HYPOTHESES_FILE = "hypotheses.txt"
RESULTS_FILE = "results.json"
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
    if isinstance(lines, str | bytes):
        raise ValueError("lines are several: write generate(folder, ['...']), also for one line of text")
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
