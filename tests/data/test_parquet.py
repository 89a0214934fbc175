"""Parquet files: which columns become which fields, and what is said of bad rows and files."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.data.cache import Rejected, encoded
from zoo.data.corpora import _tables
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, Row


def write(path: Path, columns: dict[str, Any], **further: Any) -> Path:
    pq.write_table(pa.table(columns), path, **further)
    return path


def corpus(*files: Path, **given: Any) -> Corpus:
    paths = [str(path) for path in files]
    spec = parse(CORPUS.entry("parquet").spec, {"type": "parquet", "train": paths, "dev": paths[0], **given})
    built: Corpus = CORPUS.build(spec)
    return built


def rows(made: Corpus, policy: Any = "error") -> list[Row]:
    return list(made.rows("train", bad_lines=BadLines(policy)))


def png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


PNG = png(np.zeros((2, 2, 3), np.uint8))


def test_columns_become_fields_and_others_are_not_read(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"id": [7, 8], "stars": [3, 0], "review": ["fine", "ü\nb"]})
    made = corpus(file, columns={"text": "review", "label": "stars"})
    assert rows(made) == [{"text": "fine", "label": "3"}, {"text": "ü\nb", "label": "0"}]
    assert made.splits() == ["train", "dev"]
    assert made.where("dev") == str(file)


@pytest.mark.parametrize(
    ("column", "labels"),
    [
        (pa.array(["b", "a"]).dictionary_encode(), ["b", "a"]),
        (pa.array(["b", "a"], pa.large_string()), ["b", "a"]),
        (pa.array([0.1, -2.0]), ["0.1", "-2.0"]),
        (pa.array([True, False]), ["True", "False"]),
        (pa.array([2, 1], pa.uint8()), ["2", "1"]),
    ],
)
def test_labels_are_texts_whatever_the_column_holds(tmp_path: Path, column: Any, labels: list[str]) -> None:
    made = corpus(write(tmp_path / "a.parquet", {"text": ["x", "y"], "l": column}), columns={"label": "l"})
    assert [row["label"] for row in rows(made)] == labels


def test_a_part_of_a_column_is_named_behind_a_point(tmp_path: Path) -> None:
    pairs = [{"en": "a dog", "de": "ein Hund"}, {"en": "two", "de": "zwei"}]
    file = write(tmp_path / "a.parquet", {"translation": pairs, "translation.de": ["x", "y"]})
    made = corpus(file, columns={"source": "translation.en", "target": "translation.de"})
    # A column of the whole name goes before.
    assert rows(made) == [{"source": "a dog", "target": "x"}, {"source": "two", "target": "y"}]
    file = write(tmp_path / "b.parquet", {"translation": pairs})
    made = corpus(file, columns={"source": "translation.de", "target": "translation.en"})
    assert rows(made) == [{"source": "ein Hund", "target": "a dog"}, {"source": "zwei", "target": "two"}]


def test_words_and_tags_are_lists(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"w": [["a", "b"], ["c"]], "t": [[1, 0], [2]]})
    made = corpus(file, columns={"tokens": "w", "tags": "t"})
    assert rows(made) == [{"tokens": ["a", "b"], "tags": ["1", "0"]}, {"tokens": ["c"], "tags": ["2"]}]


@pytest.mark.parametrize("kind", ["List", "Sequence"])
def test_names_of_classes_that_hugging_face_wrote_are_the_labels(tmp_path: Path, kind: str) -> None:
    names = {"_type": "ClassLabel", "names": ["no", "yes"]}
    features = {"label": names, "tags": {"_type": kind, "feature": names}}
    table = pa.table({"label": [1, 0, 1], "tags": [[0, 1], [1], [0]]})
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "a.parquet")
    made = corpus(tmp_path / "a.parquet", columns={"label": "label", "tags": "tags"})
    assert [(row["label"], row["tags"]) for row in rows(made)] == [
        ("yes", ["no", "yes"]), ("no", ["yes"]), ("yes", ["no"]),
    ]  # fmt: skip


@pytest.mark.parametrize("is_hugging_face", [False, True])
def test_bytes_of_images_become_pixels(tmp_path: Path, is_hugging_face: bool) -> None:
    pixels = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    data: Any = {"bytes": png(pixels), "path": None} if is_hugging_face else png(pixels)
    made = corpus(write(tmp_path / "a.parquet", {"png": [data]}), columns={"image": "png"}, image_size=[5, 4])
    np.testing.assert_array_equal(rows(made)[0]["image"], pixels)


def test_files_are_read_in_their_order_and_patterns_by_name(tmp_path: Path) -> None:
    files = [write(tmp_path / f"t-{name}.parquet", {"text": [name]}) for name in "bac"]
    assert [row["text"] for row in rows(corpus(*files))] == ["b", "a", "c"]
    matching = corpus(files[0], train=str(tmp_path / "t-*.parquet"))
    assert [row["text"] for row in rows(matching)] == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"x-\*\.parquet: no file matches"):
        rows(corpus(files[0], train=str(tmp_path / "x-*.parquet")))
    with pytest.raises(DataError, match=r"t-b\.parquet: named twice in task\.data\.train"):
        rows(corpus(files[0], files[0]))


def test_no_more_than_a_batch_of_rows_is_read_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.corpora.parquet.BATCH", 3)
    sizes = []
    values = _tables._values

    def seen(batch: Any, path: Any) -> list[Any]:
        sizes.append(len(batch))
        return values(batch, path)

    monkeypatch.setattr(_tables, "_values", seen)
    file = write(tmp_path / "a.parquet", {"text": [f"row {n}" for n in range(10)]}, row_group_size=5)
    found = corpus(file).rows("train", bad_lines=BadLines("error"))
    assert next(found) == {"text": "row 0"}
    assert sizes == [3]
    assert len(list(found)) == 9
    assert max(sizes) == 3


NUMBER = "and this is of type int"
BAD: list[tuple[str, Any, Any, str]] = [
    ("text", "x", None, "missing field: column 'c': nothing there"),
    ("text", "x", " \n", "empty field: column 'c': nothing but spaces"),
    ("text", "x", "", "empty field: column 'c': a text of no character"),
    ("other", "x", " ", "empty field: column 'c': nothing but spaces"),
    ("label", "x", " ", "empty field: column 'c': no label in it"),
    ("tokens", ["a"], ["b", " "], "empty field: column 'c': item 2: no word in it"),
    ("tags", ["a"], ["b", ""], "empty field: column 'c': item 2: no label in it"),
    ("tags", [1], [None], "missing field: column 'c': item 1: nothing"),
    ("image", PNG, b"x", "no image: column 'c': cannot identify image file"),
    (
        "image",
        {"bytes": PNG},
        {"bytes": None},
        "no image: column 'c': the bytes of an image file are asked for",
    ),
]


@pytest.mark.parametrize(
    ("field", "good", "bad", "message"), BAD, ids=[f"{field}-{bad}"[:20] for field, _, bad, _ in BAD]
)
def test_a_bad_row_is_named_by_file_and_row(
    tmp_path: Path, field: str, good: Any, bad: Any, message: str
) -> None:
    files = [
        write(tmp_path / f"{n}.parquet", {"c": [good, *more]}) for n, more in enumerate([[good], [bad, good]])
    ]
    made = corpus(*files, columns={field: "c"}, **({"image_size": 2} if field == "image" else {}))
    with pytest.raises(DataError) as raised:
        rows(made)
    assert str(raised.value).startswith(f"{files[1]}, row 2: {message}")
    assert len(rows(made, "skip")) == 4


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("target", 1, f"no text: column 'c': a text is asked for, {NUMBER}"),
        ("label", [1], "no label: column 'c': a name or a number is asked for, and this is of type list"),
        ("tokens", [0], f"no text: column 'c': item 1: a text is asked for, {NUMBER}"),
        ("tags", 0, f"no list: column 'c': a list of texts is asked for, {NUMBER}"),
        (
            "image",
            "a",
            "no image: column 'c': the bytes of an image file are asked for, and this is of type str",
        ),
    ],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, field: str, value: Any, message: str) -> None:
    file = write(tmp_path / "a.parquet", {"c": [value]})
    made = corpus(file, columns={field: "c"}, **({"image_size": 2} if field == "image" else {}))
    with pytest.raises(DataError) as raised:
        rows(made)
    assert str(raised.value).startswith(f"{file}, row 1: {message}")


def test_text_that_is_no_utf8_is_named_by_row_and_byte(tmp_path: Path) -> None:
    column = pa.array([b"fine", b"b\xffd", b"good"]).view(pa.string())
    made = corpus(write(tmp_path / "a.parquet", {"text": column}))
    with pytest.raises(
        DataError, match=r"a\.parquet, row 2: broken UTF-8: column 'text': byte 0xff at byte 2"
    ):
        rows(made)
    assert [row["text"] for row in rows(made, "skip")] == ["fine", "good"]


def test_a_number_that_is_no_class_is_named(tmp_path: Path) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["no", "yes"]}}
    about = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    pq.write_table(pa.table({"label": [1, -1]}).replace_schema_metadata(about), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"row 2: no label: column 'label': -1, of 2 classes numbered from 0"):
        rows(corpus(tmp_path / "a.parquet", columns={"label": "label"}))


def test_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    file = write(tmp_path / "a.parquet", {"pair": [{"en": "a"}], "review": ["x"]})
    for name, message in (
        ("reviw", r"a\.parquet: no column 'reviw'; did you mean 'review'\? \(task\.data\.columns\)"),
        ("pair.de", r"a\.parquet: no column 'pair\.de'; did you mean 'pair\.en'\?"),
    ):
        with pytest.raises(DataError, match=message):
            rows(corpus(file, columns={"text": name}))


def test_what_is_no_whole_parquet_file_is_refused(tmp_path: Path) -> None:
    whole = write(
        tmp_path / "a.parquet",
        {"text": [f"row {n}" for n in range(5000)]},
        row_group_size=2000,
        use_dictionary=False,
    )
    data = whole.read_bytes()
    hurt = bytearray(data)
    start = pq.ParquetFile(whole).metadata.row_group(1).column(0).data_page_offset
    hurt[start : start + 400] = b"\x07" * 400
    for content, message in (
        (b"no", "no Parquet file, or damaged"),
        (data[:-100], "no Parquet file, or damaged"),
        (bytes(hurt), "no Parquet file, or damaged, behind row 2000: "),
    ):
        file = tmp_path / "bad.parquet"
        file.write_bytes(content)
        with pytest.raises(DataError, match=rf"bad\.parquet: {message}"):
            rows(corpus(file))
    with pytest.raises(DataError, match=r"none\.parquet: cannot be read: .*No such file"):
        rows(corpus(tmp_path / "none.parquet"))
    with pytest.raises(DataError, match=r"a\.parquet: there is no row in it"):
        rows(corpus(write(tmp_path / "a.parquet", {"text": pa.array([], pa.string())})))


def test_the_fingerprint_is_of_bytes_and_columns(tmp_path: Path) -> None:
    columns = {"text": ["x"], "more": ["y"]}
    file, same, other = (
        write(tmp_path / f"{name}.parquet", {**columns, "text": [text]}) for name, text in ("ax", "bx", "cz")
    )
    of = [
        corpus(file), corpus(same), corpus(other), corpus(file, other), corpus(file, columns={"text": "more"}),
    ]  # fmt: skip
    found = [made.fingerprint("train") for made in of]
    assert found[0] == found[1]
    assert len(set(found)) == 4


def test_an_image_needs_its_size_and_nothing_else_does() -> None:
    for given, message in (
        ({"columns": {"image": "i"}}, "the field image needs image_size"),
        ({"image_size": 3}, "image_size is of a field image, which columns does not name"),
    ):
        with pytest.raises(SpecError, match=message):
            parse(CORPUS.entry("parquet").spec, {"type": "parquet", "train": "a", "dev": "b", **given})


def test_without_pyarrow_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        DataError, match=r"parquet needs a package .* pip install 'architecture-zoo\[parquet\]'"
    ):
        rows(corpus(tmp_path / "a.parquet"))


class Refusing:
    """Takes no row."""

    recipe, is_strict = "", True

    def encode(self, rows: list[Row], *, is_scored: bool) -> list[Rejected]:
        return [Rejected("unusable", f"not {row['text']}", is_bad=row["text"] == "c") for row in rows]


def test_a_row_that_a_task_refuses_is_named_by_its_file_too(tmp_path: Path) -> None:
    files = [
        write(tmp_path / f"{n}.parquet", {"text": texts}) for n, texts in enumerate([["a", "b"], ["c", "d"]])
    ]
    for first, named in (
        (files, f"{files[1]}, row 1: unusable: not c"),
        (files[:1], f"{files[0]}, row 1: not a"),
    ):
        with pytest.raises(DataError) as raised:
            encoded(corpus(*first), "train", Refusing(), tmp_path / "cache", bad_lines="error")
        assert str(raised.value).startswith(named)
