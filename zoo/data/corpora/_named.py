"""Corpora whose fields the reader names: by default those of the task."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from zoo.kinds import CorpusSpec

_Name = Annotated[str, Field(min_length=1)]


class NamedFieldsSpec(CorpusSpec):
    columns: dict[_Name, _Name] = Field({"text": "text"}, min_length=1)
    """Where each field of a row stands; by default the fields that the task reads, each under its own name."""

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.columns)

    def read_by(self, fields: tuple[str, ...]) -> Self:
        is_given = "columns" in self.model_fields_set
        return self if is_given else self.model_copy(update={"columns": {name: name for name in fields}})
