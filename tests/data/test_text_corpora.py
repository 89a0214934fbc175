"""Corpora of texts: plain files, JSON lines, and the embedded documents."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus

TEXT = "one\ntwo\n\n \nthree\r\n\nfour five\nsix\n"


def corpus(**given: Any) -> Corpus:
    built: Corpus = CORPUS.build(parse(CORPUS.entry(given["type"]).spec, given))
    return built


def texts(made: Corpus, split: str, policy: Any = "error") -> list[str]:
    return [row["text"] for row in made.rows(split, bad_lines=BadLines(policy))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "some.txt"
    path.write_bytes(TEXT.encode())
    return path


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("empty_line", ["one\ntwo", "three", "four five\nsix"]),
        ("line", ["one", "two", "three", "four five", "six"]),
        ("file", [TEXT.replace("\r", "")]),
    ],
)
def test_a_document_is_what_the_spec_says(file: Path, documents: str, expected: list[str]) -> None:
    zipped = file.with_suffix(".gz")
    zipped.write_bytes(gzip.compress(file.read_bytes()))
    for path in (file, zipped):
        made = corpus(type="text", train=str(path), dev=str(path), documents=documents)
        assert made.splits() == ["train", "dev"]
        assert texts(made, "train", "skip") == texts(made, "dev", "skip") == expected


def test_an_empty_line_is_bad_where_lines_are_documents(file: Path) -> None:
    made = corpus(type="text", train=str(file), dev=str(file), documents="line")
    with pytest.raises(DataError, match=r"some\.txt:3: empty line"):
        texts(made, "train")
    bad_lines = BadLines("skip")
    list(made.rows("train", bad_lines=bad_lines))
    assert bad_lines.counts == {"empty line": 3}


def test_a_part_without_a_document_is_told_with_what_a_document_is(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    file.write_text("a\nb\nc\n")  # no empty line: one document
    made = corpus(type="text", train=str(file), train_share=0.9)
    assert texts(made, "train") == ["a\nb\nc"]
    message = r"1 document in it, of which none begins in the part for dev \(.*train_share=0\.9\); .* than line, file"
    with pytest.raises(DataError, match=message):
        texts(made, "dev")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("documents", ["empty_line", "line", "file"])
def test_two_parts_of_a_file_are_all_of_it_and_as_long_as_was_asked(
    tmp_path: Path, documents: str, share: float
) -> None:
    file = tmp_path / "long.txt"
    text = "".join(f"line {n * n}\n" + "\n" * (n % 3 == 0) for n in range(200))
    file.write_text(text)
    whole = corpus(type="text", train=str(file), dev=str(file), documents=documents)
    made = corpus(type="text", train=str(file), train_share=share, documents=documents)
    parts = [texts(made, split, "skip") for split in ("train", "dev")]
    if documents == "file":
        assert parts == [[text[: int(len(text) * share)]], [text[int(len(text) * share) :]]]
    else:
        assert parts[0] + parts[1] == texts(whole, "train", "skip")
        n = sum(map(len, parts[0]))
        assert n / sum(len(document) for part in parts for document in part) == pytest.approx(share, abs=0.02)
    assert made.fingerprint("train") != made.fingerprint("dev")
    other = corpus(type="text", train=str(file), train_share=share / 2, documents=documents)
    assert made.fingerprint("train") != other.fingerprint("train")


@pytest.mark.parametrize("given", [{}, {"dev": "a", "train_share": 0.5}])
def test_either_a_second_file_or_a_share(given: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="say either dev, a file to validate on, or train_share"):
        parse(CORPUS.entry("text").spec, {"type": "text", "train": "a", **given})


@pytest.mark.parametrize("documents", ["empty_line", "line", "file"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b"a\nb\xffc\nd\n", r":2: broken UTF-8: byte 0xff at byte 2"),
        (b"a\nb\x00\nd\n", r":2: NUL: U\+0000 inside the line"),
        (b"", ": the file is empty"),
        (gzip.compress(b"a\n" * 9999, mtime=0)[:40], ": the compressed data is damaged or cut off here"),
    ],
)
def test_bad_text_is_named(tmp_path: Path, documents: str, bad: bytes, message: str) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(bad)
    made = corpus(type="text", train=str(file), train_share=0.5, documents=documents)
    with pytest.raises(DataError, match=r"bad\.txt(:\d+)?" + message):
        texts(made, "train")


def test_a_bad_line_that_is_skipped_is_left_out_of_its_document(tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_bytes(b"a\nb\xffc\nd\n\ne\n")
    bad_lines = BadLines("skip")
    made = corpus(type="text", train=str(file), dev=str(file))
    assert [row["text"] for row in made.rows("dev", bad_lines=bad_lines)] == ["a\nd", "e"]
    assert bad_lines.counts == {"broken UTF-8": 1}


def test_fields_of_objects_become_those_of_rows(tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    records = [{"content": "a\nb", "stars": 3, "more": None}, {"stars": 0, "content": "ü"}]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    columns = {"text": "content", "label": "stars"}
    spec = parse(
        CORPUS.entry("json_lines").spec,
        {"type": "json_lines", "train": str(file), "dev": str(file), "columns": columns},
    )
    assert spec.fields == ("text", "label")  # type: ignore[attr-defined]
    made = CORPUS.build(spec)
    rows = list(made.rows("train", bad_lines=BadLines("error")))
    assert rows == [{"text": "a\nb", "label": 3}, {"text": "ü", "label": 0}]
    plain = corpus(type="json_lines", train=str(file), dev=str(file))
    assert plain.fingerprint("train") != made.fingerprint("train") == made.fingerprint("dev")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "empty line"),
        ("{", "no JSON: expecting property name"),
        ("[" * 100_000, "no JSON: nested too deeply"),
        ("[1]", "no object: an object such as .* is asked for, got"),
        ("{}", "missing field: nothing under the key 'text'; it has no key at all"),
        ('{"Text": "a"}', "missing field: nothing under the key 'text'; did you mean 'Text'"),
        ('{"text": null}', "missing field: nothing under the key 'text'"),
        ('{"text": " "}', "empty field: nothing but spaces under the key 'text'"),
        ('{"text": "\\ud800"}', "broken text: a lone surrogate under the key 'text'"),
    ],
)
def test_a_bad_record_is_named(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(f'{{"text": "good"}}\n{line}\n{{"text": "better"}}\n')
    made = corpus(type="json_lines", train=str(file), dev=str(file), max_characters=200_000)
    with pytest.raises(DataError, match=rf"bad\.jsonl:2: {message}"):
        texts(made, "train")
    assert texts(made, "train", "skip") == ["good", "better"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"text": 5, "label": "a"},
            "no text: a text is asked for, and this is of type int under the key 'text'",
        ),
        ({"text": ["x"], "label": "a"}, "no text: a text is asked for, and this is of type list"),
        ({"text": "x", "label": float("nan")}, "no label: a name or a number is asked for, and this is nan"),
        (
            {"text": "x", "label": ["a"]},
            "no label: a name or a number is asked for, and this is of type list",
        ),
        (
            {"text": "x", "label": "a", "tokens": [1]},
            "no text: item 1: a text is asked for, and this is of type int",
        ),
        (
            {"text": "x", "label": "a", "tokens": ["\ud800"]},
            "broken text: a lone surrogate under the key 'tokens'",
        ),
        (
            {"text": "x", "label": "a", "tokens": 7},
            "no list: a list of texts is asked for, and this is of type int",
        ),
    ],
)
def test_a_field_of_json_is_what_its_name_says(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text(json.dumps(row) + "\n")
    given = {
        "type": "json_lines",
        "train": str(file),
        "dev": str(file),
        "columns": {name: name for name in row},
    }
    with pytest.raises(DataError, match=rf"bad\.jsonl:1: {message}"):
        texts(corpus(**given), "train")


def test_tokens_beside_labels_are_ids(tmp_path: Path) -> None:
    file = tmp_path / "ids.jsonl"
    file.write_text('{"tokens": [3, 4], "labels": [-1, 3]}\n')
    columns = {"tokens": "tokens", "labels": "labels"}
    made = corpus(type="json_lines", train=str(file), dev=str(file), columns=columns)
    assert list(made.rows("train", bad_lines=BadLines("error"))) == [{"tokens": [3, 4], "labels": [-1, 3]}]


def test_embedded_documents_have_1_to_6_sentences_and_share_none() -> None:
    made = corpus(type="grammar_text", n_train=120, n_dev=12, n_test=24)
    documents = {split: texts(made, split) for split in made.splits()}
    assert [len(documents[split]) for split in ("train", "dev", "test")] == [120, 12, 24]
    sentences = [
        sentence
        for split in documents.values()
        for document in split
        for sentence in document.replace("?", ".").split(".")
        if sentence.strip()
    ]
    assert len(set(sentences)) == len(sentences)
    counts = Counter(document.count(".") + document.count("?") for document in documents["train"])
    assert counts == dict.fromkeys(range(1, 7), 20)
    more = corpus(type="grammar_text", n_train=130, n_dev=12, n_test=24)
    assert texts(more, "test") == documents["test"]
    assert more.fingerprint("train") != made.fingerprint("train")
    assert more.fingerprint("test") == made.fingerprint("test")
