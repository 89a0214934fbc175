"""What every task with a tokenizer does: learns it from the training rows, and holds one that is found to the spec."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import cast

from registry import Spec
from zoo.data.coder import Coder
from zoo.data.tokenizer import Tokenizer
from zoo.errors import RunError
from zoo.kinds import TOKENIZER, Row
from zoo.progress import Report, counted
from zoo.tasks.task import Rows


def learn_tokenizer(
    spec: Spec,
    rows: Rows,
    texts_of: Callable[[Row], Iterable[str]],
    *,
    vocab_size: int,
    n_rows: int,
    report: Report | None,
) -> Tokenizer:
    """The tokenizer that a spec describes, learnt from the texts of the rows. Raises: DataError."""

    def texts() -> Iterator[str]:
        for row in counted(rows(), report, "reading text for the tokenizer", n_rows):
            yield from texts_of(row)
        if report is not None:
            report("training the tokenizer", 0, None)

    tokenizer: Tokenizer = TOKENIZER.build(spec).train(texts(), vocab_size=vocab_size)
    return tokenizer


def check_tokenizer(
    folder: Path, name: str, coder: Coder, spec: Spec, vocab_size: int, *, side: str = "source"
) -> None:
    """Raises: RunError for a coder, found in a run folder under that name, that is not the tokenizer of the spec, or
    has more ids on its side than the model has room for."""
    record = folder / f"{name}.json"
    if coder.type != spec.type:
        raise RunError(f"{record}: holds a {coder.type} tokenizer; the spec asks for {spec.type}")
    n_ids = cast(Tokenizer, coder).for_side(side).vocab_size
    if n_ids > vocab_size:
        raise RunError(f"{record}: holds {n_ids} ids; the model has room for {vocab_size}")
