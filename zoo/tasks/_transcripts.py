"""What the two ways to transcribe have in common, by writing and by CTC: the tokenizer, and rows shown to a reader."""

from __future__ import annotations

from typing import Any

from registry import Spec
from zoo.data.coder import Coder
from zoo.generation.output import one_line
from zoo.kinds import Row
from zoo.progress import Report
from zoo.tasks._sound import Sound
from zoo.tasks._tokenizers import learn_tokenizer
from zoo.tasks.task import Refusal, Rows, shortened


def learn_transcripts(
    spec: Spec, sound: Sound, rows: Rows, *, n_rows: int, vocab_size: int, report: Report | None
) -> dict[str, Coder]:
    """The tokenizer of what is said. Raises: DataError, for a recording of another rate too."""

    def said(row: Row) -> tuple[str]:
        sound.require(row)
        return (row["text"],)

    tokenizer = learn_tokenizer(spec, rows, said, vocab_size=vocab_size, n_rows=n_rows, report=report)
    return {"tokenizer": tokenizer}


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
