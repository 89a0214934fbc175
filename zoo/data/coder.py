"""Coders: what a run has learnt from its data before training, between fields of rows and numbers, and how it is kept.

A tokenizer is one, and so are the names of classes and the scaling of a series. Each is two files: its data, and
`stem.json` with its type, the data's SHA-256, and facts to read, by which damaged or exchanged data is found before
it turns text into other ids than the model has learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from zoo.errors import RunError
from zoo.storage.files import write_bytes
from zoo.storage.hashing import sha256
from zoo.storage.records import read_record, write_record

STEMS = ("tokenizer", "labels", "scaling")
"""What the names of coders begin with, and so those of their files."""
_KEYS = ("type", "file", "sha256")


class Coder:
    """Between fields and numbers. data are the bytes of its file; sha256 is theirs: equal for equal coders only."""

    type: ClassVar[str]
    """What its record calls it: of a tokenizer the name it is registered under."""
    suffix: ClassVar[str]
    """Ending of the data file's name."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.sha256 = sha256(data)

    def facts(self) -> dict[str, int]:
        """What its record says besides, for a reader."""
        return {}

    def save(self, folder: Path, stem: str) -> None:
        """Writes `stem` + suffix, then `stem.json`.

        Raises: RunError where that cannot be written.
        """
        name = stem + self.suffix
        about = {"type": self.type, "file": name, "sha256": self.sha256, **self.facts()}
        write_bytes(folder / name, self.data)
        write_record(folder / f"{stem}.json", about)


def load_coder(folder: Path, stem: str, known: Mapping[str, Callable[[bytes], Coder]]) -> Coder:
    """The coder that was saved in a folder under that stem; known says how each type is made of its bytes.

    Raises: RunError where it is missing, damaged, or not the file that was saved.
    """
    record = folder / f"{stem}.json"
    about = read_record(record, lambda about: {**about, **{key: str(about[key]) for key in _KEYS}})
    file = folder / Path(about["file"]).name  # a name only: a record may not point out of its folder
    try:
        data = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise RunError(f"{file}: cannot be read: {getattr(error, 'strerror', error)}") from None
    kind, expected, found = about["type"], about["sha256"], sha256(data)
    if found != expected:
        raise RunError(f"{file}: not what was saved: its SHA-256 is {found}, {record.name} says {expected}")
    if kind not in known:
        raise RunError(f"{record}: holds a {kind!r}, of which nothing is known (known: {', '.join(known)})")
    coder = known[kind](data)
    for name, value in coder.facts().items():
        if about.get(name) != value:
            raise RunError(f"{record}: says {name} {about.get(name)}, but {file.name} has {value}")
    return coder
