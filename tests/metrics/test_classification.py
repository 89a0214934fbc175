"""Scores of classes and of numbers: by hand, and against torchmetrics."""

from __future__ import annotations

import itertools
import math
import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional as torchmetrics

from registry import SpecError, parse
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric
from zoo.tasks.task import Refusal
from zoo.tasks.text_classification import ClassAnswer, NumberAnswer


def metric(name: str, **fields: Any) -> Metric:
    built: Metric = METRIC.build(parse(METRIC.entry(name).spec, fields))
    return built


def counted(name: str, answers: Sequence[Any], labels: Sequence[float], **fields: Any) -> Metric:
    found = metric(name, **fields)
    found.update(
        [Refusal("no") if a is None else ClassAnswer("", a, {}) if name == "classification" else NumberAnswer(a)
         for a in answers],
        [{"label": np.array([label])} for label in labels],
    )  # fmt: skip
    return found


def scores(name: str, answers: Sequence[Any], labels: Sequence[float], **fields: Any) -> dict[str, float]:
    found = counted(name, answers, labels, **fields)
    return found.scores(found.report).values


def test_classes_by_hand() -> None:
    # Class 0: 2 of 3 found, 3 answered; class 1: 1 of 2 found, 2 answered.
    found = scores("classification", [0, 0, 1, 0, 1], [0, 0, 0, 1, 1])
    assert found["accuracy"] == pytest.approx(60)
    assert found["macro_f1"] == pytest.approx(100 * (2 * 2 / 6 + 2 * 1 / 4) / 2)
    # (2·1 - 1·1) / √(3·3·2·2)
    assert found["matthews"] == pytest.approx(100 / 6)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_classes_against_torchmetrics(n_classes: int) -> None:
    draw = torch.Generator().manual_seed(n_classes)
    labels, answers = (torch.randint(n_classes, (67,), generator=draw) for _ in range(2))
    answers[:20] = labels[:20]
    found = scores("classification", answers.tolist(), labels.tolist())
    given: dict[str, Any] = {"task": "multiclass", "num_classes": n_classes}
    expected = {
        "accuracy": torchmetrics.accuracy(answers, labels, average="micro", **given),
        "macro_f1": torchmetrics.f1_score(answers, labels, average="macro", **given),
        "matthews": torchmetrics.matthews_corrcoef(answers, labels, **given),
    }
    assert found == pytest.approx({name: 100 * float(value) for name, value in expected.items()}, rel=1e-5)


def test_a_refusal_is_a_wrong_answer_and_no_class() -> None:
    found = scores("classification", [0, None, 1], [0, 0, 1])
    assert found["accuracy"] == pytest.approx(200 / 3)
    assert found["macro_f1"] == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_a_class_that_is_never_met_is_in_no_mean_and_one_answer_for_all_correlates_with_nothing() -> None:
    assert scores("classification", [3, 3], [3, 3]) == {"accuracy": 100, "macro_f1": 100, "matthews": 0}
    assert scores("classification", [3, 3], [3, 7])["macro_f1"] == pytest.approx(100 * (2 / 3) / 2)


def test_numbers_by_hand() -> None:
    found = scores("regression", [1.0, 2.0, 4.0], [1.0, 3.0, 2.0])
    # deviations -4/3, -1/3, 5/3 and -1, 1, 0
    assert found["pearson"] == pytest.approx(100 * 1 / math.sqrt(42 / 9 * 2))
    assert found["mse"] == pytest.approx(5 / 3)
    assert found["mae"] == pytest.approx(1)


def test_numbers_against_torchmetrics() -> None:
    draw = torch.Generator().manual_seed(3)
    x, y = (torch.randn(53, generator=draw, dtype=torch.float64) for _ in range(2))
    found = scores("regression", (x + y).tolist(), y.tolist())
    expected = {
        "pearson": 100 * torchmetrics.pearson_corrcoef(x + y, y),
        "mse": torchmetrics.mean_squared_error(x + y, y),
        "mae": torchmetrics.mean_absolute_error(x + y, y),
    }
    assert found == pytest.approx({name: float(value) for name, value in expected.items()}, rel=1e-9)


def test_what_never_varies_correlates_with_nothing() -> None:
    assert scores("regression", [0.1] * 3, [1.0, 2.0, 3.0])["pearson"] == 0


def test_a_refused_row_has_no_number_but_is_said() -> None:
    found = counted("regression", [1.0, None, 3.0], [1.0, 9.0, 2.0])
    report = found.scores(["mse"])
    assert (report.values, report.n_rows, report.about) == ({"mse": 0.5}, 3, {"n_refused": 1})


@pytest.mark.parametrize(
    ("name", "answers", "labels"),
    [
        ("classification", [0, 2, None, 1, 1, 0, 2], [0, 1, 0, 1, 2, 0, 2]),
        ("regression", [0.1, 1e16, 0.3, None, -1e16, 0.7, 2.3], [0.3, 1.0, 0.2, 0.9, 4.0, 0.1, 0.7]),
    ],
)
def test_any_sharding_gives_the_same_to_the_last_bit(
    name: str, answers: Sequence[Any], labels: Sequence[float]
) -> None:
    whole = counted(name, answers, labels)
    expected = whole.scores(whole.report)
    for order in itertools.islice(itertools.permutations(range(7)), 0, 5040, 97):
        merged = metric(name)
        for rows in (order[:2], order[2:3], order[3:]):
            part = counted(name, [answers[i] for i in rows], [labels[i] for i in rows])
            merged.merge(pickle.loads(pickle.dumps(part.state())))
        assert merged.scores(merged.report) == expected


@pytest.mark.parametrize("name", ["classification", "regression"])
def test_without_rows_there_is_no_score(name: str) -> None:
    with pytest.raises(DataError, match=r"there are no (rows|numbers) to score"):
        metric(name).scores(metric(name).report)


@pytest.mark.parametrize(
    ("name", "score"), [("classification", "accuracy"), ("regression", "mae"), ("tagging", "f1")]
)
def test_a_report_names_no_score_twice(name: str, score: str) -> None:
    with pytest.raises(SpecError, match=f"report names a score twice: {score}, {score}"):
        metric(name, report=[score, score])


def test_errors_are_the_better_the_lower() -> None:
    assert metric("regression", score="mae").is_error
    assert not metric("regression").is_error
    assert not metric("classification").is_error
