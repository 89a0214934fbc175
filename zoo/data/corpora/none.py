"""No data: what the task of a model has that is used on what it is given, and not trained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NoReturn

from registry import Spec
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row


class NoneSpec(Spec):
    """No CorpusSpec: any task may have it, for it promises no fields."""

    type: Literal["none"] = "none"


@CORPUS.register("none", spec=NoneSpec)
class NoData:
    """No rows: of a model that answers what it is asked."""

    def splits(self) -> list[str]:
        """Those that every corpus has."""
        return ["train", "dev"]

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"no data, {split}"

    def rows(self, split: str, *, bad_lines: Any) -> Iterator[Row]:
        """Raises: DataError, always."""
        _refuse()

    def fingerprint(self, split: str) -> str:
        """Raises: DataError, always."""
        _refuse()


def _refuse() -> NoReturn:
    raise DataError("there is no data: task.data is none; say which, such as task.data=...")
