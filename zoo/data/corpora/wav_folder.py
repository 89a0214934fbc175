"""Recordings in a folder or an archive, their class in their names."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.data.corpora._recordings import recording, wav_files
from zoo.data.lines import DAMAGE, file_sha256
from zoo.errors import DataError
from zoo.kinds import CORPUS, CorpusSpec, Row
from zoo.storage.hashing import sha256_of_text


class WavFolderSpec(CorpusSpec):
    fields: ClassVar = ("waveform", "rate", "label")

    type: Literal["wav_folder"] = "wav_folder"
    train: str
    """Folder to train on, looked through to its depths, or an archive of one: .tar, .tar.gz."""
    dev: str
    """Folder or archive to validate on."""
    test: str | None = None
    """Folder or archive to test on; null for none."""
    pattern: str = Field("{label}/{name}.wav", min_length=1)
    """What the end of a path looks like: `{label}` is the class, any other name in braces stands for what is not looked
    at, none of them for a slash; such as `{label}_{speaker}_{index}.wav`."""

    def check(self) -> None:
        compiled(self.pattern)


@CORPUS.register(
    "wav_folder",
    spec=WavFolderSpec,
    examples=[{"train": "train.tar.gz", "dev": "dev", "pattern": "{label}_{speaker}_{index}.wav"}],
)
class WavFolder:
    """Folders of wav files, or archives, which are read without being unpacked to the disk."""

    def __init__(self, *, train: str, dev: str, test: str | None, pattern: str) -> None:
        named = {"train": train, "dev": dev, "test": test}
        self._paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._pattern, self._compiled = pattern, compiled(pattern)

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The folder or archive, for messages."""
        return str(self._paths[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The recordings of a split. Raises: DataError for what is no folder and no archive, or holds no wav file."""
        n = 0
        for name, data in self._files(self._paths[split]):
            n += 1
            where = f"{self._paths[split]}/{name}"
            match = self._compiled.search(name)
            if match is None:
                bad_lines.report(where, "another name", f"not as {self._pattern}")
            elif (found := recording(data, where, where, bad_lines)) is not None:
                yield {**found, "label": match["label"]}
        if not n:
            raise DataError(f"{self._paths[split]}: no wav file in it")

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the archive; of a folder, of each file's name, size and time; and of the pattern."""
        path = self._paths[split]
        if path.is_dir():
            states = [(str(file.relative_to(path)), file.stat()) for file in wav_files(path)]
            content = repr([(name, state.st_size, state.st_mtime_ns) for name, state in states])
        else:
            content = file_sha256(path)
        return sha256_of_text(repr((content, self._pattern)))

    def _files(self, path: Path) -> Iterator[tuple[str, bytes]]:
        if path.is_dir():
            for file in wav_files(path):
                try:
                    yield file.relative_to(path).as_posix(), file.read_bytes()
                except OSError as error:
                    raise DataError(f"{file}: cannot be read: {error.strerror}") from None
            return
        n = 0
        try:
            with tarfile.open(path) as archive:
                for member in archive:
                    if member.isfile() and member.name.lower().endswith(".wav"):
                        n += 1
                        file_object = archive.extractfile(member)
                        assert file_object is not None
                        yield member.name, file_object.read()
        except (tarfile.TarError, *DAMAGE) as error:
            raise DataError(f"{path}: no whole archive (after {n} recordings): {error}") from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def compiled(pattern: str) -> re.Pattern[str]:
    """What finds the label in a path. Raises: ValueError for a pattern that does not name it, once."""
    if pattern.count("{label}") != 1:
        raise ValueError(f"pattern must have {{label}} in it, once, not {pattern!r}")
    pieces = re.split(r"\{(\w+)\}", pattern)
    text = "".join(
        re.escape(piece) if i % 2 == 0 else "(?P<label>[^/]+?)" if piece == "label" else "[^/]+"
        for i, piece in enumerate(pieces)
    )
    return re.compile(f"(?:^|/){text}$", re.IGNORECASE)
