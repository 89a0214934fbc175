"""The cache of tokenized splits: as large as the disk allows, and none of it in memory.

An entry is a folder named by what it was made from: text, tokenizers, and what is left out. It is written
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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from zoo.data.bad_lines import BadLines, Policy
from zoo.data.rows import ABOUT, RowWriter, TokenPairs
from zoo.data.tokenizer import Tokenizer
from zoo.errors import DataError, RunError
from zoo.kinds import Corpus
from zoo.progress import Report
from zoo.storage.hashing import sha256_of_file, sha256_of_json, sha256_of_text

FORMAT = 1
"""Part of every entry's name: raised when the files' meaning changes."""
TOO_LONG = "over max_length"
CHUNK = 10_000  # pairs tokenized at a time
STALE_S = 24 * 3600.0  # age of a half-written entry whose writer must be dead
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What an entry depends on besides the corpus."""

    source_tokenizer: Tokenizer
    target_tokenizer: Tokenizer
    max_length: int
    """Most tokens in a row as a model sees it, EOS or BOS included."""
    too_long: Literal["drop", "error"]
    bad_lines: Policy

    def name(self, corpus: Corpus, split: str) -> str:
        """The name of a split's entry."""
        parts = (
            FORMAT, corpus.fingerprint(split), self.source_tokenizer.sha256, self.target_tokenizer.sha256,
            self.max_length, self.too_long, self.bad_lines,
        )  # fmt: skip
        return sha256_of_text(repr(parts))[:32]


def token_pairs(
    corpus: Corpus,
    split: str,
    recipe: Recipe,
    folder: Path,
    *,
    report: Report | None = None,
    n_pairs: int | None = None,
) -> TokenPairs:
    """A split's token ids, found in the cache folder or made there; report is told of the making.

    Raises: DataError for bad data; RunError where the folder cannot be written.
    """
    entry = folder / recipe.name(corpus, split)
    if _is_sound(entry):
        return TokenPairs(entry)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = Path(tempfile.mkdtemp(dir=folder, prefix=f".{entry.name}.", suffix=".tmp"))
        log.info("%s: tokenizing", corpus.where(split))
        try:
            temporary.chmod(0o755)  # mkdtemp's own is for nobody else to read
            _write(corpus, split, recipe, temporary, report, n_pairs)
            _move(temporary, entry)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise RunError(f"{entry}: the token cache cannot be written: {error.strerror or error}") from error
    return TokenPairs(entry)


def _write(
    corpus: Corpus, split: str, recipe: Recipe, folder: Path, report: Report | None, n_pairs: int | None
) -> None:
    tokenizers = recipe.source_tokenizer, recipe.target_tokenizer
    bad_lines = BadLines(recipe.bad_lines)
    n_good = n_left_out = 0
    if report is not None:
        report(f"tokenizing {split}", 0, n_pairs)
    with (
        RowWriter(folder, "source", tokenizers[0].vocab_size) as source,
        RowWriter(folder, "target", tokenizers[1].vocab_size) as target,
        (folder / "left_out").open("wb") as left_out,
    ):
        for texts, lines in _chunks(corpus.pairs(split, bad_lines=bad_lines), bad_lines):
            sides = [tokenizer.encode(side) for tokenizer, side in zip(tokenizers, texts, strict=True)]
            lengths = [1 + max(len(x), len(y)) for x, y in zip(*sides, strict=True)]
            long = [i for i, length in enumerate(lengths) if length > recipe.max_length]
            if long and recipe.too_long == "error":
                where = f"{corpus.where(split)}:{lines[long[0]]}".removesuffix(":0")
                raise DataError(
                    f"{where}: {lengths[long[0]]} tokens with EOS or BOS, over max_length "
                    f"{recipe.max_length} (task.too_long=drop leaves such pairs out and counts them)"
                )
            left_out.write(np.array([n_good + i for i in long], "<i8").tobytes())
            for i in reversed(long):
                del sides[0][i], sides[1][i]
            source.add(sides[0])
            target.add(sides[1])
            n_good += len(lengths)
            n_left_out += len(long)
            if report is not None:
                report(f"tokenizing {split}", n_good, n_pairs)
    counts = bad_lines.counts + Counter({TOO_LONG: n_left_out})
    if n_good == n_left_out:
        raise DataError(f"{corpus.where(split)}: no pair is left; left out: {dict(counts)}")
    about: dict[str, Any] = {
        "source": source.dtype,
        "target": target.dtype,
        "counts": dict(counts),
        "sha256": {path.name: sha256_of_file(path) for path in sorted(folder.iterdir())},
    }
    about["seal"] = sha256_of_json(about)
    (folder / ABOUT).write_text(json.dumps(about, indent=2), encoding="utf-8")


def _chunks(
    pairs: Iterator[tuple[str, str]], bad_lines: BadLines
) -> Iterator[tuple[tuple[list[str], list[str]], list[int]]]:
    """Sources and targets by the chunk, with the number of each pair's line."""
    numbered = ((*pair, bad_lines.line) for pair in pairs)
    while chunk := list(islice(numbered, CHUNK)):
        yield ([x for x, _, _ in chunk], [y for _, y, _ in chunk]), [line for _, _, line in chunk]


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
        log.warning("%s: the token cache is damaged (%s); it is made anew", entry, ", ".join(damaged))
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


def _sweep(folder: Path) -> None:
    """Removes what killed writers left behind long ago."""
    for leftover in folder.glob(".*.tmp"):
        try:
            newest = max(path.stat().st_mtime for path in (leftover, *leftover.glob("*")))
        except FileNotFoundError:
            continue  # its writer has just finished
        if time.time() - newest > STALE_S:
            shutil.rmtree(leftover, ignore_errors=True)
