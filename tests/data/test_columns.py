"""Columns of TSV and CSV, and sentences of CoNLL's format: what is read, and what is said of bad data."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, CorpusSpec, Row


def built(name: str, folder: Path, text: str | bytes, **fields: Any) -> Corpus:
    file = folder / "train.txt"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    spec = parse(CORPUS.entry(name).spec, {"train": str(file), "dev": str(file), **fields}, path="data")
    assert isinstance(spec, CorpusSpec)
    corpus: Corpus = CORPUS.build(spec)
    return corpus


def rows(corpus: Corpus, policy: Any = "error") -> list[Row]:
    return list(corpus.rows("train", bad_lines=BadLines(policy)))


def columns(folder: Path, text: str | bytes, **fields: Any) -> Corpus:
    return built("columns", folder, text, **{"columns": ["label", "_", "text"], **fields})


CSV: dict[str, Any] = {"separator": "comma", "quoting": "double"}


def test_columns_are_named_in_order(tmp_path: Path) -> None:
    corpus = columns(tmp_path, '1\tx\tit is "good"\n0\ty\ta, b\n')
    assert rows(corpus) == [{"label": "1", "text": 'it is "good"'}, {"label": "0", "text": "a, b"}]
    assert corpus.splits() == ["train", "dev"]


def test_gzipped_columns_are_the_same(tmp_path: Path) -> None:
    assert rows(columns(tmp_path, gzip.compress(b"1\tx\tyes\n"))) == [{"label": "1", "text": "yes"}]


def test_quoted_cells_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    corpus = columns(tmp_path, '1,x,"a, ""b""\nc"\n0,y,d\n', **CSV)
    bad_lines = BadLines("error")
    found = corpus.rows("train", bad_lines=bad_lines)
    assert next(found) == {"label": "1", "text": 'a, "b"\nc'}
    assert bad_lines.line == 1
    assert next(found) == {"label": "0", "text": "d"}
    assert bad_lines.line == 3


def test_a_heading_is_left_out_or_says_the_columns(tmp_path: Path) -> None:
    text = "stars;id;review\n5;7;fine\n"
    listed = columns(tmp_path, text, separator="semicolon", heading=True)
    named = columns(
        tmp_path, text, separator="semicolon", heading=True, columns={"text": "review", "label": "stars"}
    )
    assert rows(listed) == rows(named) == [{"label": "5", "text": "fine"}]


def test_a_heading_without_a_column_is_refused_by_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.txt:1: the heading has no 'reviw'; did you mean 'review'\?"):
        rows(columns(tmp_path, "stars\treview\n5\tx\n", heading=True, columns={"text": "reviw"}))
    with pytest.raises(DataError, match=r"train\.txt:1: the heading names 'a' twice"):
        rows(columns(tmp_path, "a\ta\n5\tx\n", heading=True, columns={"text": "a"}))


@pytest.mark.parametrize(
    ("line", "fields", "message"),
    [
        (b"1\tx", {}, "other columns: 2 columns, where task.data.columns names 3"),
        (b"1\tx\ta\tb", {}, "other columns: 4 columns, where task.data.columns names 3"),
        (b"1\tx\t ", {}, "empty cell: nothing in column text"),
        (
            b'1\t"x\ty"\tz',
            {},
            "other columns: 4 columns, where task.data.columns names 3; if cells stand in quotes, set",
        ),
        (b"\n1\tx\tno", {}, "empty line"),
        (b"1\tx\t\xff", {}, "broken UTF-8: byte 0xff"),
        (b'1,x,"a"b', CSV, "bad quoting: ',' expected after '\"'"),
        (b'1,x,"a', CSV, "bad quoting: unexpected end of data"),
        (b'1,x,"a\xff"', CSV, "broken UTF-8"),
    ],
)
def test_a_bad_row_is_named_by_its_first_line_or_left_out_and_counted(
    tmp_path: Path, line: bytes, fields: dict[str, Any], message: str
) -> None:
    good = b"1\tx\tyes\n" if not fields else b'1,x,"y\nes"\n'
    corpus = columns(tmp_path, good + line + b"\n", **fields)
    with pytest.raises(DataError) as refused:
        rows(corpus)
    assert f"train.txt:{1 + good.count(10)}: {message}" in str(refused.value)
    bad_lines = BadLines("skip")
    assert len(list(corpus.rows("train", bad_lines=bad_lines))) == 1 + line.startswith(b"\n")
    assert bad_lines.counts == {message.partition(":")[0]: 1}


def test_a_bad_line_inside_a_quoted_cell_leaves_its_row_out_and_no_other(tmp_path: Path) -> None:
    corpus = columns(tmp_path, b'1,x,"a\n\xff\nb"\n0,y,c\n', **CSV)
    assert rows(corpus, "skip") == [{"label": "0", "text": "c"}]


def test_a_cell_may_be_as_long_as_the_spec_says(tmp_path: Path) -> None:
    text = "a" * 200_000  # over the csv module's own limit
    assert rows(columns(tmp_path, f"1,x,{text}\n", **CSV, max_characters=300_000))[0]["text"] == text


@pytest.mark.parametrize("text", ["", "label\ttext\n"])
def test_a_file_without_rows_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"train\.txt: (the file is empty|there is no row in it)"):
        rows(columns(tmp_path, text, heading=True))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"columns": ["_"]}, "columns names no field"),
        ({"columns": ["text", "text"]}, "columns names a field twice: text, text"),
        ({"columns": {"text": "review"}}, "columns are found by their names in a heading: set heading=true"),
    ],
)
def test_columns_that_cannot_be_read_are_refused(
    tmp_path: Path, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecError, match=f"^data: {message}"):
        columns(tmp_path, "", **fields)


def test_the_fingerprint_follows_bytes_and_settings(tmp_path: Path) -> None:
    first = columns(tmp_path, "1\tx\ty\n").fingerprint("train")
    assert columns(tmp_path, "1\tx\ty\n").fingerprint("train") == first
    assert columns(tmp_path, "1\tx\tz\n").fingerprint("train") != first
    assert columns(tmp_path, "1\tx\ty\n", quoting="double").fingerprint("train") != first
    assert columns(tmp_path, "1\tx\ty\n", columns=["_", "label", "text"]).fingerprint("train") != first


# CoNLL

CONLLU = """# text = Don't go.
1-2\tDon't\t_\t_
1\tDo\tdo\tAUX
2\tn't\tnot\tPART
2.1\tyou\tyou\tPRON
3\tgo\tgo\tVERB

