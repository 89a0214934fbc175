"""Pretrained word vectors, read from files: word2vec's text and binary form, and fastText's text form.

Each begins with a line "<words> <width>". The text forms (.txt, .vec) then have a word a line, a space before each
number; the binary one (.bin, or .bin.gz) has a word, a space and its numbers as little-endian float32. Files that begin
with gzip's magic number are unpacked, whatever their name. A file is read once, front to back, and only the words that
are wanted are kept. The numbers of others are skipped unread, so of those only their count is checked.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.amounts import amount
from zoo.data.lines import BYTE_ORDER_MARK, DAMAGE, open_unpacked
from zoo.errors import DataError

FASTTEXT_MODEL = (793712314).to_bytes(4, "little")
CHUNK = 1 << 20
MAX_WIDTH = 1_000_000
MAX_WORD = 4096  # bytes; a longer one means that this is another format
MAX_NUMBER = 64  # characters


class Header(NamedTuple):
    """The first line of a file."""

    n_words: int
    width: int


def read_header(path: Path) -> Header:
    """How many words of what width a file has, by its first line. Raises: DataError as `read`."""
    with open_unpacked(path) as file:
        return _header(file, path)


def read(path: Path, wanted: Collection[str] | None) -> tuple[list[str], NDArray[np.float32]]:
    """The wanted words that a file has, in its order, and their vectors [n, width]; None means all words.

    Raises: DataError, naming the line or the byte, for a file that cannot be read or is in none of the forms; for more
    or fewer words or numbers than its first line says; for a wanted word that is there twice or has a number that is
    no finite float32; and for words that are no UTF-8.
    """
    wanted = None if wanted is None else frozenset(wanted)
    with open_unpacked(path) as file:
        header = _header(file, path)
        rows = _binary_rows if path.name.removesuffix(".gz").endswith(".bin") else _text_rows
        found: dict[str, None] = {}
        numbers = bytearray()
        for where, word, vector in rows(file, path, header, wanted):
            if word in found:
                raise DataError(f"{where}: the word {word!r} is there a second time")
            if not np.isfinite(vector).all():
                raise DataError(f"{where}: a number of {word!r} is not finite, or too large for float32")
            found[word] = None
            numbers += vector.tobytes()
    return list(found), np.frombuffer(numbers, np.float32).reshape(-1, header.width)


def check_width(path: Path, width: int) -> None:
    """Raises: DataError as `read`, by the first line alone, and for vectors of another width than an embedding's."""
    found = read_header(path).width
    if found != width:
        raise DataError(
            f"{path}: its vectors have {amount(found, 'number')}, but the embedding's {width}: "
            f"give the embedding d_embedding={found}"
        )


def fill(weight: Tensor, words_of_ids: Sequence[str], path: Path) -> int:
    """Sets the rows of a token embedding whose words a file has, in place; gives their number.

    weight is [V, width], and words_of_ids[i] the word of id i, "" for none; ids may share a word. Other rows stay.
    Raises: ValueError for more words than rows; DataError as `read`, and for vectors of another width.
    """
    if len(words_of_ids) > len(weight):
        raise ValueError(f"there are {len(words_of_ids)} words for the {len(weight)} rows of the embedding")
    check_width(path, weight.shape[1])
    words, matrix = read(path, {word for word in words_of_ids if word})
    rows = {word: row for row, word in enumerate(words)}
    pairs = [(number, rows[word]) for number, word in enumerate(words_of_ids) if word in rows]
    if pairs:
        ids, places = torch.tensor(pairs).unbind(dim=1)
        vectors = torch.from_numpy(matrix)[places]
        with torch.no_grad():
            weight[ids.to(weight.device)] = vectors.to(weight.device, weight.dtype)
    return len(pairs)


Row = tuple[str, str, NDArray[np.float32]]
"""Where it stands, the word, its numbers."""


