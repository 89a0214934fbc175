"""Scores of tags: by hand, and spans against seqeval where it is installed."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from typing import Any

import pytest

from registry import parse
from zoo.data.store import text_array
from zoo.errors import DataError
from zoo.kinds import METRIC, Metric
from zoo.metrics.tagging import TaggingMetricSpec, is_span_tag, spans_of
from zoo.tasks.tagging import TagAnswer
from zoo.tasks.task import Refusal

ALL = ["accuracy", "precision", "recall", "f1"]


def metric() -> Metric:
    built: Metric = METRIC.build(parse(TaggingMetricSpec, {"report": ALL, "score": "f1"}))
    return built


def counted(answers: Sequence[str | None], wanted: Sequence[str]) -> Metric:
    found = metric()
    found.update(
        [Refusal("no") if tags is None else TagAnswer(tuple(tags.split()), ()) for tags in answers],
        [{"tags": text_array("\n".join(tags.split()))} for tags in wanted],
    )
    return found


def scores(answers: Sequence[str | None], wanted: Sequence[str]) -> dict[str, float]:
    return counted(answers, wanted).scores(ALL).values


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-A I-A O B-B", [("A", 1, 2), ("B", 4, 4)]),
        ("B-A B-A I-A", [("A", 0, 0), ("A", 1, 2)]),  # side by side
        ("I-A I-A O I-A", [("A", 0, 1), ("A", 3, 3)]),  # IOB, or a B that was forgotten
        ("B-A I-B I-B", [("A", 0, 0), ("B", 1, 2)]),  # another name begins another span
        ("S-A E-A B-A E-A E-A", [("A", 0, 0), ("A", 1, 1), ("A", 2, 3), ("A", 4, 4)]),
        ("B I O", [("", 0, 1)]),  # spans of one kind need no name
        ("B-A-1 I-A-1 I-A", [("A-1", 0, 1), ("A", 2, 2)]),
        ("", []),
    ],
)
def test_spans_by_hand(tags: str, expected: list[tuple[str, int, int]]) -> None:
    assert spans_of(tags.split()) == expected


def test_scores_by_hand() -> None:
    wanted = ["B-A I-A O B-B", "O B-A O"]
    answers = ["B-A I-A O B-A", "B-B O O"]  # of 3 spans one, of 3 answered one; of 7 words 4
    assert scores(answers, wanted) == pytest.approx(
        {"accuracy": 400 / 7, "precision": 100 / 3, "recall": 100 / 3, "f1": 100 / 3}
    )
    assert scores([*answers, "B-A"], [*wanted, "O"])["precision"] == pytest.approx(25)


def test_a_refused_sentence_has_no_tag_right() -> None:
    assert scores(["B-A", None], ["B-A", "B-A O"]) == pytest.approx(
        {"accuracy": 100 / 3, "precision": 100, "recall": 50, "f1": 200 / 3}
    )


def test_without_any_span_its_scores_are_0() -> None:
    assert scores(["O"], ["O"]) == {"accuracy": 100, "precision": 0, "recall": 0, "f1": 0}


def test_without_words_there_is_no_score() -> None:
    with pytest.raises(DataError, match="no words to score"):
        metric().scores(["accuracy"])


def test_counts_of_parts_add_up() -> None:
    wanted, answers = ["B-A O", "O B-B I-B", "B-A"], ["B-A O", "O B-B O", "O"]
    merged = metric()
    for i in (2, 0, 1):
        merged.merge(pickle.loads(pickle.dumps(counted([answers[i]], [wanted[i]]).state())))
    assert merged.scores(ALL) == counted(answers, wanted).scores(ALL)
    assert merged.n_rows == 3


def test_tags_of_spans_are_told_from_others() -> None:
    assert all(map(is_span_tag, ["O", "B", "I-PER", "S-a-b", "E-"]))
    assert not any(map(is_span_tag, ["NOUN", "ADJ", "INTJ", "b-PER", "OO", "", "B_PER"]))


def test_spans_are_those_of_seqeval() -> None:
    seqeval: Any = pytest.importorskip("seqeval.metrics")
    draw = random.Random(7)
    tags = ["O", *(f"{mark}-{name}" for mark in "BIES" for name in ("A", "B-C"))]
    for _ in range(200):
        wanted, answers = ([draw.choices(tags, k=n) for n in (1, 5, 9)] for _ in range(2))
        found = scores([" ".join(each) for each in answers], [" ".join(each) for each in wanted])
        for name in ("precision", "recall", "f1"):
            expected = getattr(seqeval, f"{name}_score")(wanted, answers, zero_division=0)
            assert found[name] == pytest.approx(100 * expected, abs=1e-9)
