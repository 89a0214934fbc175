"""Trees in brackets: read, cleaned, written as symbols, made again, and what is no tree."""

from __future__ import annotations

import gzip
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from registry import SpecError
from registry import parse as parse_spec
from zoo.data.bad_lines import BadLines
from zoo.data.brackets import Leaf, Tree, bracketed, leaves, parse, spans, symbols, with_words
from zoo.data.grammar import english
from zoo.data.grammar.constituents import bracketed as in_brackets
from zoo.data.grammar.sampling import Sampler
from zoo.errors import DataError
from zoo.kinds import CORPUS

SENTENCE = "(ROOT (S (NP-SBJ-1 (DT the) (NN dog)) (VP (VBZ barks) (NP (-NONE- *T*-1))) (. .)))"
CLEAN = "(ROOT (S (NP (DT the) (NN dog)) (VP (VBZ barks)) (. .)))"


def test_functions_indices_and_traces_are_left_out() -> None:
    (tree,) = parse(SENTENCE)
    noun = Tree("NP", (Leaf("DT", "the"), Leaf("NN", "dog")))
    assert tree == Tree("S", (noun, Tree("VP", (Leaf("VBZ", "barks"),)), Leaf(".", ".")))
    assert bracketed(parse(SENTENCE)) == CLEAN
    assert [leaf.tag for leaf in leaves(parse("(S (-LRB- -LRB-) (NN a=b))"))] == ["-LRB-", "NN"]


def test_a_line_of_symbols_is_that_of_vinyals_and_others() -> None:
    # Figure 2 there: "John has a dog ."
    tree = parse("(S (NP (NNP John)) (VP (VBZ has) (NP (DT a) (NN dog))) (. .))")
    assert " ".join(symbols(tree)) == "(S (NP XX )NP (VP XX (NP XX XX )NP )VP XX )S"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("(S (NN a)", "character 1: this bracket is not closed"),
        ("(S (NN a)))", r"character 11: '\)' after the end"),
        ("(S (NN a)) (S (NN b))", r"character 12: '\(' after the end"),
        ("a b", "character 1: 'a' outside"),
        ("(S (NN a) b)", "character 11: the word 'b' has no bracket"),
        ("(S (NN a b))", "character 10: the word 'b' has no bracket"),
        ("(S (NN a (NN b)))", "character 10: a bracket beside the word 'a'"),
        ("(S (NP ) (NN a))", "character 4: a bracket with nothing in it"),
        ("(S (-NONE- a))", "no word in it"),
        ("", "no tree"),
    ],
)
def test_what_is_no_tree_is_said_with_its_place(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse(text)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("(S XX XX", "bracket S is not closed"),
        ("(S XX XX )NP", r"\)NP closes no bracket"),
        ("(S XX XX )S )S", r"\)S closes no bracket"),
        ("(S XX )S", "1 words, of 2"),
        ("(S XX XX XX )S", "more than 2"),
        ("(S (NP )NP XX XX )S", "nothing is in the bracket NP"),
        ("(S XX ⁇ XX )S", "no symbol"),
    ],
)
def test_what_is_no_line_of_a_tree_is_none(line: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        with_words(line.split(), [Leaf("NN", "a"), Leaf("NN", "b")])


def test_trees_of_the_grammar_come_back_from_their_symbols_and_hold_its_sentences() -> None:
    sampler = Sampler(5)
    labels: Counter[str] = Counter()
    for _ in range(500):
        drawn = sampler.sentence()
        whole = english.constituents(drawn)
        trees = parse(in_brackets(whole))
        words = leaves(trees)
        text = " ".join(leaf.word for leaf in words).replace(" ,", ",")
        text = text[:-2] + text[-1]
        assert text[0].upper() + text[1:] == english.sentence(drawn)
        assert with_words(symbols(trees), words) == trees
        assert parse(bracketed(trees)) == trees
        labels.update(symbol[1:] for symbol in symbols(trees) if symbol.startswith("("))
    assert set(labels) >= {"S", "NP", "VP", "PP", "SBAR", "SQ", "SBARQ", "WHNP", "ADVP", "ADJP", "PRT"}


def test_brackets_stand_between_the_words_that_count() -> None:
    trees = parse("(S (NP (DT the) (: --) (NN dog)) (VP (VBZ barks) (ADVP (. !))))")
    is_counted = [leaf.tag not in (":", ".") for leaf in leaves(trees)]
    assert spans(trees, is_counted) == {("S", 0, 3): 1, ("NP", 0, 2): 1, ("VP", 2, 3): 1}


def corpus(folder: Path, **fields: Any) -> Any:
    given = {"type": "brackets", "train": f"{folder}/train", "dev": f"{folder}/dev", **fields}
    return CORPUS.build(parse_spec(CORPUS.entry("brackets").spec, given))


def test_trees_are_read_from_plain_and_packed_files_and_from_a_column(tmp_path: Path) -> None:
    (tmp_path / "train").write_text(f"{SENTENCE}\n{CLEAN}\n", encoding="utf-8")
    (tmp_path / "dev").write_bytes(gzip.compress(f"document\t{SENTENCE}\n".encode()))
    plain = list(corpus(tmp_path).rows("train", bad_lines=BadLines("error")))
    assert plain == [{"tree": SENTENCE}, {"tree": CLEAN}]
    second = corpus(tmp_path, column=2)
    assert list(second.rows("dev", bad_lines=BadLines("error"))) == [{"tree": SENTENCE}]
    assert second.fingerprint("dev") != corpus(tmp_path).fingerprint("dev")
    assert second.splits() == ["train", "dev"]


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (b"(S (NN a)\n", "train:2: no tree: character 1: this bracket is not closed"),
        (b" \n", "train:2: empty line"),
        (b"(S (NN \xff))\n", "train:2: broken UTF-8"),
    ],
)
def test_a_bad_line_is_named_or_counted(tmp_path: Path, bad: bytes, fault: str) -> None:
    (tmp_path / "train").write_bytes(f"{CLEAN}\n".encode() + bad + f"{SENTENCE}\n".encode())
    with pytest.raises(DataError, match=fault):
        list(corpus(tmp_path).rows("train", bad_lines=BadLines("error")))
    skipped = BadLines("skip")
    assert len(list(corpus(tmp_path).rows("train", bad_lines=skipped))) == 2
    assert skipped.counts.total() == 1


