"""Reading text strictly: what a line is, and what happens to a bad one."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.data.bad_lines import BadLines
from zoo.data.lines import hash_files, read_columns, read_lines, read_pairs, read_records
from zoo.errors import DataError

Write = Callable[[str, bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, data: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_file


def pairs(
    source: Path, target: Path, bad_lines: BadLines | None = None, limit: int = 40
) -> list[tuple[str, str]]:
    policy = bad_lines or BadLines("error")
    return list(read_pairs(source, target, max_characters=limit, bad_lines=policy))


def test_further_references_follow_and_alone_may_be_empty(write: Write) -> None:
    paths = (
        write("s", b"a\nb\nc\n"),
        write("t", b"A\nB\nC\n"),
        write("u", b"1\n\n3\n"),
        write("v", b" \n2\n\n"),
    )
    rows = list(read_pairs(*paths, max_characters=9, bad_lines=BadLines("error")))
    assert rows == [("a", "A", "1", ""), ("b", "B", "", "2"), ("c", "C", "3", "")]


def test_a_further_reference_is_read_as_strictly_as_the_first(write: Write) -> None:
    paths = write("s", b"a\nb\n"), write("t", b"A\nB\n")
    bad, short = write("bad", b"1\n\xff\n"), write("short", b"1\n")
    with pytest.raises(DataError, match=r"bad:2: broken UTF-8"):
        list(read_pairs(*paths, bad, max_characters=9, bad_lines=BadLines("error")))
    skipping = BadLines("skip")
    assert list(read_pairs(*paths, bad, max_characters=9, bad_lines=skipping)) == [("a", "A", "1")]
    assert skipping.counts == {"broken UTF-8": 1}
    with pytest.raises(DataError, match=r"s:2: this line has no partner; .*short has only 1 line$"):
        list(read_pairs(*paths, short, max_characters=9, bad_lines=BadLines("error")))


FAULTS = {
    "broken UTF-8": b"caf\xe9 noir",
    "broken UTF-8, a surrogate": "lone \ud800 surrogate".encode("utf-8", "surrogatepass"),
    "broken UTF-8, overlong": b"over\xc0\xaflong",
    "NUL": b"null\x00byte",
    "line separator, U+2028": "one\u2028two".encode(),
    "line separator, U+2029": "one\u2029two".encode(),
    "line separator, U+0085": "one\u0085two".encode(),
    "line separator, form feed": b"one\x0ctwo",
    "line separator, carriage return": b"one\rtwo",
    "byte-order mark": "one\ufefftwo".encode(),
    "too long": b"x" * 41,
    "empty line": b"",
    "empty line, spaces": b" \t ",
}


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_line_is_an_error_that_names_file_and_line(write: Write, fault: str, side: str) -> None:
    bad, good = (
        write("bad.txt", b"one\ntwo\n" + FAULTS[fault] + b"\nfour\n"),
        write("good.txt", b"1\n2\n3\n4\n"),
    )
    files = (bad, good) if side == "source" else (good, bad)
    with pytest.raises(
        DataError, match=rf"bad\.txt:3: {fault.partition(',')[0]}.* \(task\.bad_lines=skip leaves"
    ):
        pairs(*files)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (b"one\n\nthree\nfour\n", b"1\n2\n3\n", r"a\.txt:2: empty line: .*a\.txt:4 has .*b\.txt has only 3 lines$"),
        (b"one\ntwo\n", b"1\n\xff\n3\n4\n", r"b\.txt:2: broken UTF-8: .*b\.txt:3 has .*a\.txt has only 2 lines$"),
        (b"\n", b"1\n2\n", r"a\.txt:1: empty line: .*b\.txt:2 has no partner, for .*a\.txt has only 1 line$"),
        (b"\none\n" + b"two\n" * 9, b"1\n2\n", r"a\.txt:1: .*a\.txt:3 has .*b\.txt has only 2 lines$"),
    ],
)  # fmt: skip
def test_a_bad_line_does_not_hide_that_the_files_are_of_different_length(
    write: Write, source: bytes, target: bytes, message: str
) -> None:
    with pytest.raises(DataError, match=message):  # and no hint to skip
        pairs(write("a.txt", source), write("b.txt", target))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_line_is_left_out_with_its_partner_and_counted_where_the_spec_says_so(
    write: Write, fault: str
) -> None:
    bad, good = (
        write("bad.txt", b"one\ntwo\n" + FAULTS[fault] + b"\nfour\n"),
        write("good.txt", b"1\n2\n3\n4\n"),
    )
    skipping = BadLines("skip")
    assert pairs(good, bad, skipping) == [("1", "one"), ("2", "two"), ("4", "four")]
    assert dict(skipping.counts) == {fault.partition(",")[0]: 1}


def test_other_programs_line_ends_do_not_shift_the_lines(write: Write) -> None:
    source = write("a.txt", "one\u2028uno\ntwo\u0085dos\x0b\nthree\n".encode())
    target = write("b.txt", b"1\n2\n3\n")
    skipping = BadLines("skip")
    assert pairs(source, target, skipping) == [("three", "3")]
    assert skipping.counts["line separator"] == 2


def test_windows_line_ends_and_a_byte_order_mark_belong_to_the_file(write: Write) -> None:
    windows = write("a.txt", "\ufeffone\r\ntwo\r\n".encode())
    unix = write("b.txt", b"1\n2")
    assert pairs(windows, unix) == [("one", "1"), ("two", "2")]


def test_a_utf16_file_is_not_taken_for_text(write: Write) -> None:
    with pytest.raises(DataError, match=r"a\.txt:1: broken UTF-8: byte 0xff .*; it begins as UTF-16 does"):
        pairs(write("a.txt", "one\n".encode("utf-16")), write("b.txt", b"1\n"))


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (b"one\ntwo\nthree\n", b"1\n2\n", r"a\.txt:3: this line has no partner; .*b\.txt has only 2 lines"),
        (b"one\ntwo\n", b"1\n2\n3\n", r"b\.txt:3: this line has no partner; .*a\.txt has only 2 lines"),
        (b"one\n\ntwo\n\n", b"1\n", r"a\.txt:2: this line has no partner; .*b\.txt has only 1 line"),
        (b"", b"1\n", r"b\.txt:1: this line has no partner; .*a\.txt has no lines: the file is empty"),
        (b"", b"", r"a\.txt: the file is empty"),
    ],
)
@pytest.mark.parametrize("policy", ["error", "skip"])
def test_files_of_different_length_are_an_error_under_every_policy(
    write: Write, source: bytes, target: bytes, message: str, policy: str
) -> None:
    files = write("a.txt", source), write("b.txt", target)
    with pytest.raises(DataError, match=message):
        pairs(*files, BadLines(policy))  # type: ignore[arg-type]


def test_lines_empty_on_both_sides_are_bad_too(write: Write) -> None:
    with pytest.raises(DataError, match=r"a\.txt:2: empty line: and so is that of .*b\.txt"):
        pairs(write("a.txt", b"one\n\ntwo\n"), write("b.txt", b"1\n\n2\n"))


@pytest.mark.parametrize("end", [b"\n\n", b"\n \t\n\n", b"\r\n\r\n"])
def test_empty_lines_at_the_end_of_a_file_of_records_belong_to_its_end(write: Write, end: bytes) -> None:
    source, target = write("a.txt", b"one\ntwo" + end), write("b.txt", b"1\n2\n")
    assert pairs(source, target) == [("one", "1"), ("two", "2")]
    assert pairs(target, source) == [("1", "one"), ("2", "two")]
    assert [line.text for line in read_records(source, max_characters=9)] == ["one", "two"]
    table = write("c.tsv", b"one\t1\ntwo\t2" + end)
    read = read_columns(table, (1, 2), max_characters=9, bad_lines=BadLines("error"))
    assert list(read) == [("one", "1"), ("two", "2")]
    further = write("v", b"1\n")  # too short, though what is missing would be empty
    with pytest.raises(DataError, match=r"a\.txt:2: this line has no partner; .*v has only 1 line"):
        list(read_pairs(source, target, further, max_characters=9, bad_lines=BadLines("error")))


def test_empty_lines_between_records_are_lines(write: Write) -> None:
    path = write("a.txt", b"one\n\n \ntwo\n\n")
    assert [line.text for line in read_records(path, max_characters=9)] == ["one", "", " ", "two"]


def test_gzip_is_known_by_its_content_not_by_its_name(write: Write) -> None:
    zipped = write("a.txt", gzip.compress(b"one\n") + gzip.compress(b"two\n"))
    plain = write("b.gz", b"1\n2\n")
    assert pairs(zipped, plain) == [("one", "1"), ("two", "2")]


@pytest.mark.parametrize("policy", ["error", "skip"])
def test_a_truncated_or_damaged_gzip_is_an_error_under_every_policy(write: Write, policy: str) -> None:
    words = random.Random(7)
    text = "".join(f"{words.random()}\n" for _ in range(999)).encode()
    data = gzip.compress(text)
    target = write("b.txt", text)
    after_header = range(12, len(data), len(data) // 37)
    damaged = [*(data[:place] for place in after_header), data + b"more"]
    damaged += [data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :] for place in after_header]
    for number, one in enumerate(damaged):
        with pytest.raises(
            DataError, match=rf"{number}\.gz:\d+: (the compressed data is damaged|broken|this line)"
        ):
            pairs(write(f"{number}.gz", one), target, BadLines(policy))  # type: ignore[arg-type]


def test_a_line_without_end_is_not_kept_in_memory(write: Write) -> None:
    endless = write("a.txt", b"x" * 5_000_000 + b"\nshort\n")
    lines = list(read_lines(endless, max_characters=30))
    assert [(line.text, line.reason) for line in lines] == [("", "too long"), ("short", "")]
    assert max(len(line.text) for line in lines) <= 30


def test_a_line_may_have_exactly_the_greatest_length_in_characters_not_bytes(write: Write) -> None:
    path = write("a.txt", ("ß𝄞" * 20 + "\r\n" + "ß" * 41 + "\n" + "𝄞" * 40).encode())
    assert [line.reason for line in read_lines(path, max_characters=40)] == ["", "too long", ""]


def test_a_missing_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path, Path("a\0b")):
        with pytest.raises(DataError, match="cannot be read"):
            list(read_lines(path, max_characters=9))


def test_columns_are_counted_from_one(write: Write) -> None:
    path = write("a.tsv", b"x\tone\t1\ny\ttwo\t2\n")
    found = read_columns(path, (3, 2), max_characters=40, bad_lines=BadLines("error"))
    assert list(found) == [("1", "one"), ("2", "two")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"x\tone", "missing column: column 3 is wanted, and there are 2"),
        (b"x\tone\t ", "empty line: nothing in column 3"),
        (b"x\t\t", "empty line: nothing in column 3 and 2"),
        (b"x\tone\t\xff", "broken UTF-8"),
        (b"", "missing column: column 3 is wanted, and there is 1"),
    ],
)
def test_a_bad_row_is_named_or_counted(write: Write, line: bytes, message: str) -> None:
    path = write("a.tsv", b"x\tone\t1\n" + line + b"\ny\ttwo\t2\n")
    with pytest.raises(DataError, match=rf"a\.tsv:2: {message}"):
        list(read_columns(path, (3, 2), max_characters=40, bad_lines=BadLines("error")))
    skipping = BadLines("skip")
    assert list(read_columns(path, (3, 2), max_characters=40, bad_lines=skipping)) == [
        ("1", "one"),
        ("2", "two"),
    ]
    assert dict(skipping.counts) == {message.partition(":")[0]: 1}


def test_an_empty_table_is_an_error(write: Write) -> None:
    with pytest.raises(DataError, match="the file is empty"):
        list(read_columns(write("a.tsv", b""), (1, 2), max_characters=40, bad_lines=BadLines("skip")))


def test_a_hash_changes_with_a_byte_of_either_file_and_with_the_settings(write: Write) -> None:
    a, b = write("a.txt", b"one\ntwo\n"), write("b.txt", b"1\n2\n")
    same = write("c.txt", b"one\ntwo\n")
    hashes = [hash_files([a, b], 5), hash_files([b, a], 5), hash_files([a, b], 6), hash_files([a], 5)]
    assert hash_files([same, b], 5) == hashes[0]
    same.write_bytes(b"one\ntwo \n")
    assert len({*hashes, hash_files([same, b], 5)}) == 5
