"""How well hidden tokens are guessed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zoo.data.store import Example
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric, MetricSpec, Scores

ScoreName = Literal["accuracy", "loss", "perplexity", "pseudo_perplexity"]


@dataclass(frozen=True)
class Guesses:
    """What a model says of the hidden tokens of a text."""

    tokens: list[int]
    """The most probable id for each."""
    probabilities: list[float]
    """Of those."""
    nll: float
    """Surprise at what they are, in nats, of all together; 0 where that is not known."""
    text: str
    """The text with the guesses in it."""
    words: list[str]
    """What each guess says."""
    pseudo_nll: float | None = None
    """Surprise at each token of the text, were it the only one hidden, in nats, of all together; None: not asked."""
    n_tokens: int = 0
    """How many those are."""


class MaskedTokensMetricSpec(MetricSpec):
    type: Literal["masked_tokens"] = "masked_tokens"
    report: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = ("accuracy", "loss", "perplexity")
    """The scores of an evaluation, in the order they are shown in: accuracy, in percent of the hidden tokens; loss,
    their mean surprise in nats; perplexity, e to that; pseudo_perplexity, e to the mean surprise at each token of the
    text hidden alone, which the task must be asked for."""
    score: ScoreName = "accuracy"
    """The one that is measured in validations and chooses the best checkpoint."""

    def check(self) -> None:
        if len(set(self.report)) < len(self.report):
            raise ValueError(f"report names a score twice: {', '.join(self.report)}")


@METRIC.register(
    "masked_tokens", spec=MaskedTokensMetricSpec, examples=[{}, {"report": ["loss"], "score": "loss"}]
)
class MaskedTokensMetric(Metric):
    """Compares the ids of Guesses with those of the example, int [M] under `labels`. A refused row counts nothing.

    Source: Devlin et al. 2019 (accuracy); Salazar et al. 2020, section 2.3 (pseudo-perplexity).
    """

    titles: ClassVar = {
        "accuracy": "Accuracy",
        "loss": "Loss",
        "perplexity": "Perplexity",
        "pseudo_perplexity": "Pseudo-perplexity",
    }
    lower_is_better: ClassVar = frozenset({"loss", "perplexity", "pseudo_perplexity"})

    def __init__(self, *, report: Sequence[ScoreName], score: ScoreName) -> None:
        super().__init__(report=report, score=score)
        self._rows: list[tuple[int, int, float, float, int]] = []  # right, hidden, nll, pseudo_nll, tokens

    @property
    def n_rows(self) -> int:
        return len(self._rows)

    def update(self, answers: Sequence[Any], examples: Sequence[Example]) -> None:
        for answer, example in zip(answers, examples, strict=True):
            if isinstance(answer, Guesses):
                labels = example["labels"].tolist()
                right = sum(a == b for a, b in zip(answer.tokens, labels, strict=True))
                more = (answer.pseudo_nll or 0.0, answer.n_tokens)
                self._rows.append((right, len(labels), answer.nll, *more))

    def state(self) -> list[tuple[int, int, float, float, int]]:
        return self._rows

    def merge(self, state: list[tuple[int, int, float, float, int]]) -> None:
        self._rows += state

    def scores(self, names: Sequence[str]) -> Scores:
        if not self._rows:
            raise DataError("there are no hidden tokens to score")
        right, hidden, nll, pseudo_nll, n_tokens = map(math.fsum, zip(*self._rows, strict=True))
        found = {"accuracy": 100 * right / hidden, "loss": nll / hidden, "perplexity": _exp(nll / hidden)}
        if n_tokens:
            found["pseudo_perplexity"] = _exp(pseudo_nll / n_tokens)
        elif "pseudo_perplexity" in names:
            raise DataError("pseudo_perplexity was not measured: set task.pseudo_perplexity=true")
        about = {"n_hidden": int(hidden)}
        return Scores(
            {name: found[name] for name in names},
            self.n_rows,
            {name: self.titles[name] for name in names},
            about,
        )


def _exp(mean_nll: float) -> float:
    return math.exp(min(mean_nll, 700.0))  # e^710 is no float any more
