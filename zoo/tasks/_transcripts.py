"""What the two ways to transcribe have in common, by writing and by CTC: the tokenizer, and rows shown to a reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry import Spec
from zoo.data.coder import Coder
from zoo.data.tokenizer import Tokenizer
from zoo.errors import RunError
from zoo.generation.output import one_line
from zoo.kinds import TOKENIZER, Row
from zoo.progress import Report, counted
from zoo.tasks._sound import Sound
from zoo.tasks.task import Refusal, Rows, shortened


def learn_tokenizer(
    spec: Spec, sound: Sound, rows: Rows, *, n_rows: int, vocab_size: int, report: Report | None
) -> dict[str, Coder]:
    """The tokenizer of what is said. Raises: DataError, for a recording of another rate too."""

    def read() -> Iterator[str]:
        for row in counted(rows(), report, "reading text for the tokenizer", n_rows):
            sound.require(row)
            yield row["text"]
        if report is not None:
            report("training the tokenizer", 0, None)

    return {"tokenizer": TOKENIZER.build(spec).train(read(), vocab_size=vocab_size)}


def check_tokenizer(folder: Path, tokenizer: Tokenizer, spec: Spec, vocab_size: int) -> None:
    """Raises: RunError for a tokenizer found in a run folder that is not that of the spec and the model."""
    record = folder / "tokenizer.json"
    wanted: str = spec.type
    if tokenizer.type != wanted:
        raise RunError(f"{record}: holds a {tokenizer.type} tokenizer; the spec asks for {wanted}")
    if tokenizer.vocab_size > vocab_size:
        raise RunError(f"{record}: holds {tokenizer.vocab_size} ids; the model has room for {vocab_size}")


def side_by_side(row: Row, answer: Any) -> dict[str, Any]:
    """A recording's name and length, what was found and what was said."""
    found = "" if isinstance(answer, Refusal) else answer[0].text
    said = {"transcript": found, "reference": one_line(row["text"])}
    return {"recording": shown(row), **said}


def shown(row: Row, said: str = "") -> str:
    """A recording on one line."""
    name = row.get("file", "a recording")
    seconds = f"{len(row['waveform']) / row['rate']:.2f} s"
    return f"{name}, {seconds}" + (f" → {shortened(said)}" if said else "")
