"""How good a trained run is: its scores on a split or on files, written into its folder."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from registry import Problem, Spec, SpecError, dump, suggest
from zoo.data.bad_lines import BadLines
from zoo.data.cache import place
from zoo.data.lines import read_pairs
from zoo.data.sacrebleu_sets import files_of_test_set, is_test_set
from zoo.errors import DataError, RunError
from zoo.kinds import CORPUS, TASK, Corpus, Row, Scores
from zoo.progress import Bar
from zoo.run.folder import require, run_in
from zoo.run.using import TrainedRun
from zoo.storage import files
from zoo.storage.hashing import sha256_of_text
from zoo.storage.selection import weights_folder
from zoo.tasks.prepared import measured_alone
from zoo.tasks.task import MAX_CHARACTERS, Refusal

HYPOTHESES, ANSWERS, RESULTS = ("hypotheses", ".txt"), ("answers", ".jsonl"), ("results", ".json")
"""Stem and ending of the files of an evaluation; what stands between says on which data, nothing for the test set."""
N_SAMPLES = 5
N_LOOKED_AT = 200  # rows that a task may look at, to warn of what cannot be scored


def evaluate(
    folder: str | Path,
    *overrides: str,
    split: str | None = None,
    data: Sequence[str | Path] | None = None,
    checkpoint: str | int = "result",
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Answers and scores a split of the run's corpus, or `data`: a source file and one or more reference files, or the
    name of a test set that sacrebleu knows and a pair of languages, such as `wmt14/full` and `en-de`.

    Without either the split is `test`, or `dev` of a corpus without one. What is returned are the scores that
    `task.metric` asks for, with what belongs to them (such as sacrebleu's signatures), what was answered and left out,
    which rows the model cannot take (`refused`: where and why), how many were longer than `cut_to` tokens and cut
    (`cut`), with which checkpoint, decoding and overrides, the time
    it took, and a few samples. A task without a metric is measured by its loss. It is written to the run folder, and
    the texts written beside it: to results.json and hypotheses.txt for the test set, to results.dev.json and
    hypotheses.dev.txt for `dev`, to files of a name of their own for any other data; answers that are no text to
    answers.jsonl. What cannot be written is only named, in `not_written`: the scores are not lost.
    progress shows how far it is on standard error.
    Raises: as TrainedRun; DataError for data that is not there or bad, or where a score needs what is not installed.
    """
    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    bad_lines = BadLines(trained.task.bad_lines)
    given = (
        _split(trained, split, bad_lines)
        if data is None
        else _files(trained, [Path(path) for path in data], bad_lines)
    )
    numbered = [
        (question, bad_lines.place or bad_lines.line)
        for row in given.rows
        for question in trained.task.questions(row)
    ]
    rows = [row for row, _ in numbered]
    if not rows:
        left = f"; left out: {dict(bad_lines.counts)}" if bad_lines.counts else ""
        raise DataError(f"{given.where}: no row to evaluate{left}")
    started = time.monotonic()
    with Bar(is_shown=progress) as bar:
        scores, answers, left_out, n_cut = _scored(trained, rows, bar)
    refused = [
        {"where": place(given.where, line, number), "why": answer.why}
        for number, ((_, line), answer) in enumerate(zip(numbered, answers, strict=False))
        if isinstance(answer, Refusal)
    ]
    results = {
        **scores.values,
        "titles": scores.titles,
        "n_rows": scores.n_rows,
        **scores.about,
        "data": given.about,
        "left_out": dict(bad_lines.counts + left_out),
        "refused": refused,
        "cut": n_cut,
        "cut_to": trained.task.cut_to,
        "checkpoint": trained.checkpoint,
        "generation": None if trained.run.generation is None else dump(trained.run.generation),
        "overrides": list(overrides),
        "device": str(trained.device),
        "seconds": round(time.monotonic() - started, 3),
        "samples": _samples(trained, rows, answers),
    }
    written = {}
    if answers and trained.task.writes_text:
        written[HYPOTHESES] = "".join(f"{_text(answer)}\n" for answer in answers)
    elif answers:
        written[ANSWERS] = "".join(
            f"{json.dumps(_plain(trained, answer), ensure_ascii=False)}\n" for answer in answers
        )
    # Last, so that results are found only where what they are of has been written, or cannot be.
    written[RESULTS] = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    not_written = [
        refusal
        for (stem, suffix), text in written.items()
        if (refusal := _refusal_to_write(trained.folder / f"{stem}{given.label}{suffix}", text))
    ]
    return {**results, "not_written": not_written} if not_written else results


def _scored(
    trained: TrainedRun, rows: Sequence[Row], bar: Bar
) -> tuple[Scores, list[Any], Counter[str], int]:
    """The scores of a task's metric, the answers, and how many rows were cut; of a task without a metric what its loss
    says, and no answers, but how many rows it says nothing of.
    """
    task, metric = trained.task, trained.task.metric()
    if metric is None:
        with torch.no_grad():
            validation, left_out = measured_alone(task, trained.model, rows, report=bar)
        titles = {name: name for name in validation.metrics}
        return Scores(dict(validation.metrics), len(rows) - left_out.total(), titles), [], left_out, 0
    task.look_at(iter(rows[:N_LOOKED_AT]))
    cuts: list[int] = []
    found = trained.answers(rows, progress=partial(bar, "answering"), metric=metric, cuts=cuts.extend)
    answers = list(found)
    return metric.scores(metric.report), answers, Counter(), sum(n > 0 for n in cuts)


