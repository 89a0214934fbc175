"""Plain text as documents: what a language model reads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal, get_args

from pydantic import Field

from zoo.amounts import amount
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.text import TextFilesSpec
from zoo.data.lines import Line, hash_files, read_lines, read_records
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row

Documents = Literal["empty_line", "line", "file"]


class PlainTextSpec(TextFilesSpec):
    fields: ClassVar = ("text",)

    type: Literal["text"] = "text"
    train: str
    """File to train on, plain or gzipped."""
    dev: str | None = None
    """File to validate on; null: the end of the file `train`, as train_share says."""
    test: str | None = None
    """File to test on; null for none."""
    train_share: float | None = Field(None, gt=0, lt=1)
    """Share of the characters of the file `train` to train on, its first ones; the rest is validated on. A document
    belongs where it begins; one that is the whole file is cut. Instead of `dev`."""
    documents: Documents = "empty_line"
    """What a document is: lines up to an empty one, each line, or the whole file, which is then held in memory."""

    def check(self) -> None:
        if (self.dev is None) == (self.train_share is None):
            raise ValueError("say either dev, a file to validate on, or train_share, how much to train on")


@CORPUS.register(
    "text",
    spec=PlainTextSpec,
    examples=[
        {"train": "train.txt", "dev": "dev.txt.gz"},
        {"train": "input.txt", "train_share": 0.9, "documents": "file"},
    ],
)
class PlainText:
    """Documents of plain text: a file for each split, or two parts of one.

    A document's lines are split by newlines, and only one that is a whole file ends with one.
    """

    def __init__(
        self,
        *,
        train: str,
        dev: str | None,
        test: str | None,
        train_share: float | None,
        documents: Documents,
        max_characters: int,
    ) -> None:
        named = {"train": train, "dev": dev or train, "test": test}
        self._paths = {split: Path(path).expanduser() for split, path in named.items() if path is not None}
        self._share = train_share
        self._documents: Documents = documents
        self._max_characters = max_characters

    def splits(self) -> list[str]:
        """The splits that the spec names."""
        return list(self._paths)

    def where(self, split: str) -> str:
        """The file, for messages."""
        return str(self._paths[split])

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The documents of a split. Bad lines are left out of theirs, and empty ones where each line is a document.

        Raises: DataError as `read_lines`, and for a file without lines.
        """
        if self._share is None or split == "test":
            found: Iterator[str] = (text for _, text in self._read(split, bad_lines))
        else:
            found = self._part(split, self._share, bad_lines)
        return ({"text": text} for text in found)

    def fingerprint(self, split: str) -> str:
        """SHA-256 of the file's bytes and of what decides how they are read."""
        share = None if split == "test" else self._share
        part = split if share is not None else ""
        return hash_files([self._paths[split]], part, share, self._documents, self._max_characters)

    def _part(self, split: str, share: float, bad_lines: BadLines) -> Iterator[str]:
        is_train = split == "train"
        if self._documents == "file":
            for _, text in self._read(split, bad_lines):
                cut = int(len(text) * share)
                if part := text[:cut] if is_train else text[cut:]:
                    yield part
            return
        # Read twice, for where the end lies is known at the end only; the first time nothing is reported.
        border = share * sum(len(line.text) + 1 for line in self._lines(split))
        n = n_here = 0
        for begin, text in self._read(split, bad_lines):
            n += 1
            if (begin < border) == is_train:
                n_here += 1
                yield text
        if n and not n_here:
            others = ", ".join(name for name in get_args(Documents) if name != self._documents)
            raise DataError(
                f"{self._paths[split]}: {amount(n, 'document')} in it, of which none begins in the part for {split} "
                f"(task.data.train_share={share}); what a document is, task.data.documents says: {self._documents}, "
                f"other than {others}"
            )

    def _lines(self, split: str) -> Iterator[Line]:
        read = read_records if self._documents == "line" else read_lines
        return read(self._paths[split], max_characters=self._max_characters)

    def _read(self, split: str, bad_lines: BadLines) -> Iterator[tuple[int, str]]:
        """Each document, and how many characters stand before it."""
        path, begin, here = self._paths[split], 0, 0
        lines: list[str] = []
        number = 0
        for number, line in enumerate(self._lines(split), 1):
            bad_lines.line = number
            text, is_empty = line.text, not line.text.strip()
            if line.reason:
                bad_lines.report(f"{path}:{number}", line.reason, line.detail)
            elif self._documents == "line":
                if is_empty:
                    bad_lines.report(f"{path}:{number}", "empty line", "")
                else:
                    yield here, text
            elif self._documents == "file" or not is_empty:
                begin = begin if lines else here
                lines.append(text)
            elif lines:
                yield begin, "\n".join(lines)
                lines = []
            here += len(text) + 1
        if number == 0:
            raise DataError(f"{path}: the file is empty")
        if lines:
            yield begin, "\n".join(lines) + ("\n" if self._documents == "file" else "")
