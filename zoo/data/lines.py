"""Strict reading of text files, line by line, in little memory.

A line ends at "\\n" and nowhere else: not at U+2028, U+0085 or a form feed, at which other programs end
lines, which is why a line that holds one is bad. One "\\r" before the "\\n" belongs to the line end, one
byte-order mark at the beginning of a file to the file; where a line is a record, so do empty lines at its end.
Files that begin with gzip's magic number are unpacked, whatever their name.
"""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from zoo.amounts import amount
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.storage.hashing import sha256, sha256_of_file

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = "\ufeff".encode()
# What str.splitlines() splits at besides the newline, NUL, and a byte-order mark in the middle.
SUSPECT = re.compile("[\x00\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029\ufeff]")
CHUNK = 1 << 16


DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
"""What reading damaged compressed data raises."""


class Line(NamedTuple):
    """A line's text without its end; if it is bad, the reason, and a detail for the message."""

    text: str
    reason: str = ""
    detail: str = ""


def open_unpacked(path: Path) -> io.BufferedReader:
    """A file's bytes, unpacked where they begin with gzip's magic number.

    Raises: DataError for a file that cannot be opened. Damage to compressed data shows when it is read (DAMAGE).
    """
    file = _open(path)
    try:
        is_gzip = file.peek(2)[:2] == GZIP_MAGIC
    except OSError as error:
        file.close()
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    if not is_gzip:
        return file
    file.close()
    return io.BufferedReader(gzip.GzipFile(path), CHUNK)


def damaged(name: str, number: int, error: Exception) -> DataError:
    """The refusal of compressed data that is damaged in a line."""
    return DataError(f"{name}:{number}: the compressed data is damaged or cut off here ({error})")


def read_lines(path: Path, *, max_characters: int) -> Iterator[Line]:
    """The lines of a file, bad ones included; at most max_characters are kept of any.

    Raises: DataError for a file that cannot be read, or whose compressed data is damaged or cut off.
    """
    limit = 4 * max_characters + 2  # bytes that so many characters and a line end may take
    number = 0
    with open_unpacked(path) as file:
        while True:
            try:
                raw = file.readline(limit)
                is_cut = len(raw) == limit and not raw.endswith(b"\n")
                while is_cut and (rest := file.readline(CHUNK)) and not rest.endswith(b"\n"):
                    pass
            except DAMAGE as error:
                raise damaged(str(path), number + 1, error) from None
            if not raw:
                return
            if number == 0:
                raw = raw.removeprefix(BYTE_ORDER_MARK)
            number += 1
            yield (
                Line("", "too long", f"over {max_characters} characters")
                if is_cut
                else _line(raw, max_characters)
            )


def read_records(path: Path, *, max_characters: int) -> Iterator[Line]:
    """The same without empty lines at the end of the file, as editors and spreadsheets leave them there."""
    return (line for (line,) in _without_empty_end(read_lines(path, max_characters=max_characters)) if line)


def read_pairs(
    source: Path, target: Path, *further: Path, max_characters: int, bad_lines: BadLines
) -> Iterator[tuple[str, ...]]:
    """Line i of one file with line i of the other, and of further ones, which alone may be empty there.

    Raises: DataError as `read_lines`; for a file without lines; for files of different length, naming the
    first surplus line; and for a bad line where the policy says so, whose message tells unequal lengths too.
    """
    paths = (source, target, *further)
    rows = _without_empty_end(*(read_lines(path, max_characters=max_characters) for path in paths))
    number = 0
    n_lines = [0] * len(paths)
    for lines in rows:
        n_lines = [number + (line is not None) for line in lines]
        if None in lines:
            break
        number += 1
        bad_lines.line = number
        row = [line for line in lines if line is not None]
        if fault := _fault(paths, row):
            path, reason, detail = fault
            if bad_lines.policy == "error":
                for rest in rows:
                    n_lines = [n + (line is not None) for n, line in zip(n_lines, rest, strict=True)]
                if surplus := _surplus(paths, n_lines):  # the greater fault, for which skipping is no help
                    detail = f": {detail}" if detail else ""
                    raise DataError(
                        f"{path}:{number}: {reason}{detail}; besides, {surplus[0]} has no partner, for {surplus[1]}"
                    )
            bad_lines.report(f"{path}:{number}", reason, detail)
            continue
        texts = [line.text for line in row]
        yield (*texts[:2], *(text if text.strip() else "" for text in texts[2:]))
    if surplus := _surplus(paths, n_lines):
        raise DataError(f"{surplus[0]}: this line has no partner; {surplus[1]}")
    if number == 0:
        raise DataError(f"{source}: the file is empty")


