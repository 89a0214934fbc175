"""Metric: how good answers are, by sums over rows that any sharding adds up to the same."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from registry import Kind, Spec


class MetricSpec(Spec):
    """Base of every metric's spec, which has the fields `report`, names of scores, and `score`, one of them."""


@dataclass(frozen=True)
class Scores:
    """What a metric says of some rows."""

    values: dict[str, float]
    """By name."""
    n_rows: int
    titles: Mapping[str, str]
    """What each is called where it is shown."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """What else belongs beside them, such as a library's version."""


class Metric(ABC):
    """Compares answers with what was to be answered. A new one is empty; it counts what it is given. The spec is a
    MetricSpec.
    """

    titles: ClassVar[Mapping[str, str]]
    """What each score is called where it is shown, by its name."""
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    """The names of those that are errors."""

    def __init__(self, *, report: Sequence[str], score: str) -> None:
        self.report = tuple(report)
        """The scores of an evaluation, in the order they are shown in."""
        self.score = score
        """The one that is measured in validations and chooses the best checkpoint."""

    @property
    def is_error(self) -> bool:
        """Whether the score that chooses counts errors, so that less is better."""
        return self.score in self.lower_is_better

    @property
    @abstractmethod
    def n_rows(self) -> int:
        """The rows counted so far."""

    @abstractmethod
    def update(self, answers: Sequence[Any], examples: Sequence[Mapping[str, Any]]) -> None:
        """Counts rows: the answer to each, which may be a Refusal, and the example it was to answer."""

    @abstractmethod
    def state(self) -> Any:
        """What has been counted, as plain data: to be sent to another process."""

    @abstractmethod
    def merge(self, state: Any) -> None:
        """Counts what another metric of the same spec has counted."""

    @abstractmethod
    def scores(self, names: Sequence[str]) -> Scores:
        """The scores of those names. Raises: DataError where there is nothing to score."""


METRIC = Kind(
    "metric",
    package="zoo.metrics",
    context=(),
    check=(),
    summary="how good answers are",
    contract=Metric,
)