TREEBANK = """
( (S
    (NP-SBJ (PRP it))
\t(VP (VBZ works)) ))

( (NP (NN this)))
( (S (NP (PRP he))
  (VP (VBD \xff)))
( (S (NP (PRP she))
  (VP (VBD ran))
( (NP (NN that)))

"""


def test_trees_may_go_over_several_lines_as_in_the_penn_treebank(tmp_path: Path) -> None:
    data = TREEBANK.encode("latin-1")
    good = b"\n".join(data.splitlines()[:6])
    (tmp_path / "train").write_bytes(good)
    found = list(corpus(tmp_path, lines="several").rows("train", bad_lines=BadLines("error")))
    assert [parse(row["tree"]) for row in found] == [
        parse("(S (NP-SBJ (PRP it)) (VP (VBZ works)))"),
        parse("(NP (NN this))"),
    ]
    with pytest.raises(
        DataError,
        match=r"train:1: empty line|no tree: .*; if a tree goes over several lines, set task\.data\.lines",
    ):
        list(corpus(tmp_path).rows("train", bad_lines=BadLines("error")))


def test_of_trees_of_several_lines_bad_ones_are_left_out_whole(tmp_path: Path) -> None:
    (tmp_path / "train").write_bytes(TREEBANK.encode("latin-1"))
    several = corpus(tmp_path, lines="several")
    with pytest.raises(DataError, match="train:7: no tree: character 3: this bracket is not closed"):
        list(several.rows("train", bad_lines=BadLines("error")))
    skipped = BadLines("skip")
    found = [row["tree"] for row in several.rows("train", bad_lines=skipped)]
    assert found[1:] == ["( (NP (NN this)))", "( (NP (NN that)))"]
    assert skipped.counts == {"no tree": 2, "broken UTF-8": 1}
    with pytest.raises(SpecError, match="trees of several lines stand in no column 2"):
        corpus(tmp_path, lines="several", column=2)


def test_a_missing_column_and_an_empty_file_are_said(tmp_path: Path) -> None:
    (tmp_path / "train").write_text(f"{CLEAN}\n", encoding="utf-8")
    (tmp_path / "dev").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="train:1: missing column: column 2 is wanted, and there is 1"):
        list(corpus(tmp_path, column=2).rows("train", bad_lines=BadLines("error")))
    with pytest.raises(DataError, match="dev: the file is empty"):
        list(corpus(tmp_path).rows("dev", bad_lines=BadLines("error")))


def test_generated_splits_share_no_tree_and_the_test_set_stays() -> None:
    def built(n: int) -> Any:
        return CORPUS.build(CORPUS.entry("grammar_trees").spec(n_train=n, n_dev=20, n_test=30))

    rows = {split: list(built(50).rows(split, bad_lines=BadLines("error"))) for split in built(50).splits()}
    assert {split: len(trees) for split, trees in rows.items()} == {"train": 50, "dev": 20, "test": 30}
    assert len({row["tree"] for trees in rows.values() for row in trees}) == 100
    assert built(50).fingerprint("test") == built(70).fingerprint("test")
    assert built(50).fingerprint("train") != built(70).fingerprint("train")


def test_a_line_with_parts_of_speech_says_those_of_its_trees() -> None:
    trees = parse("(ROOT (S (NP (DT the) (NN dog)) (VP (VBZ barks))))")
    line = symbols(trees, with_tags=True)
    assert line == ["(S", "(NP", "DT", "NN", ")NP", "(VP", "VBZ", ")VP", ")S"]
    words = [Leaf("XX", word) for word in ("the", "dog", "barks")]
    assert with_words(line, words) == trees
    with pytest.raises(ValueError, match="more than 3 words"):
        with_words([*line, "NN"], words)
