"""YAML 1.2 in and out: how scalars are typed, what is refused, and the round trip."""

from __future__ import annotations

import math
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from presets import PresetError, read, to_yaml, yaml12


@pytest.fixture(params=[yaml.CSafeLoader, yaml.SafeLoader], ids=["C", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml12, "_LOADER", request.param)


def _value(text: str) -> Any:
    return yaml12.read_text(f"key: {text}\n".encode(), "my.yaml").data["key"]


def _refusal(content: str | bytes) -> str:
    with pytest.raises(PresetError) as caught:
        yaml12.read_text(content.encode() if isinstance(content, str) else content, "my.yaml")
    message = str(caught.value)
    assert message.isprintable(), "one line"
    assert len(message) < 300
    return message


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, float(text)) for text in ("1e-4", "1e3", ".5", "5.", "1.0E+3", "-1e-9", "+.5e1", "6.02e23")),
        (".inf", math.inf),
        ("-.Inf", -math.inf),
        *((text, int(text)) for text in ("0", "-3", "+7", "017", "08", "99999999999999999999")),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        *((text, None) for text in ("null", "~", "Null", "")),
        *(
            (text, text)
            for text in (
                "no",
                "yes",
                "on",
                "off",
                "y",
                "N",
                "12:30:45",
                "1_000",
                "0b11",
                "2020-01-02",
                "tRue",
                "1e",
                ".",
            )
        ),
        ("source + 50", "source + 50"),
        ("'1e-4'", "1e-4"),
        ('"true"', "true"),
        ("''", ""),
        ('"a\\tb"', "a\tb"),
        ("[0.9, 1e-3, no]", [0.9, 1e-3, "no"]),
        ("{a: {b: ~}}", {"a": {"b": None}}),
    ],
)
def test_scalars_have_the_types_of_yaml_1_2(text: str, value: Any) -> None:
    found = _value(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number_to_yaml() -> None:
    assert math.isnan(_value(".nan"))


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("content", "start"),
    [
        (LAUGHS, "my.yaml:1: the anchor '&a'; remove it"),
        ("a: 1\nb: *a\n", "my.yaml:2: the alias '*a'; write the value out"),
        ("a: &a [*a]\n", "my.yaml:1: the anchor '&a'"),
        ("*a : 1\n", "my.yaml:1: the alias '*a'"),
        (
            "a: !!python/object/apply:os.system [ls]\n",
            "my.yaml:1: the tag '!!python/object/apply:os.sys",
        ),
        ("a: !mine 1\n", "my.yaml:1: the tag '!mine'; write a plain value"),
        ("a: !!str 1\n", "my.yaml:1: the tag '!!str'"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "my.yaml:4: the key 'c' a second time; it stands in line 3 already"),
        ("a: 1\n'a': 2\n", "my.yaml:2: the key 'a' a second time"),
        ("a:\n  <<: {b: 1}\n", "my.yaml:2: the merge key '<<'; write the keys out"),
        ("a: 1\n---\nb: 1\n", "my.yaml:2: a second document"),
        ("%YAML 1.1\n---\na: 1\n", "my.yaml:1: a directive"),
        ("a: 1\n1: 2\n", 'my.yaml:2: the key 1 is no string; quote it: "1"'),
        ("null: 2\n", "my.yaml:1: the key null is no string"),
        ("true: 2\n", "my.yaml:1: the key true is no string"),
        ("? [a]\n: 1\n", "my.yaml:1: a key that is no string"),
        ("a:\n\tb: 1\n", "my.yaml:2: a tab (U+0009); indent with spaces"),
        ("a: 1\nb: x\0y\n", "my.yaml:2: the character U+0000; write it as an escape"),
        ("a: 'x\u2028y'\n", "my.yaml:1: the character U+2028"),
        (b"a: 1\nb: \xff\n", "my.yaml:2: not UTF-8 (byte 0xff); save it as UTF-8"),
        ("a: 1\n".encode("utf-16"), "my.yaml:1: not UTF-8 (byte 0xff)"),
        ("a: [1, 2\nb: 3\n", "my.yaml:2: not YAML ("),
        ("a: 1\n b: 2\n", "my.yaml:2: not YAML (mapping values are not allowed"),
        ("a: 'open\n", "my.yaml:2: not YAML (found unexpected end of stream)"),
        ("a: 1\nb: {type:mlp, d_ff: 3}\n", "my.yaml:2: 'type:mlp'; write 'type: mlp'"),
        ("a: b: c\n", "my.yaml:1: not YAML (mapping values are not allowed"),
        ("a: " + "[" * 20_000, "my.yaml:1: nesting over 50 levels"),
        ("\n".join(" " * i + "a:" for i in range(60)), "my.yaml:51: nesting over 50 levels"),
        ("a: " + "9" * 5000, "my.yaml:1: a number of 5000 characters"),
        ("a: [" + "1," * 150_000 + "]", "my.yaml:1: more than 100,000 values"),
        (b"a: " + b"x" * 1_000_000, "my.yaml: is over 1,000,000 bytes"),
    ],
    ids=range(31),
)
def test_what_surprises_or_harms_is_refused_with_its_line(content: str | bytes, start: str) -> None:
    assert _refusal(content).startswith(start)