def _text_rows(
    file: io.BufferedReader, path: Path, header: Header, wanted: frozenset[str] | None
) -> Iterator[Row]:
    limit = MAX_WORD + (MAX_NUMBER + 1) * header.width
    n = 0
    while raw := _read(file.readline, limit, path):
        n += 1
        where = f"{path}:{n + 1}"
        if n > header.n_words:
            raise DataError(f"{where}: a surplus line; the first one says {amount(header.n_words, 'word')}")
        if len(raw) == limit and not raw.endswith(b"\n"):
            raise DataError(f"{where}: over {limit} bytes, too many for a word and {header.width} numbers")
        # fastText ends lines with a space.
        line = raw.removesuffix(b"\n").removesuffix(b"\r").removesuffix(b" ")
        first, _, rest = line.partition(b" ")
        word = _word(first, where)
        n_numbers = rest.count(b" ") + 1 if rest else 0
        if n_numbers != header.width:
            raise DataError(
                f"{where}: {amount(n_numbers, 'number')} after {word!r}; the first line says {header.width} "
                "(a binary file must be named .bin or .bin.gz)"
            )
        if wanted is not None and word not in wanted:
            continue
        try:
            with np.errstate(over="ignore"):
                vector = np.array(rest.split(b" "), dtype=np.float32)
        except ValueError as error:
            raise DataError(f"{where}: not a number after {word!r}: {error}") from None
        yield where, word, vector
    if n < header.n_words:
        raise DataError(
            f"{path}:{n + 2}: the file ends after {amount(n, 'word')}; its first line says {header.n_words}"
        )


def _binary_rows(
    file: io.BufferedReader, path: Path, header: Header, wanted: frozenset[str] | None
) -> Iterator[Row]:
    size = 4 * header.width
    buffer, at, passed = b"", 0, file.tell()  # the next byte is buffer[at], number `passed + at` of the file
    for n in range(header.n_words):
        if len(buffer) - at < MAX_WORD + size:
            passed += at
            buffer, at = buffer[at:] + _read(file.read, CHUNK + MAX_WORD + size, path), 0
        at += buffer.startswith(b"\n", at)  # word2vec ends a row with a newline
        where = f"{path}: byte {passed + at + 1}"
        if at == len(buffer):
            raise DataError(
                f"{where}: the file ends after {amount(n, 'word')}; its first line says {header.n_words}"
            )
        space = buffer.find(b" ", at, at + MAX_WORD)
        if space < 0:
            raise DataError(f"{where}: no space within {MAX_WORD} bytes, so no word begins here")
        word = _word(buffer[at:space], where)
        at = space + 1 + size
        if at > len(buffer):
            raise DataError(f"{where}: the file ends within the numbers of {word!r}")
        if wanted is None or word in wanted:
            yield where, word, np.frombuffer(buffer, "<f4", header.width, at - size).astype(np.float32)
    rest = buffer[at:] + _read(file.read, CHUNK, path)
    if rest.removeprefix(b"\n"):
        raise DataError(
            f"{path}: byte {passed + at + 1}: surplus bytes after the {amount(header.n_words, 'word')} of its first "
            "line"
        )


def _header(file: io.BufferedReader, path: Path) -> Header:
    line = _read(file.readline, 100, path).removeprefix(BYTE_ORDER_MARK)
    if not line:
        raise DataError(f"{path}: the file is empty")
    if line.startswith(FASTTEXT_MODEL):
        raise DataError(f"{path}: a fastText model rather than word vectors; read its .vec file")
    parts = line.split()
    if len(parts) != 2 or not all(part.isdigit() for part in parts) or not line.endswith(b"\n"):
        raise DataError(f"{path}:1: must be '<number of words> <width>', not {line[:40]!r}")
    n_words, width = (int(part) for part in parts)
    if n_words < 1 or not 1 <= width <= MAX_WIDTH:
        raise DataError(
            f"{path}:1: says {n_words} words of width {width}; wanted 1 or more, and 1 to {MAX_WIDTH}"
        )
    return Header(n_words, width)


def _word(raw: bytes, where: str) -> str:
    try:
        word = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: broken UTF-8 in a word: {raw[:40]!r} ({error.reason})") from None
    if not word:
        raise DataError(f"{where}: no word before the numbers")
    return word


def _read(read: Callable[[int], bytes], limit: int, path: Path) -> bytes:
    try:
        return read(limit)
    except DAMAGE as error:
        raise DataError(f"{path}: the compressed data is damaged or cut off ({error})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
