"""A model applied to any rows, an endless stream of them too: read, batched by length, answered, put back in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice
from typing import Any

from torch import nn

from registry import Spec
from zoo.data.collate import length_batches
from zoo.data.store import Example
from zoo.kinds import Metric, Row
from zoo.tasks.task import Refusal, Task, random_of

Progress = Callable[[int, int | None], None]
"""Called with how many rows are done, and of how many where that is known."""

Cuts = Callable[[Sequence[int]], None]
"""Called with how many tokens of each of some rows the model is not given."""

BATCH_TOKENS = 2048
CHUNK_ROWS = 16384


def answers(
    task: Task,
    model: nn.Module,
    rows: Iterable[Row | Refusal],
    *,
    decoding: Spec | None,
    batch_tokens: int = BATCH_TOKENS,
    chunk_rows: int = CHUNK_ROWS,
    progress: Progress | None = None,
    metric: Metric | None = None,
    cuts: Cuts | None = None,
) -> Iterator[Any]:
    """Yields the answer for each row, in order; for one that the model cannot take, or that came as one, a Refusal.

    Of a task whose rows vary, each does as in a validation, by its number among those that the model can take.
    Rows are taken `chunk_rows` at a time, so an endless input is answered as it comes; within a chunk those of like
    length share a batch of at most batch_tokens tokens, padding included (a longer row is a batch of its own). What a
    row gives depends neither on its batch nor on its chunk, but for the rounding of floating-point sums.
    progress is called whenever rows are done, which within a chunk are the longest first. A metric is given all
    answers, those refused included, as soon as a chunk is done. cuts is called
    for each chunk before its answers come.
    """
    remaining = iter(rows)
    total = len(rows) if isinstance(rows, Sequence) else None
    n_before = n_good = 0
    while chunk := list(islice(remaining, chunk_rows)):

        def done(n_done: int, n_before: int = n_before) -> None:
            if progress is not None:
                progress(n_before + n_done, total)

        whole = _read(task, model, chunk)
        if cuts is not None:
            cuts([0 if isinstance(each, Refusal) else task.n_cut(each) for each in whole])
        examples = _varied(task, whole, n_good)
        n_good += sum(not isinstance(each, Refusal) for each in examples)
        yield from _chunk(task, model, chunk, examples, decoding, batch_tokens, done, metric)
        n_before += len(chunk)


def _read(task: Task, model: nn.Module, rows: list[Row | Refusal]) -> list[Example | Refusal]:
    """The example of each row."""
    read = iter(task.read([row for row in rows if not isinstance(row, Refusal)], model))
    return [row if isinstance(row, Refusal) else next(read) for row in rows]


def _varied(task: Task, examples: list[Example | Refusal], n_before: int) -> list[Example | Refusal]:
    """Examples as they are answered; n_before of the rows before them were taken."""
    numbers = count(n_before)
    return [
        each
        if isinstance(each, Refusal) or not task.varies
        else task.vary(each, random_of(0, 0, next(numbers)), is_training=False)
        for each in examples
    ]


def _chunk(
    task: Task,
    model: nn.Module,
    rows: list[Row | Refusal],
    examples: list[Example | Refusal],
    decoding: Spec | None,
    batch_tokens: int,
    done: Callable[[int], None],
    metric: Metric | None,
) -> list[Any]:
    device = next(model.parameters()).device
    found: list[Any] = list(examples)
    # What is left out has length 0; a row of nothing has an answer too.
    lengths = [0 if isinstance(each, Refusal) else max(1, task.length(each)) for each in examples]
    n_done = lengths.count(0)
    done(n_done)
    for batch in length_batches(lengths, batch_tokens):
        some = [each for i in batch if not isinstance(each := examples[i], Refusal)]
        for i, answer in zip(
            batch, task.predict(model, task.collate(some).to(device), decoding=decoding), strict=True
        ):
            found[i] = answer
        n_done += len(batch)
        done(n_done)
    if metric is not None:
        _count_in(metric, task, rows, examples, found)
    return found


def _count_in(
    metric: Metric, task: Task, rows: list[Row | Refusal], examples: list[Example | Refusal], found: list[Any]
) -> None:
    """Adds a chunk's answers to the metric; what a refused row was to be compared with, its task says."""
    pairs = [
        (answer, task.compared(row) if isinstance(example, Refusal) else example)
        for row, example, answer in zip(rows, examples, found, strict=True)
        if not isinstance(row, Refusal)
    ]
    metric.update([answer for answer, _ in pairs], [example for _, example in pairs])
