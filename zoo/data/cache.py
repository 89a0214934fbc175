"""The cache of encoded splits: as large as the disk allows, and none of it in memory.

An entry is a folder named by what it was made from: rows, how they are encoded, and what is left out. It is written
beside its place and renamed into it, so that it is there whole or not at all, and any number of processes may
make the same one at once. All its files' SHA-256 are compared when it is opened; a damaged entry is made
anew.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from zoo.data.bad_lines import BadLines, Policy
from zoo.data.store import ABOUT, Example, ExampleStore, ExampleWriter
from zoo.errors import DataError, RunError
from zoo.kinds import Corpus, Row
from zoo.progress import Report
from zoo.storage.hashing import sha256_of_file, sha256_of_json, sha256_of_text

FORMAT = 2
"""Part of every entry's name: raised when the files' meaning changes."""
CHUNK = 2_000  # rows encoded at a time
STALE_S = 24 * 3600.0  # age of a half-written entry whose writer must be dead
log = logging.getLogger(__name__)


class Encoding(Protocol):
    """How rows become examples: what the cache needs of a task."""

    @property
    def recipe(self) -> str:
        """Changes with everything that the examples of given rows depend on."""
        ...

    @property
    def is_strict(self) -> bool:
        """Whether a row that cannot be used is an error instead of left out and counted."""
        ...

    def encode(self, rows: Sequence[Row], *, is_scored: bool) -> Sequence[Example | Rejected]:
        """An example of each row, or why there is none; is_scored: with what a prediction is compared with."""
        ...


@dataclass(frozen=True)
class Rejected:
    """Why a good row gives no example."""

    reason: str
    """What such rows are counted under, such as "over max_length"."""
    detail: str
    """What is said of this one."""
    is_bad: bool = False
    """Whether the row is bad data after all, which only the task can tell: it is treated as a bad line is."""


def entry_name(corpus: Corpus, split: str, encoding: Encoding, bad_lines: Policy) -> str:
    """The name of a split's entry."""
    parts = (
        FORMAT,
        corpus.fingerprint(split),
        encoding.recipe,
        encoding.is_strict,
        bad_lines,
        is_scored(split),
    )
    return sha256_of_text(repr(parts))[:32]


def is_scored(split: str) -> bool:
    """Whether predictions are made for a split, and compared: for any but what is learnt from."""
    return split != "train"


def encoded(
    corpus: Corpus,
    split: str,
    encoding: Encoding,
    folder: Path,
    *,
    bad_lines: Policy,
    report: Report | None = None,
    n_rows: int | None = None,
    is_own: bool = False,
) -> ExampleStore:
    """A split's examples, found in the cache folder or made there; report is told of the making.

    is_own: nobody else writes into the folder, so that what is half written there has no writer any more.

    Raises: DataError for bad data; RunError where the folder cannot be written.
    """
    entry = folder / entry_name(corpus, split, encoding, bad_lines)
    if _is_sound(entry):
        return ExampleStore(entry)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder, 0.0 if is_own else STALE_S)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=f".{entry.name}.", suffix=".tmp"))
        log.info("%s: encoding", corpus.where(split))
        try:
            temporary.chmod(0o755)  # mkdtemp's own is for nobody else to read
            _write(corpus, split, encoding, temporary, bad_lines, report, n_rows)
            _move(temporary, entry)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{entry}: the cache cannot be written: {error.strerror or error}") from error
    return ExampleStore(entry)


def _write(
    corpus: Corpus,
    split: str,
    encoding: Encoding,
    folder: Path,
    policy: Policy,
    report: Report | None,
    n_rows: int | None,
) -> None:
    bad_lines = BadLines(policy)
    counts: Counter[str] = Counter()
    n_good = n_kept = 0
    if report is not None:
        report(f"encoding {split}", 0, n_rows)
    with ExampleWriter(folder) as writer:
        for rows, lines in _chunks(corpus.rows(split, bad_lines=bad_lines), bad_lines):
            found = encoding.encode(rows, is_scored=is_scored(split))
            rejected = []
            for i, each in enumerate(found):
                if isinstance(each, Rejected) and each.is_bad:
                    where = place(corpus.where(split), lines[i], n_good + i)
                    bad_lines.report(where, each.reason, each.detail)
                elif isinstance(each, Rejected):
                    rejected.append((i, each))
            if rejected and encoding.is_strict:
                i, why = rejected[0]
                raise DataError(f"{place(corpus.where(split), lines[i], n_good + i)}: {why.detail}")
            counts.update(why.reason for _, why in rejected)
            examples = [each for each in found if not isinstance(each, Rejected)]
            writer.add(examples)
            n_good += len(rows)
            n_kept += len(examples)
            if report is not None:
                report(f"encoding {split}", n_good, n_rows)
        columns = writer.about()
    counts += bad_lines.counts
    if not n_kept:
        raise DataError(f"{corpus.where(split)}: no row is left; left out: {dict(counts)}")
    about: dict[str, Any] = {
        "columns": columns,
        "counts": dict(counts),
        "sha256": {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())},
    }
    about["seal"] = sha256_of_json(about)
    (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def place(where: str, line: int | str, number: int) -> str:
    """Where a row stands: its line, what its corpus calls it, or where that has no lines its number, from 1."""
    if isinstance(line, str):
        return line
    return f"{where}:{line}" if line else f"{where}, row {number + 1}"


def _chunks(rows: Iterator[Row], bad_lines: BadLines) -> Iterator[tuple[list[Row], list[int | str]]]:
    """Rows by the chunk, with the number of each one's line, or what its corpus calls it."""
    numbered = ((row, bad_lines.place or bad_lines.line) for row in rows)
    while chunk := list(islice(numbered, CHUNK)):
        yield [row for row, _ in chunk], [line for _, line in chunk]


def _is_sound(entry: Path) -> bool:
    """Whether an entry is there with all its bytes; one that is there without them is said to be damaged."""
    if not entry.exists():
        return False
    try:
        about = json.loads((entry / ABOUT).read_bytes())
        damaged = [] if about.pop("seal") == sha256_of_json(about) else [ABOUT]
        damaged += [
            name for name, sha256 in about["sha256"].items() if sha256_of_file(entry / name) != sha256
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        damaged = [repr(error)]
    if damaged:
        log.warning("%s: the cache is damaged (%s); it is made anew", entry, ", ".join(damaged))
    return not damaged


def _move(temporary: Path, entry: Path) -> None:
    """Puts a finished entry in its place, unless another process was faster; a damaged one gives way."""
    with _alone_in(
        entry.parent
    ):  # else a writer could take away what another has just put in a damaged one's place
        if entry.exists():
            if _is_sound(entry):
                return
            _remove(entry, temporary.with_suffix(".old.tmp"))
        temporary.rename(entry)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, which the kernel releases when a process dies."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _remove(entry: Path, aside: Path) -> None:
    """Removes an entry by way of another name, so that nobody meets half of it."""
    entry.rename(aside)
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink()


def _sweep(folder: Path, age_s: float) -> None:
    """Removes what killed writers left behind long ago."""
    for leftover in folder.glob(".*.tmp"):
        try:
            newest = max(path.stat().st_mtime for path in (leftover, *leftover.glob("*")))
        except FileNotFoundError:
            continue  # its writer has just finished
        if time.time() - newest >= age_s:
            shutil.rmtree(leftover, ignore_errors=True)
