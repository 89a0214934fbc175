"""Scores of forecasts, by numbers worked out by hand."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from registry import SpecError, parse
from zoo.errors import DataError
from zoo.kinds import METRIC
from zoo.metrics.forecast import ForecastMetric, ForecastMetricSpec
from zoo.tasks.task import Refusal

FUTURE = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
FORECAST = np.array([[1.5, 2.0], [1.0, 4.0]], np.float32)  # off by 0.5, 0, 2, 0


def metric() -> ForecastMetric:
    built: ForecastMetric = METRIC.build(ForecastMetricSpec())
    return built


def test_each_value_counts_alike() -> None:
    found = metric()
    found.update([FORECAST], [{"future": FUTURE}])
    scores = found.scores(["mse", "mae"])
    assert scores.values == {"mse": pytest.approx(4.25 / 4), "mae": pytest.approx(2.5 / 4)}
    assert scores.titles == {"mse": "MSE", "mae": "MAE"}
    assert scores.n_rows == 1
    assert found.is_error


def test_a_refusal_counts_as_a_forecast_of_the_mean() -> None:
    found = metric()
    found.update([Refusal("too short")], [{"future": FUTURE}])
    assert found.scores(["mse", "mae"]).values == {"mse": 30 / 4, "mae": 10 / 4}


def test_parts_in_any_order_say_the_same() -> None:
    draw = np.random.default_rng(3)
    rows = [(draw.normal(size=(3, 2)), {"future": draw.normal(size=(3, 2))}) for _ in range(9)]
    whole = metric()
    whole.update([answer for answer, _ in rows], [example for _, example in rows])
    merged = metric()
    for answer, example in rows[::-1]:
        part = metric()
        part.update([answer], [example])
        merged.merge(pickle.loads(pickle.dumps(part.state())))
    assert merged.scores(["mse", "mae"]) == whole.scores(["mse", "mae"])  # to the last bit
    json.dumps(merged.state())


def test_without_rows_there_is_no_score() -> None:
    with pytest.raises(DataError, match="no forecasts to score"):
        metric().scores(["mse"])


def test_a_score_named_twice_is_refused() -> None:
    with pytest.raises(SpecError, match="report names a score twice"):
        parse(ForecastMetricSpec, {"type": "forecast", "report": ["mse", "mse"]})
