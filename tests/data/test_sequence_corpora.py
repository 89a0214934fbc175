"""Generated long-range sequences: what is asked follows from what stands before it, by slow solvers of our own."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.data.corpora._sequences import ASK, BLANK, N_MARKS
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, Row
from zoo.special_ids import NOT_ASKED

KINDS = ("copy", "selective_copy", "associative_recall", "induction", "sorting")
SIZES = {"n_train": 60, "n_dev": 9, "n_test": 14}


def of(name: str, **fields: Any) -> Corpus:
    built: Corpus = CORPUS.build(parse(CORPUS.entry(name).spec, {"type": name, **SIZES, **fields}))
    return built


def read(corpus: Corpus, split: str) -> list[Row]:
    return list(corpus.rows(split, bad_lines=BadLines("error")))


def pairs(corpus: Corpus, split: str) -> list[tuple[list[int], list[int]]]:
    return [(row["tokens"].tolist(), row["labels"].tolist()) for row in read(corpus, split)]


# Solvers: tokens in, labels out. Written from what each task is, knowing nothing of how its sequences are made.


def copied(tokens: list[int]) -> list[int]:
    symbols = iter([token for token in tokens if token not in (BLANK, ASK)])
    return [next(symbols) if token == ASK else NOT_ASKED for token in tokens]


def recalled(tokens: list[int], vocab_size: int = 8) -> list[int]:
    known: dict[int, int] = {}
    labels = [NOT_ASKED] * len(tokens)
    for place, token in enumerate(tokens):
        if not N_MARKS <= token < N_MARKS + vocab_size // 2:
            continue
        if token in known:
            labels[place] = known[token]
        else:
            known[token] = tokens[place + 1]
    return labels


def followed(tokens: list[int]) -> list[int]:
    return [NOT_ASKED] * (len(tokens) - 1) + [tokens[tokens.index(ASK) + 1]]


def sorted_out(tokens: list[int]) -> list[int]:
    left = [token for token in tokens if token != ASK]
    labels = []
    for token in tokens:
        labels.append(min(left) if token == ASK else NOT_ASKED)
        if token == ASK:
            left.remove(min(left))
    return labels


SOLVERS: dict[str, Callable[[list[int]], list[int]]] = {
    "copy": copied,
    "selective_copy": copied,
    "associative_recall": recalled,
    "induction": followed,
    "sorting": sorted_out,
}


@pytest.mark.parametrize(
    ("name", "tokens", "labels"),
    [
        ("copy", [7, 5, 7, 1, 1, 2, 2, 2], [-1, -1, -1, -1, -1, 7, 5, 7]),
        ("selective_copy", [1, 9, 1, 1, 3, 2, 2], [-1, -1, -1, -1, -1, 9, 3]),
        ("associative_recall", [4, 10, 6, 7, 6, 1, 4], [-1, -1, -1, -1, 7, -1, 10]),
        ("induction", [5, 2, 8, 5, 8, 9, 2], [-1, -1, -1, -1, -1, -1, 8]),
        ("sorting", [9, 3, 9, 4, 2, 2, 2, 2], [-1, -1, -1, -1, 3, 4, 9, 9]),
    ],
)
def test_the_solvers_solve_what_was_solved_by_hand(name: str, tokens: list[int], labels: list[int]) -> None:
    assert SOLVERS[name](tokens) == labels


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize("name", KINDS)
def test_what_is_asked_follows_from_what_stands_there(name: str, split: str) -> None:
    for tokens, labels in pairs(of(name), split):
        assert labels == SOLVERS[name](tokens)


@pytest.mark.parametrize("name", KINDS)
def test_lengths_are_those_asked_for_in_turn(name: str) -> None:
    corpus = of(name, lengths=[24, 18], test_lengths=[30, 20, 26])
    for split, lengths in (("train", [24, 18]), ("dev", [24, 18]), ("test", [30, 20, 26])):
        found = [len(tokens) for tokens, _ in pairs(corpus, split)]
        assert found == list(itertools.islice(itertools.cycle(lengths), SIZES[f"n_{split}"]))


def test_a_copy_is_symbols_then_a_gap_then_marks() -> None:
    for tokens, _ in pairs(of("copy", n_symbols=3, lengths=[11]), "train"):
        assert min(tokens[:3]) >= N_MARKS
        assert tokens[3:] == [BLANK] * 5 + [ASK] * 3


def test_symbols_to_be_selected_stand_anywhere_before_the_marks() -> None:
    rows = [
        tokens for tokens, _ in pairs(of("selective_copy", n_symbols=3, lengths=[9], n_train=300), "train")
    ]
    assert {tuple(tokens[6:]) for tokens in rows} == {(ASK,) * 3}
    assert {sum(token >= N_MARKS for token in tokens) for tokens in rows} == {3}
    assert len({tuple(token >= N_MARKS for token in tokens) for tokens in rows}) == 20  # 6 over 3


def test_keys_differ_and_each_is_asked_about_once() -> None:
    orders = set()
    for tokens, labels in pairs(
        of("associative_recall", n_pairs=3, vocab_size=8, lengths=[11], n_train=300), "train"
    ):
        keys, values = tokens[0:6:2], tokens[1:6:2]
        assert len(set(keys)) == 3
        assert set(keys) <= {3, 4, 5, 6}
        assert set(values) <= {7, 8, 9, 10}
        asked = [token for token in tokens[6:] if token != BLANK]
        assert sorted(asked) == sorted(keys)
        assert sum(label != NOT_ASKED for label in labels) == 3
        orders.add(tuple(keys.index(key) for key in asked))
    assert orders == set(itertools.permutations(range(3)))


def test_the_mark_of_an_induction_stands_anywhere_that_has_a_symbol_behind_it() -> None:
    rows = [tokens for tokens, _ in pairs(of("induction", lengths=[9], n_train=300), "train")]
    assert {tokens.index(ASK) for tokens in rows} == set(range(7))
    assert {(tokens.count(ASK), tokens[-1]) for tokens in rows} == {(2, ASK)}


@pytest.mark.parametrize("name", KINDS)
def test_every_symbol_of_the_vocabulary_and_no_other_is_drawn(name: str) -> None:
    tokens = {
        token
        for tokens, _ in pairs(of(name, vocab_size=9, lengths=[14, 16], **few(name)), "train")
        for token in tokens
    }
    assert tokens - {BLANK, ASK} == set(range(N_MARKS, N_MARKS + 9))


def few(name: str) -> dict[str, int]:
    return {
        "associative_recall": {"n_pairs": 3},
        "copy": {"n_symbols": 3},
        "selective_copy": {"n_symbols": 3},
    }.get(name, {})


@pytest.mark.parametrize("name", KINDS)
def test_sequences_are_a_pure_function_of_the_seed_and_no_split_has_those_of_another(name: str) -> None:
    splits = {split: pairs(of(name), split) for split in ("test", "dev", "train")}
    assert splits == {split: pairs(of(name), split) for split in splits}
    assert all(rows != pairs(of(name, seed=2), split) for split, rows in splits.items())
    found = [{tuple(tokens) for tokens, _ in rows} for rows in splits.values()]
    assert [len(each) for each in found[:2]] == [14, 9]
    assert not any(a & b for a, b in itertools.combinations(found, 2))


@pytest.mark.parametrize("name", KINDS)
def test_what_is_measured_on_stays_when_there_is_more_to_learn_from(name: str) -> None:
    few, many = of(name), of(name, n_train=90)
    assert pairs(few, "dev") == pairs(many, "dev")
    assert pairs(few, "test") == pairs(many, "test")
    assert pairs(few, "train") == pairs(many, "train")[:60]


def test_where_there_are_few_sequences_what_is_learnt_from_repeats_but_is_never_measured_on() -> None:
    small = {"vocab_size": 2, "n_symbols": 3, "lengths": [6], "test_lengths": [6]}  # of which there are 8
    corpus = of("copy", **small, n_test=3, n_dev=3, n_train=40)
    test, dev, train = (
        {tuple(tokens) for tokens, _ in pairs(corpus, split)} for split in ("test", "dev", "train")
    )
    assert (len(test), len(dev), len(train)) == (3, 3, 2)
    assert len(test | dev | train) == 8


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (
            {"n_test": 9, "n_dev": 1},
            r"test: after 8 sequences none of 6 tokens is found that is new; .* ask for fewer",
        ),
        (
            {"n_test": 5, "n_dev": 3, "n_train": 1},
            "train: after 0 sequences none of 6 tokens is found that is new",
        ),
    ],
)
def test_more_sequences_than_there_are_are_refused(sizes: dict[str, int], message: str) -> None:
    corpus = of("copy", vocab_size=2, n_symbols=3, lengths=[6], test_lengths=[6], **sizes)
    with pytest.raises(DataError, match=message):
        read(corpus, "train")


@pytest.mark.parametrize("name", KINDS)
def test_a_fingerprint_changes_with_what_is_drawn_and_with_nothing_else(name: str) -> None:
    fields: list[dict[str, Any]] = [
        {},
        {"seed": 2},
        {"vocab_size": 9},
        {"lengths": [16, 32]},
        {"n_train": 61},
    ]
    prints = [of(name, **each).fingerprint("train") for each in fields]
    assert len(set(prints)) == len(fields)
    assert prints[0] == of(name, **fields[0]).fingerprint("train")
    assert of(name, n_train=61).fingerprint("dev") == of(name).fingerprint("dev") != prints[0]


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("copy", {"lengths": [0]}, r"lengths\.0: must be at least 1, got 0"),
        ("copy", {"lengths": []}, "lengths: "),
        ("copy", {"n_symbols": 0}, "n_symbols: must be at least 1, got 0"),
        ("sorting", {"vocab_size": 1}, "vocab_size: must be at least 2, got 1"),
        ("copy", {"n_symbols": 9, "lengths": [20, 17]}, "lengths: 17 is too short: copy needs 18 or more"),
        ("selective_copy", {"n_symbols": 9}, "lengths: 12 is too short: selective_copy needs 18 or more"),
        (
            "associative_recall",
            {"test_lengths": [11]},
            "test_lengths: 11 is too short: associative_recall needs 12",
        ),
        (
            "associative_recall",
            {"vocab_size": 7},
            r"vocab_size \(7\) must be 8 or more: half of the symbols are keys",
        ),
        ("induction", {"lengths": [2]}, "lengths: 2 is too short: induction needs 3 or more"),
        ("sorting", {"lengths": [16, 7]}, "a length must be even, .*: 7"),
        ("sorting", {"test_lengths": [8, 8]}, "test_lengths names a length twice: 8, 8"),
    ],
)
def test_numbers_that_do_not_go_together_are_refused(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        of(name, **fields)


def test_ids_are_counted_with_those_of_the_marks() -> None:
    spec: Any = parse(CORPUS.entry("sorting").spec, {"type": "sorting", "vocab_size": 9})
    tokens = np.concatenate([row["tokens"] for row in read(of("sorting", vocab_size=9), "train")])
    assert spec.n_ids == tokens.max() + 1 == 12