def test_a_depth_of_fifty_is_fine() -> None:
    data = yaml12.read_text(("[" * 50 + "]" * 50).encode(), "my.yaml").data
    for _ in range(49):
        (data,) = data
    assert data == []


@pytest.mark.parametrize(
    "content",
    [
        b"a: " + b"[" * 999_000,
        b"- " * 499_000,
        b"{a: " * 200_000,
        b"[" + b"1," * 499_000,
        b"? " * 400_000,
        LAUGHS.encode(),
    ],
    ids=["brackets", "dashes", "braces", "items", "keys", "laughs"],
)
def test_a_hostile_file_costs_little(content: bytes) -> None:
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(PresetError):
        yaml12.read_text(content, "my.yaml")
    assert time.process_time() - start < 5  # a lock against minutes; without the tracing it is below 1
    assert tracemalloc.get_traced_memory()[1] < 200e6
    tracemalloc.stop()


def test_every_path_knows_its_line() -> None:
    text = "# head\n\nmodel:\n  layers:\n    - norm: x\n    - {norm: y,\n       ffn: z}\n  d_model: 3\n"
    lines = yaml12.read_text(text.encode(), "my.yaml").lines
    assert {".".join(keys): line for keys, line in lines.items()} == {
        "model": 3,
        "model.layers": 4,
        "model.layers.0": 5,
        "model.layers.0.norm": 5,
        "model.layers.1": 6,
        "model.layers.1.norm": 6,
        "model.layers.1.ffn": 7,
        "model.d_model": 8,
    }


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    text = yaml12.read_text(b"\xef\xbb\xbf# Head\r\na: 1\r\nb:\r\n  - no\r\n", "my.yaml")
    assert text.data == {"a": 1, "b": ["no"]}
    assert text.lines["b", "0"] == 4
    assert text.description == "Head"


# Writing


def test_yaml_is_written_as_blocks_in_order_and_safe_for_older_readers() -> None:
    data = {
        "model": {"type": "encoder_decoder", "d_model": 3, "bias": True, "position": None},
        "eps": 1e-9,
        "betas": [0.9, 1.0],
        "words": ["no", "1e-4", "0o17", "12:30", "", "null", "source + 50", "1.5"],
        "empty": {"a": {}, "b": []},
    }
    text = to_yaml(data)
    assert text == (
        "model:\n  type: encoder_decoder\n  d_model: 3\n  bias: true\n  position: null\n"
        "eps: 1.0e-09\nbetas:\n- 0.9\n- 1.0\n"
        "words:\n- 'no'\n- '1e-4'\n- '0o17'\n- '12:30'\n- ''\n- 'null'\n- source + 50\n- '1.5'\n"
        "empty:\n  a: {}\n  b: []\n"
    )
    assert yaml.safe_load(text) == data


def test_a_value_used_twice_is_written_twice() -> None:
    shared = [1, 2]
    assert "&" not in to_yaml({"a": shared, "b": shared})


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        "no",
        "1e-4",
        "1e3",
        "0o17",
        "017",
        "~",
        "<<",
        "=",
        "-",
        "- a",
        "a: b",
        "# a",
        "&a",
        "*a",
        "!a",
        "---",
        "...",
        "a\tb",
    ]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(text, values, max_size=5))
def test_what_is_written_reads_back_equal(data: dict[str, Any]) -> None:
    again = yaml12.read_text(to_yaml(data).encode(), "my.yaml").data
    assert again == (data or {})
    assert _types(again) == _types(data)


def _types(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _types(child) for key, child in value.items()}
    return [_types(child) for child in value] if isinstance(value, list) else type(value)


@given(st.binary(max_size=60) | text.map(str.encode))
def test_any_bytes_are_read_or_refused_in_one_line(content: bytes) -> None:
    try:
        yaml12.read_text(content, "my.yaml")
    except PresetError as error:
        message = str(error)
    else:
        return
    assert message.startswith("my.yaml")
    assert message.isprintable()


def test_a_file_that_is_empty_or_no_mapping_is_refused(tmp_path: Path) -> None:
    for content, what in (("", "is empty"), ("# only words\n", "is empty"), ("- a\n", "holds a list")):
        (tmp_path / "my.yaml").write_text(content)
        with pytest.raises(
            PresetError, match=rf"my\.yaml:1: {what}, where keys with values are needed, such as"
        ):
            read(tmp_path / "my.yaml")
