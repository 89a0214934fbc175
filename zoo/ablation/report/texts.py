"""What variants have written for the same rows, side by side, and tests between two corpora of outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from zoo.ablation.corpus_tests import CorpusTest, compare_corpora
from zoo.ablation.plan import Plan
from zoo.ablation.results import Results
from zoo.ablation.spec import BASE
from zoo.amounts import amount
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.generation.output import one_line
from zoo.kinds import CORPUS, METRIC, TASK, Row
from zoo.metrics.translation import TranslationMetric
from zoo.run.evaluating import HYPOTHESES

N_FIRST = 3
N_APART = 5
N_SHUFFLES = 1000


@dataclass(frozen=True)
class Example:
    """A row of the data and what each variant wrote for it."""

    number: int
    """From 1, of the rows of the split."""
    is_chosen: bool
    """Whether it is shown because outputs differ much, and not for its place."""
    given: Mapping[str, str]
    """The texts of the row, by field."""
    outputs: tuple[str, ...]
    """Of each variant, in the order of Texts.variants."""


@dataclass(frozen=True)
class Texts:
    """Outputs side by side, of one seed."""

    seed: int
    variants: tuple[str, ...]
    """Those that have outputs of this seed."""
    n_rows: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class SeedTest:
    """A variant's outputs against the base's, both of one seed."""

    variant: str
    seed: int
    result: CorpusTest


def side_by_side(plan: Plan, results: Results, folder: Path) -> Texts | str:
    """Outputs of the first seed that most variants have: the first rows, and those where variants differ most.

    A reason where there is nothing to show.
    """
    task: Any = plan.base.run.task
    if not TASK.entry(task.type).builder.writes_text:  # type: ignore[attr-defined]
        return "This task writes no text."
    written = _written(plan, results, folder)
    if not written:
        return "No training has left its outputs."
    seed = max(plan.spec.seeds, key=lambda each: len(written.get(each, ())))
    outputs = written[seed]
    try:
        rows = _rows(plan)
    except DataError as error:
        return f"The data cannot be read here: {error}"
    lengths = {len(rows), *map(len, outputs.values())}
    if len(lengths) > 1:
        return "Outputs and data have not the same number of rows, so that no output belongs to a row."
    picked = dict.fromkeys(range(min(N_FIRST, len(rows))), False)
    apart = sorted(range(len(rows)), key=lambda number: -_apart([each[number] for each in outputs.values()]))
    picked.update({number: True for number in apart[: N_APART + N_FIRST] if number not in picked})
    examples = [
        Example(number + 1, is_chosen, _given(rows[number]), tuple(each[number] for each in outputs.values()))
        for number, is_chosen in list(picked.items())[: N_FIRST + N_APART]
    ]
    return Texts(seed, tuple(outputs), len(rows), tuple(examples))


def output_tests(
    plan: Plan,
    results: Results,
    folder: Path,
    *,
    n_shuffles: int = N_SHUFFLES,
    progress: Callable[[int, int], None] = lambda done, n: None,
) -> Iterator[SeedTest]:
    """sacrebleu's approximate randomisation of every variant against the base for each seed of both, by each score of
    sacrebleu that the task reports; nothing of other tasks. Raises: DataError where the data is not there.
    """
    spec: Any = getattr(plan.base.run.task, "metric", None)
    metric = None if spec is None else METRIC.build(spec)
    written = _written(plan, results, folder)
    if not isinstance(metric, TranslationMetric) or not written:
        return
    rows = _rows(plan)
    references = [[one_line(text) for text in (row["target"], *row.get("references", ()))] for row in rows]
    streams = [[text or None for text in stream] for stream in zip_longest(*references)]
    streams[0] = [texts[0] for texts in references]
    todo = [
        (variant.name, seed, name)
        for variant in plan.variants[1:]
        for seed in plan.spec.seeds
        for name in metric.report
        if {BASE, variant.name} <= set(written.get(seed, ()))
        and len(written[seed][BASE]) == len(written[seed][variant.name]) == len(rows)
    ]
    for done, (variant, seed, name) in enumerate(todo, start=1):
        own, base = written[seed][variant], written[seed][BASE]
        result = compare_corpora(own, base, streams, metric.of_sacrebleu(name), n_samples=n_shuffles)
        progress(done, len(todo))
        yield SeedTest(variant, seed, result)


def outcomes(tests: Sequence[SeedTest], *, level: float = 0.05) -> dict[str, dict[str, str]]:
    """What the tests of a variant say by metric: with how many seeds its outputs score higher, or lower."""
    found: dict[str, dict[str, str]] = {}
    for variant in dict.fromkeys(each.variant for each in tests):
        own = [each.result for each in tests if each.variant == variant]
        for metric in dict.fromkeys(each.metric for each in own):
            results = [each for each in own if each.metric == metric]
            clear = [each.difference > 0 for each in results if each.p_value <= level]
            words = [
                f"{n} {word}" for n, word in ((sum(clear), "higher"), (clear.count(False), "lower")) if n
            ]
            told = f"{', '.join(words) or 'none apart'} of {amount(len(results), 'seed')}"
            found.setdefault(variant, {})[metric] = told
    return found


def _written(plan: Plan, results: Results, folder: Path) -> dict[int, dict[str, list[str]]]:
    """The lines that each variant wrote, by seed."""
    stem, suffix = HYPOTHESES
    split = scored_split(plan)
    found: dict[int, dict[str, list[str]]] = {}
    for each in results.trials:
        file = folder / each.run / f"{stem}{'' if split == 'test' else f'.{split}'}{suffix}"
        if each.status == "done" and file.is_file():
            lines = file.read_text(encoding="utf-8").split("\n")[:-1]
            found.setdefault(each.seed, {})[each.variant] = lines
    return found


def _rows(plan: Plan) -> list[Row]:
    task: Any = plan.base.run.task
    corpus: Any = CORPUS.build(task.data)
    return list(corpus.rows(scored_split(plan), bad_lines=BadLines(task.bad_lines)))


def scored_split(plan: Plan) -> str:
    """What variants are scored on: as the ablation says, else the test set, where there is one."""
    if plan.spec.split is not None:
        return plan.spec.split
    corpus: Any = CORPUS.build(plan.base.run.task.data)  # type: ignore[union-attr]
    return "test" if "test" in corpus.splits() else "dev"


def _given(row: Row) -> dict[str, str]:
    """The texts of a row; of several for one field, such as further references, each on its own."""
    found = {}
    for name, value in row.items():
        texts = [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []
        for i, text in enumerate(texts):
            if isinstance(text, str):
                found[name if isinstance(value, str) else f"{name} {i + 1}"] = one_line(text)
    return found


def _apart(outputs: Sequence[str]) -> float:
    """How far outputs are from the first one: the mean share of words that are not in both, 0 to 1."""
    first, *others = (Counter(each.split()) for each in outputs)
    shares = []
    for other in others:
        n = first.total() + other.total()
        shares.append(1 - 2 * (first & other).total() / n if n else 0.0)
    return sum(shares) / len(shares) if shares else 0.0
