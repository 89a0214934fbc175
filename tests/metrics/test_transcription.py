"""Word and character error rates: by hand, and as torchmetrics has them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from torchmetrics.functional.text import char_error_rate, word_error_rate

from zoo.data.store import text_array
from zoo.errors import DataError
from zoo.generation.output import Output
from zoo.kinds import METRIC
from zoo.metrics.transcription import distance
from zoo.tasks.task import Refusal


def metric(**fields: Any) -> Any:
    spec = METRIC.entry("transcription").spec(report=("wer", "cer", "exact"), **fields)
    return METRIC.build(spec)


def counted(pairs: list[tuple[str, str]], **fields: Any) -> Any:
    found = metric(**fields)
    for hypothesis, reference in pairs:
        found.update([[Output(hypothesis, 0.0, [])]], [{"text": text_array(reference)}])
    return found


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("kitten", "sitting", 3),
        ("", "abc", 3),
        ("abc", "", 3),
        ("", "", 0),
        ("ab", "ba", 2),
        ("flaw", "lawn", 2),
    ],
)
def test_distances_are_those_known(first: str, second: str, expected: int) -> None:
    assert distance(first, second) == expected


def test_rates_are_errors_by_what_was_said() -> None:
    found = counted([("the cat sat", "the cat sat down"), ("a dog", "the dog"), ("yes", "yes")])
    values = found.scores(["wer", "cer", "exact"]).values
    assert values["wer"] == pytest.approx(100 * 2 / 7)
    assert values["cer"] == pytest.approx(100 * (5 + 3) / (16 + 7 + 3))
    assert values["exact"] == pytest.approx(100 / 3)
    assert found.is_error


def test_rates_are_those_of_torchmetrics() -> None:
    draw = random.Random(5)

    def text() -> str:
        return " ".join("".join(draw.choices("abc", k=draw.randint(1, 3))) for _ in range(draw.randint(1, 9)))

    pairs = [(text(), text()) for _ in range(60)]
    values = counted(pairs).scores(["wer", "cer"]).values
    hypotheses, references = zip(*pairs, strict=True)
    assert values["wer"] == pytest.approx(100 * float(word_error_rate(hypotheses, references)), rel=1e-5)
    assert values["cer"] == pytest.approx(100 * float(char_error_rate(hypotheses, references)), rel=1e-5)


def test_case_may_be_ignored_and_a_refusal_says_nothing() -> None:
    assert counted([("Yes", "yes")]).scores(["wer"]).values == {"wer": 100}
    assert counted([("Yes", "yes")], lowercase=True).scores(["wer"]).values == {"wer": 0}
    refused = metric()
    refused.update([Refusal("too long")], [{"text": text_array("a b")}])
    assert refused.scores(["wer"]).values == {"wer": 100}


def test_parts_add_up_to_the_whole() -> None:
    pairs = [("a b", "a c"), ("x", "x y"), ("", "z")]
    whole, first, second = counted(pairs), counted(pairs[:1]), counted(pairs[1:])
    second.merge(first.state())
    assert second.scores(second.report) == whole.scores(whole.report)
    assert second.n_rows == 3


def test_without_words_there_is_no_score() -> None:
    with pytest.raises(DataError, match="no words"):
        metric().scores(["wer"])
