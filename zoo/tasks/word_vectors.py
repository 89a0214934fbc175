"""The word vectors that a run's embeddings start from: of which files, and what of them is remembered.

A file is hashed when a run is prepared and read at its start. Its SHA-256 is kept in the run folder, so that the run
goes on without the file: from then on the vectors are in the checkpoints.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

from pydantic import Field
from torch import nn

from registry import Spec
from zoo.assembly.build import build
from zoo.data.lines import file_sha256
from zoo.data.tokenizer import Tokenizer
from zoo.data.word_vectors import check_width, fill
from zoo.errors import DataError, RunError
from zoo.kinds import Model
from zoo.storage.records import read_record, write_record

RECORD = "word_vectors.json"
log = logging.getLogger(__name__)


class WordVectorsSpec(Spec):
    """Files in word2vec's text or binary form (.bin), or fastText's text form (.vec), plain or gzipped."""

    source: str | None = Field(default=None, min_length=1)
    """File that the source's embedding starts from, for the tokens that are words of it; null: none."""
    target: str | None = Field(default=None, min_length=1)
    """File for the target's embedding; null: none. A target that shares the source's embedding has none of its own."""

    def check(self, *, is_joint: bool) -> None:
        if is_joint and self.target is not None:
            raise ValueError(
                "word_vectors.target is given, but the model's target shares the source's embedding; "
                "give word_vectors.source alone"
            )

    @property
    def files(self) -> dict[str, Path]:
        """The files by the side whose embedding starts from them."""
        given = {"source": self.source, "target": self.target}
        return {side: Path(path).expanduser() for side, path in given.items() if path is not None}


def check_widths(files: dict[str, Path], model: Spec) -> None:
    """Raises: DataError for files whose first line is none, or says another width than the model's embedding has."""
    if files:
        built = build(model, device="meta")
        for side, path in files.items():
            check_width(path, _matrix(built, side).shape[1])


def sha256_of(files: dict[str, Path], folder: Path, *, is_resumed: bool) -> dict[str, str]:
    """Each file's SHA-256: of a new run computed and recorded in its folder, of a resumed one as recorded there.

    Raises: DataError for a file that cannot be read; RunError where the record is missing, damaged or not written.
    """
    record = folder / RECORD
    if not is_resumed:
        found = {side: file_sha256(path) for side, path in files.items()}
        _write(record, {side: {"file": str(files[side]), "sha256": found[side]} for side in found})
        return found
    if not files:
        return {}
    return read_record(record, lambda about: {side: str(about[side]["sha256"]) for side in files})


def fill_embedding(model: nn.Module, side: str, tokenizer: Tokenizer, path: Path) -> None:
    """Gives the tokens of a side that are words of the file their vectors, and says how many there are.

    Raises: DataError for a file that is not as it should be, or has none of the words.
    """
    weight, words = _matrix(model, side), tokenizer.words()
    n_words = sum(1 for word in words if word)
    n_found = fill(weight, words, path)
    if not n_found:
        example = next((word for word in words if word), "")
        raise DataError(
            f"{path}: has none of the {n_words} words of the {side} vocabulary (such as {example!r}): these are "
            "vectors of another language, or of words written or split otherwise"
        )
    others = "the others start as initialised"
    if not weight.requires_grad:
        others = "the others, and the special tokens, keep random ones, for this embedding is not trained"
    # A warning, for that is what is seen without any setting of loggers.
    log.warning(
        "%s: vectors for %d of the %d words of the %s vocabulary; %s", path, n_found, n_words, side, others
    )


def _matrix(model: nn.Module, side: str) -> nn.Parameter:
    weight = cast(Model, model).slots[side].weight
    assert isinstance(weight, nn.Parameter)
    return weight


def _write(record: Path, about: dict[str, dict[str, str]]) -> None:
    if about:
        write_record(record, about)
        return
    try:
        record.unlink(missing_ok=True)  # an attempt's that failed before its first step
    except OSError as error:
        raise RunError(f"{record}: cannot be written: {error.strerror}") from error
