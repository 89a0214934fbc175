"""Corpora of text files, from their specs."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, CorpusSpec, Row


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    for name, lines in {"train": 5, "val": 3, "test": 2}.items():
        for language in ("de", "en"):
            text = "".join(f"{name} {language} {n}\n" for n in range(lines)).encode()
            (folder / f"{name}.{language}").write_bytes(text)
        rows = "".join(f"{n}\t{name} en {n}\t{name} de {n}\n" for n in range(lines)).encode()
        (folder / f"{name}.tsv.gz").write_bytes(gzip.compress(rows))
    return folder


def build(name: str, folder: Path, **fields: Any) -> Corpus:
    built: Corpus = CORPUS.build(parse(CORPUS.entry(name).spec, spec_of(name, folder) | fields))
    return built


def spec_of(name: str, folder: Path) -> dict[str, Any]:
    paths = {"train": "train", "dev": "val", "test": "test"}
    if name == "parallel_text":
        return {"folder": str(folder), "source_language": "de", "target_language": "en"} | paths
    if name == "file_pairs":
        return {split: [f"{folder}/{stem}.de", f"{folder}/{stem}.en"] for split, stem in paths.items()}
    return {split: f"{folder}/{stem}.tsv.gz" for split, stem in paths.items()} | {
        "source_column": 3, "target_column": 2}  # fmt: skip


def pair(source: str, target: str, *references: str) -> Row:
    return {"source": source, "target": target, **({"references": list(references)} if references else {})}


def read(corpus: Corpus, split: str) -> list[Row]:
    return list(corpus.rows(split, bad_lines=BadLines("error")))


KINDS = ["parallel_text", "file_pairs", "tab_separated"]


@pytest.mark.parametrize("name", KINDS)
def test_each_layout_gives_the_same_pairs(folder: Path, name: str) -> None:
    corpus = build(name, folder)
    assert corpus.splits() == ["train", "dev", "test"]
    found = {split: read(corpus, split) for split in corpus.splits()}
    assert found["train"][4] == pair("train de 4", "train en 4")
    assert found["dev"] == [pair(f"val de {n}", f"val en {n}") for n in range(3)]
    assert [len(rows) for rows in found.values()] == [5, 3, 2]


@pytest.mark.parametrize("name", [*KINDS, "grammar"])
def test_every_row_has_the_fields_that_the_spec_says(folder: Path, name: str) -> None:
    fields = {"n_train": 5, "n_dev": 3, "n_test": 2} if name == "grammar" else spec_of(name, folder)
    spec = parse(CORPUS.entry(name).spec, fields)
    assert isinstance(spec, CorpusSpec)
    corpus = CORPUS.build(spec)
    assert all(tuple(row) == spec.fields for split in corpus.splits() for row in read(corpus, split))


def test_rows_are_read_as_they_are_asked_for(folder: Path) -> None:
    with (folder / "train.en").open("a") as file:
        file.write("one more\n")
    rows = build("parallel_text", folder).rows("train", bad_lines=BadLines("error"))
    assert next(rows) == pair("train de 0", "train en 0")
    with pytest.raises(DataError, match=r"train\.en:6: this line has no partner"):
        list(rows)


@pytest.mark.parametrize("name", KINDS)
def test_a_corpus_may_have_no_test_split(folder: Path, name: str) -> None:
    assert build(name, folder, test=None).splits() == ["train", "dev"]


@pytest.mark.parametrize("name", ["parallel_text", "file_pairs"])
def test_a_corpus_may_have_several_references(folder: Path, name: str) -> None:
    (folder / "test.en2").write_text("erste\n\n", encoding="utf-8")
    (folder / "val.en2.gz").write_bytes(gzip.compress(b"1\n2\n3\n"))
    home = "" if name == "parallel_text" else f"{folder}/"
    suffix = "" if name == "parallel_text" else ".gz"
    further = {"test_references": [f"{home}test.en2"], "dev_references": [f"{home}val.en2{suffix}"]}
    corpus, plain = build(name, folder, **further), build(name, folder)
    assert read(corpus, "test") == [
        pair("test de 0", "test en 0", "erste"),
        pair("test de 1", "test en 1", ""),
    ]
    assert read(corpus, "dev")[2] == pair("val de 2", "val en 2", "3")
    assert read(corpus, "train") == read(plain, "train")
    assert corpus.fingerprint("train") == plain.fingerprint("train")
    assert corpus.fingerprint("test") != plain.fingerprint("test")


def test_a_line_that_is_bad_in_a_further_reference_is_left_out(folder: Path) -> None:
    (folder / "test.en2").write_bytes(b"\xff\nzwei\n")
    corpus = build("parallel_text", folder, test_references=["test.en2"])
    assert list(corpus.rows("test", bad_lines=BadLines("skip"))) == [pair("test de 1", "test en 1", "zwei")]


@pytest.mark.parametrize("name", ["parallel_text", "file_pairs"])
def test_references_of_a_test_that_is_not_there_are_refused(folder: Path, name: str) -> None:
    given = spec_of(name, folder) | {"test": None, "test_references": ["x"]}
    with pytest.raises(SpecError, match=r"^data: test_references are given, but no test$"):
        parse(CORPUS.entry(name).spec, given, path="data")


@pytest.mark.parametrize("name", KINDS)
def test_the_fingerprint_follows_the_files_not_their_place(folder: Path, name: str) -> None:
    before = build(name, folder).fingerprint("train")
    assert build(name, folder).fingerprint("dev") != before
    assert build(name, folder, max_characters=77).fingerprint("train") != before
    moved = folder.rename(folder.with_name("there"))
    assert build(name, moved).fingerprint("train") == before
    changed = moved / ("train.tsv.gz" if name == "tab_separated" else "train.en")
    changed.write_bytes(changed.read_bytes().replace(b"4", b"5") + b"\0")
    assert build(name, moved).fingerprint("train") != before


@pytest.mark.parametrize("name", KINDS)
def test_the_limit_on_a_lines_length_is_the_specs(folder: Path, name: str) -> None:
    corpus = build(name, folder, max_characters=5)
    with pytest.raises(DataError, match=r"train.*:1: too long: (over 5 characters|\d+ characters, over 5)"):
        read(corpus, "train")


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_file_is_named_before_anything_is_read(folder: Path, name: str) -> None:
    for missing in ("val.en", "val.tsv.gz"):
        (folder / missing).unlink()
    with pytest.raises(DataError, match=r"val\.(en|tsv\.gz): (no such file|cannot be read)"):
        build(name, folder).fingerprint("dev")


def test_a_mistyped_stem_gets_a_suggestion(folder: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"vall\.de: no such file, nor with \.gz; say task\.data\.dev=STEM; did you mean 'val\.de'\?",
    ):
        build("parallel_text", folder, dev="vall")
    with pytest.raises(DataError, match=r"nowhere: no such folder \(looked for train\.de in it\)"):
        build("parallel_text", folder / "nowhere")


def test_gzipped_files_are_found_and_two_candidates_are_an_error(folder: Path) -> None:
    plain, zipped = folder / "train.de", folder / "train.de.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(DataError, match=r"train\.de: there is train\.de\.gz too"):
        build("parallel_text", folder)
    plain.unlink()
    assert len(read(build("parallel_text", folder), "train")) == 5


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("file_pairs", {"train": ["only.one"]}, "train"),
        ("tab_separated", {"source_column": 0}, "source_column"),
        ("parallel_text", {"source_language": ""}, "source_language"),
        ("grammar", {"source_language": "fr"}, "source_language"),
        ("grammar", {"n_train": 0}, "n_train"),
    ],
)
def test_a_spec_out_of_bounds_is_refused(name: str, fields: dict[str, Any], message: str) -> None:
    base = {} if name == "grammar" else spec_of(name, Path())
    with pytest.raises(SpecError, match=message):
        parse(CORPUS.entry(name).spec, base | fields)


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("parallel_text", {"target_language": "de"}, "both 'de'"),
        ("tab_separated", {"source_column": 2}, "both 2"),
    ],
)
def test_source_and_target_must_differ(name: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse(CORPUS.entry(name).spec, spec_of(name, Path()) | fields)
