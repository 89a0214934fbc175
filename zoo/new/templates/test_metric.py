"""What this metric promises."""

import pytest
from zoo.data.store import Example, text_array
from zoo.errors import DataError
from zoo.generation.output import Output
from zoo.kinds import METRIC
from zoo.tasks.task import Refusal

from my_part import MyPart, MyPartSpec


def metric() -> MyPart:
    return METRIC.build(MyPartSpec())


def examples(*texts: str) -> list[Example]:
    return [{"references": text_array(text)} for text in texts]


def test_one_of_three_is_exact_and_two_begin_well() -> None:
    found = metric()
    answers = [[Output("a b", 0.0, [])], [Output("a c", 0.0, [])], Refusal("too long")]
    found.update(answers, examples("a b", "a d", "e"))
    scores = found.scores(["exact", "first_word"]).values
    assert scores == pytest.approx({"exact": 100 / 3, "first_word": 200 / 3})


def test_parts_add_up_to_the_whole() -> None:
    first, second = metric(), metric()
    first.update([[Output("a", 0.0, [])]], examples("a"))
    second.update([[Output("b", 0.0, [])]], examples("c"))
    first.merge(second.state())
    assert (first.n_rows, first.scores(["exact"]).values) == (2, {"exact": 50.0})


def test_without_rows_there_is_nothing_to_score() -> None:
    with pytest.raises(DataError):
        metric().scores(["exact"])
