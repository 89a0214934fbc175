"""Labelled brackets: worked out by hand from evalb's rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from zoo.data.store import text_array
from zoo.errors import DataError
from zoo.kinds import METRIC
from zoo.tasks.task import Refusal


@dataclass
class Answer:
    tree: str | None


def metric() -> Any:
    return METRIC.build(METRIC.entry("brackets").spec())


def scores(*pairs: tuple[Any, str]) -> dict[str, float]:
    found = metric()
    for answer, gold in pairs:
        found.update(
            [Answer(answer) if isinstance(answer, str | None) else answer], [{"tree": text_array(gold)}]
        )
    return dict(found.scores(found.report).values)


GOLD = "(ROOT (S (NP-SBJ (DT the) (NN dog)) (VP (VBD saw) (NP (DT a) (NN cat)) (PP (IN in) (NP (NN town)))) (. .)))"
# The phrase of the place hangs on the cat: S, NP, VP, NP, PP, NP are right; one NP more is found.
OTHER = "(ROOT (S (NP (X the) (X dog)) (VP (X saw) (NP (NP (X a) (X cat)) (PP (X in) (NP (X town))))) (X .)))"


def test_brackets_are_counted_as_by_hand() -> None:
    found = scores((OTHER, GOLD))
    assert found["recall"] == 100
    assert found["precision"] == pytest.approx(100 * 6 / 7)
    assert found["f1"] == pytest.approx(100 * 12 / 13)
    assert (found["exact"], found["valid"]) == (0, 100)


def test_the_right_tree_has_all() -> None:
    assert set(scores((GOLD, GOLD)).values()) == {100}


def test_punctuation_has_no_place() -> None:
    inside = "(ROOT (S (NP (X the) (X dog)) (VP (X saw) (NP (X a) (X cat)) (PP (X in) (NP (X town)) (X .)))))"
    assert scores((inside, GOLD))["f1"] == 100


def test_labels_must_agree_but_prt_is_advp() -> None:
    gold = "(S (VP (VB get) (PRT (RP up))))"
    assert scores(("(S (VP (X get) (ADVP (X up))))", gold))["f1"] == 100
    assert scores(("(S (VP (X get) (NP (X up))))", gold))["f1"] == pytest.approx(100 * 2 / 3)


def test_a_bracket_that_is_there_twice_must_be_found_twice() -> None:
    gold = "(NP (NP (NN a)) )"
    assert scores(("(NP (X a))", gold))["recall"] == 50
    assert scores((gold, gold))["recall"] == 100


def test_what_is_no_tree_has_no_brackets_but_counts() -> None:
    found = scores((None, GOLD), (GOLD, GOLD), (Refusal("too long"), GOLD))
    assert (found["precision"], found["recall"]) == (100, pytest.approx(100 / 3))
    assert (found["f1"], found["valid"], found["exact"]) == (
        50,
        pytest.approx(100 / 3),
        pytest.approx(100 / 3),
    )


def test_parts_add_up_to_the_whole() -> None:
    whole, first, second = metric(), metric(), metric()
    pairs = [(Answer(OTHER), GOLD), (Answer(None), GOLD), (Answer(GOLD), GOLD)]
    for number, (answer, gold) in enumerate(pairs):
        example = {"tree": text_array(gold)}
        whole.update([answer], [example])
        (first, second)[number % 2].update([answer], [example])
    second.merge(first.state())
    assert second.n_rows == 3
    assert second.scores(second.report) == whole.scores(whole.report)
    assert not whole.is_error


def test_without_a_tree_there_is_no_score() -> None:
    with pytest.raises(DataError, match="no trees"):
        metric().scores(["f1"])
