"""Accuracy of what is asked for, by hand."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from registry import SpecError, parse
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric
from zoo.metrics.algorithmic import AlgorithmicMetricSpec
from zoo.tasks.algorithmic import Answered
from zoo.tasks.task import Refusal

LABELS = [[-1, 5, 6], [-1, 7, -1], [8, -1, 9, 9, -1], [-1, -1, 3, 4, 5]]
ANSWERS: list[Any] = [[5, 5, 6], [7, 8, 7], [8, 9, 9, 1, 9], None]  # right: 2 of 2, 0 of 1, 2 of 3, none of 3


def metric(**fields: Any) -> Metric:
    built: Metric = METRIC.build(parse(AlgorithmicMetricSpec, {"type": "algorithmic", **fields}))
    return built


def counted(rows: slice) -> Metric:
    found = metric()
    found.update(
        [Refusal("no") if tokens is None else Answered(tokens) for tokens in ANSWERS[rows]],
        [{"labels": np.array(labels)} for labels in LABELS[rows]],
    )
    return found


def test_scores_by_hand() -> None:
    scores = counted(slice(None)).scores(["accuracy", "exact"])
    assert scores.values == pytest.approx({"accuracy": 100 * 4 / 9, "exact": 25.0})
    assert scores.n_rows == 4
    by_length = scores.about["by_length"]
    assert list(by_length["accuracy"]) == ["3", "5"]
    assert by_length["accuracy"] == pytest.approx({"3": 100 * 2 / 3, "5": 100 * 2 / 6})
    assert by_length["exact"] == pytest.approx({"3": 50.0, "5": 0.0})


def test_only_the_scores_asked_for_are_told() -> None:
    scores = counted(slice(None)).scores(["exact"])
    assert list(scores.values) == list(scores.about["by_length"]) == list(scores.titles) == ["exact"]


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_parts_add_up_to_the_whole(cut: int) -> None:
    found = counted(slice(cut))
    found.merge(pickle.loads(pickle.dumps(counted(slice(cut, None)).state())))
    assert found.scores(["accuracy", "exact"]) == counted(slice(None)).scores(["accuracy", "exact"])


def test_nothing_has_no_score() -> None:
    with pytest.raises(DataError, match="there are no sequences to score"):
        metric().scores(["accuracy"])


def test_a_score_named_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="report names a score twice: exact, exact"):
        metric(report=["exact", "exact"])