# text = #
1\t#\t#\tSYM
"""


def conll(folder: Path, text: str | bytes, **fields: Any) -> Corpus:
    return built("conll", folder, text, **{"columns": {"tokens": 2, "tags": 4}, "ids": 1, **fields})


def test_sentences_of_a_treebank(tmp_path: Path) -> None:
    expected = [
        {"tokens": ["Do", "n't", "go"], "tags": ["AUX", "PART", "VERB"]},
        {"tokens": ["#"], "tags": ["SYM"]},
    ]
    corpus = conll(tmp_path, CONLLU)
    bad_lines = BadLines("error")
    found = [(row, bad_lines.line) for row in corpus.rows("train", bad_lines=bad_lines)]
    assert [row for row, _ in found] == expected
    assert [line for _, line in found] == [2, 9]
    assert rows(conll(tmp_path, CONLLU + "\n\n\n")) == expected  # empty lines make no sentence
    assert len(rows(conll(tmp_path, CONLLU, ids=None))[0]["tokens"]) == 5


def test_columns_by_names_and_from_the_last(tmp_path: Path) -> None:
    text = "# global.columns = ID FORM LEMMA UPOS\n" + CONLLU
    named = conll(tmp_path, text, columns={"tokens": "FORM", "tags": "UPOS"}, ids="ID")
    assert rows(named) == rows(conll(tmp_path, CONLLU))
    with pytest.raises(DataError, match=r"no column 'UPO'; did you mean 'UPOS'\?"):
        rows(conll(tmp_path, text, columns={"tokens": "FORM", "tags": "UPO"}))
    with pytest.raises(DataError, match=r"train\.txt:2: a word before any line `# global\.columns = "):
        rows(conll(tmp_path, CONLLU, columns={"tokens": "FORM"}))
    spaced = conll(
        tmp_path,
        "EU NNP  B-ORG\n# X   O\n",
        columns={"tokens": 1, "tags": -1},
        separator="spaces",
        comment=None,
        ids=None,
    )
    assert rows(spaced) == [{"tokens": ["EU", "#"], "tags": ["B-ORG", "O"]}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"2\tb", "missing column: column 4 is wanted, and there are 2"),
        (b"2\tb\tb\t ", "empty cell: nothing in column 4"),
        (b"2\t\xff\tb\tX", "broken UTF-8: byte 0xff"),
    ],
)
def test_a_bad_line_is_named_and_its_sentence_left_out(tmp_path: Path, line: bytes, message: str) -> None:
    corpus = conll(tmp_path, b"1\ta\ta\tX\n" + line + b"\n3\tc\n\n1\td\td\tY\n")
    with pytest.raises(DataError) as refused:
        rows(corpus)
    assert f"train.txt:2: {message}" in str(refused.value)
    bad_lines = BadLines("skip")
    assert list(corpus.rows("train", bad_lines=bad_lines)) == [{"tokens": ["d"], "tags": ["Y"]}]
    assert bad_lines.counts == {message.partition(":")[0]: 1}


@pytest.mark.parametrize("text", ["", "# a comment\n\n"])
def test_a_file_without_sentences_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"train\.txt: there is no sentence in it"):
        rows(conll(tmp_path, text))


def test_no_column_is_0(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"^data: a column is 0; they are counted from 1"):
        conll(tmp_path, CONLLU, columns={"tokens": 0})


# The grammar's sentences


def grammar(**fields: int) -> Corpus:
    spec = CORPUS.entry("grammar_sentences").spec
    corpus: Corpus = CORPUS.build(parse(spec, {"n_train": 300, "n_dev": 20, "n_test": 20, **fields}))
    return corpus


def test_the_grammars_sentences_are_labelled_by_their_trees() -> None:
    found = {row["text"]: row for row in rows(grammar())}
    assert {row["label"] for row in found.values()} == {"question", "past", "present", "future"}
    assert all((row["label"] == "question") == text.endswith("?") for text, row in found.items())
    for row in found.values():
        assert len(row["tokens"]) == len(row["tags"])
        assert "".join(row["tokens"]) == row["text"].replace(" ", "")
    assert {tag[2:] for row in found.values() for tag in row["tags"]} == {
        "",
        "SUBJECT",
        "OBJECT",
        "PLACE",
        "TIME",
    }


def test_the_grammars_words_are_tagged_by_their_trees() -> None:
    found = {
        row["text"]: " ".join(row["tags"])
        for row in grammar(n_test=40).rows("test", bad_lines=BadLines("error"))
    }
    assert found["The happy child wants to run to the hospital with famous customers."] == (
        "B-SUBJECT I-SUBJECT I-SUBJECT O O O B-PLACE I-PLACE I-PLACE O O O O"
    )
    assert found["Your father will wake up your hungry rabbits."] == (
        "B-SUBJECT I-SUBJECT O O O B-OBJECT I-OBJECT I-OBJECT O"
    )


def test_splits_of_the_grammars_sentences_share_none_and_stay_when_train_grows() -> None:
    corpus, larger = grammar(), grammar(n_train=400)
    texts = {
        split: [row["text"] for row in corpus.rows(split, bad_lines=BadLines("error"))]
        for split in corpus.splits()
    }
    assert len({text for found in texts.values() for text in found}) == 340
    assert larger.fingerprint("test") == corpus.fingerprint("test")
    assert larger.fingerprint("train") != corpus.fingerprint("train")
    assert grammar(seed=2).fingerprint("test") != corpus.fingerprint("test")