def _text(answer: Any) -> str:
    return "" if isinstance(answer, Refusal) else answer[0].text


def _plain(trained: TrainedRun, answer: Any) -> dict[str, Any]:
    return {"refused": answer.why} if isinstance(answer, Refusal) else trained.task.written(answer)


def kept_results(folder: str | Path, *, split: str | None = None) -> dict[str, Any] | None:
    """What `evaluate(folder, split=split)` has found before, if it would find the same now; else None.

    The same it is of the checkpoint that is the result, the data, and the search and scores that the run's spec names.
    Raises: RunError where the folder holds no such run.
    """
    folder = Path(folder)
    run = run_in(folder)
    require(run, "task", "generation", why="use its model")
    split = split or _usual_split(CORPUS.build(run.task.data))  # type: ignore[union-attr]
    label = _label_of_own(split)
    expected: dict[str, Any] = {
        "data": {"split": split},
        "checkpoint": weights_folder(folder).name,
        "generation": None if run.generation is None else json.loads(json.dumps(dump(run.generation))),
        "overrides": [],
    }
    try:
        results = json.loads((folder / label.join(RESULTS)).read_text(encoding="utf-8"))
        is_same = all(results.get(key) == value for key, value in expected.items())
    except (OSError, ValueError, AttributeError):  # AttributeError: no mapping
        return None
    writes_text: bool = TASK.entry(run.task.type).builder.writes_text  # type: ignore[attr-defined, union-attr]
    has_texts = writes_text and bool(results.get("samples"))  # one that was measured by its loss has none
    is_whole = not has_texts or (folder / label.join(HYPOTHESES)).is_file()
    return results if is_same and is_whole else None


@dataclass(frozen=True)
class _DataSet:
    """What is answered and scored."""

    rows: Iterator[Row]
    where: str
    """What the data is called in messages: its file."""
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
    rows = corpus.rows(split, bad_lines=bad_lines)
    if trained.is_imported and used == own:
        rows = _or_where_data_is_said(rows, trained.task.data)
    return _DataSet(rows, corpus.where(split), {"split": split}, label)


def _or_where_data_is_said(rows: Iterator[Row], data: Spec) -> Iterator[Row]:
    """The rows. Raises: DataError that says by which key an imported model is told its data, where none is there."""
    try:
        yield from rows
    except DataError as error:
        if not isinstance(error.__context__, FileNotFoundError):
            raise
        key = next((name for name in ("path", "folder") if hasattr(data, name)), "test")
        text = (
            f"{error}; an imported model has no data of its own: say where yours is, as task.data.{key}=..."
        )
        raise DataError(text) from None


def _usual_split(corpus: Corpus) -> str:
    return "test" if "test" in corpus.splits() else "dev"


def _files(trained: TrainedRun, paths: Sequence[Path], bad_lines: BadLines) -> _DataSet:
    """A source file and its reference files, of a task that reads pairs."""
    reads = trained.run.task.reads  # type: ignore[union-attr]
    if set(reads) != {"source", "target"}:
        task: Any = trained.run.task
        message = f"{task.type} reads {', '.join(reads)}, no pairs of files; say task.data.test=... or task.data=..."
        raise SpecError([Problem("data", message)])
    if len(paths) < 2:
        raise DataError("data needs a source file and one or more reference files")
    paths = _of_test_set(paths) or paths
    pairs = read_pairs(*paths, max_characters=MAX_CHARACTERS, bad_lines=bad_lines)
    rows = ({"source": source, "target": target, "references": more} for source, target, *more in pairs)
    source, reference, *further = map(str, paths)
    about: dict[str, Any] = {"source": source, "reference": reference}
    if further:
        about["further_references"] = further
    label = _label(paths[0].name.removesuffix(".gz"), [str(path.resolve()) for path in paths])
    return _DataSet(rows, source, about, label)


def _of_test_set(paths: Sequence[Path]) -> list[Path]:
    """The files of a test set of sacrebleu, and those of further references; none where no set is named."""
    name, pair, *further = map(str, paths)
    if paths[0].exists() or not re.fullmatch(r"\w+-\w+", pair) or not is_test_set(name):
        return []
    return [*files_of_test_set(name, *pair.split("-")), *map(Path, further)]


def _label(name: str, *what: object) -> str:
    """What stands between stem and ending of a file's name: `.name`, and a hash of what else tells data apart."""
    digest = f"-{sha256_of_text(repr(what))[:7]}" if what else ""
    return f".{re.sub('[^A-Za-z0-9._-]', '_', name)[:60]}{digest}"


def _label_of_own(split: str) -> str:
    return "" if split == "test" else _label(split)


def _samples(trained: TrainedRun, rows: Sequence[Row], answers: Sequence[Any]) -> list[dict[str, Any]]:
    """A few of the rows with their answers, evenly spread."""
    pairs = list(zip(rows, answers, strict=False))
    n = min(N_SAMPLES, len(pairs))
    return [trained.task.sample(*pairs[i * len(pairs) // n]) for i in range(n)]


def _refusal_to_write(path: Path, text: str) -> str | None:
    """Writes a file; what is wrong if that cannot be done."""
    try:
        files.write_text(path, text)
    except RunError as error:
        return str(error)
    return None