def read_columns(
    path: Path, columns: tuple[int, int], *, max_characters: int, bad_lines: BadLines
) -> Iterator[tuple[str, str]]:
    """Two columns, counted from 1, of a file of lines split by tabs, without quotes or heading.

    Raises: DataError as `read_lines`; for a file without lines; and for a bad line where the policy says so.
    """
    number = 0
    for line in read_records(path, max_characters=max_characters):
        number += 1
        bad_lines.line = number
        if line.reason:
            bad_lines.report(f"{path}:{number}", line.reason, line.detail)
            continue
        cells = line.text.split("\t")
        if max(columns) > len(cells):
            bad_lines.report(f"{path}:{number}", "missing column", wants_column(max(columns), len(cells)))
            continue
        source, target = (cells[column - 1] for column in columns)
        empty = [str(column) for column in columns if not cells[column - 1].strip()]
        if empty:
            bad_lines.report(f"{path}:{number}", "empty line", f"nothing in column {' and '.join(empty)}")
            continue
        yield source, target
    if number == 0:
        raise DataError(f"{path}: the file is empty")


def _without_empty_end(*readers: Iterator[Line]) -> Iterator[tuple[Line | None, ...]]:
    """Line i of each file, None behind its end, up to the last one that is not empty in all of them."""
    held = []
    for lines in zip_longest(*readers):
        held.append(lines)
        if any(line is not None and (line.reason or line.text.strip()) for line in lines):
            yield from held
            held.clear()


def hash_files(paths: Sequence[Path], *settings: object) -> str:
    """SHA-256 over the files' bytes, as they are on disk, and the settings they are read with."""
    return sha256(b"".join([repr(settings).encode(), *(bytes.fromhex(file_sha256(path)) for path in paths)]))


def file_sha256(path: Path) -> str:
    """SHA-256 of a file of text, as it is on disk. Raises: DataError for a file that cannot be read."""
    try:
        return sha256_of_file(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _fault(paths: Sequence[Path], row: Sequence[Line]) -> tuple[Path, str, str] | None:
    """The first file whose line is bad, or empty where it may not be; the reason, and a detail for the message."""
    for path, line in zip(paths, row, strict=True):
        if line.reason:
            return path, line.reason, line.detail
    is_empty = [not line.text.strip() for line in row[:2]]
    if not any(is_empty):
        return None
    path, other = paths[:2] if is_empty[0] else (paths[1], paths[0])
    detail = f"and so is that of {other}" if all(is_empty) else f"but that of {other} is not"
    return path, "empty line", detail


def _surplus(paths: Sequence[Path], counts: Sequence[int]) -> tuple[str, str] | None:
    """Of files that have not equally many lines, the first line without a partner, and which file is at its end."""
    least = min(counts)
    longer = next((path for path, count in zip(paths, counts, strict=True) if count > least), None)
    if longer is None:
        return None
    have = f"only {amount(least, 'line')}" if least else "no lines: the file is empty"
    return f"{longer}:{least + 1}", f"{paths[counts.index(least)]} has {have}"


def _line(raw: bytes, max_characters: int) -> Line:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} ({error.reason})"
        is_wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return Line("", "broken UTF-8", detail + "; it begins as UTF-16 does, and UTF-8 is read" * is_wide)
    text = text.removesuffix("\n").removesuffix("\r")
    if len(text) > max_characters:
        return Line("", "too long", f"{len(text)} characters, over {max_characters}")
    if found := SUSPECT.search(text):
        return Line("", *_suspect(found.group(), found.start() + 1))
    return Line(text)


def _suspect(character: str, position: int) -> tuple[str, str]:
    reason = {"\x00": "NUL", "\ufeff": "byte-order mark"}.get(character, "line separator")
    return reason, f"U+{ord(character):04X} inside the line, at character {position}"


def _open(path: Path) -> io.BufferedReader:
    try:
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError | ValueError) -> DataError:
    return DataError(
        f"{path}: cannot be read: {getattr(error, 'strerror', error)}"
    )  # ValueError: a NUL in the name


def wants_column(column: int, n: int) -> str:
    """What is said of a line that ends before a column."""
    return f"column {column} is wanted, and there {'is' if n == 1 else 'are'} {n}"
