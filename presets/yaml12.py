"""YAML as its version 1.2 types it, without the parts that surprise or do harm.

Differs from YAML: anchors, aliases, tags, merge keys, directives, tabs, duplicate keys, keys that are no
strings and further documents are refused, as are texts over 1 MB, 100,000 values or a depth of 50. PyYAML
only parses: its types are those of YAML 1.1 (`no` is false, `1e-4` a string), so types are read here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from presets.errors import PresetError, short

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_VALUES = 100_000
_LONGEST_NUMBER = 400  # digits; Python refuses integers beyond 4,300

Path = tuple[str, ...]

_NULL = re.compile(r"(null|Null|NULL|~|)")
_BOOL = re.compile(r"(true|True|TRUE)|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INFINITY = re.compile(r"([-+]?)\.(inf|Inf|INF)")
_NAN = re.compile(r"\.(nan|NaN|NAN)")
# Besides control characters U+0085, U+2028 and U+2029: line ends to the parser, but text to YAML 1.2.
_UNPRINTABLE = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_COLON = re.compile(r"[A-Za-z_]\w*:\S.*")  # {type:mlp} is to YAML a key without a value
# What begins a value of one line in YAML and is neither text nor a list, mapping or string between its signs.
_BLOCK_KEY = re.compile(r"[\w.-]+:( |$)")
_BLOCK_SIGN = re.compile(r"[|>%@`*]|(-|\?|:|---|\.\.\.)( |$)")

_TOO_DEEP = f"nesting over {MAX_DEPTH} levels; a spec has about ten"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class Text:
    """A text's value, and the line of each key and list item."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    columns: dict[Path, int] = field(default_factory=dict)
    """Those of the same, from 1."""
    description: str = ""
    """The comment at its head."""


def scalar(text: str) -> Any:
    """An unquoted scalar by the core schema of YAML 1.2 (chapter 10.3)."""
    if _NULL.fullmatch(text):
        return None
    if found := _BOOL.fullmatch(text):
        return found[1] is not None
    if _INT.fullmatch(text):
        return int(text, 8 if text.startswith("0o") else 16 if text.startswith("0x") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    if found := _INFINITY.fullmatch(text):
        return -math.inf if found[1] == "-" else math.inf
    return math.nan if _NAN.fullmatch(text) else text


def read_text(content: bytes, name: str) -> Text:
    """Reads one document; errors begin with the name and the line.

    Raises: PresetError for whatever is no YAML, or is refused (see this module's docstring).
    """

    def refusal(line: int, what: str) -> PresetError:
        return PresetError(f"{name}:{line}: {what}")

    if len(content) > MAX_BYTES:
        raise PresetError(f"{name}: is over {MAX_BYTES:,} bytes; a spec is a few kilobytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise refusal(line, f"not UTF-8 (byte 0x{content[error.start]:02x}); save it as UTF-8") from None
    _check_characters(text, refusal)
    reader = _Reader(text, refusal)
    return Text(reader.document(), reader.lines, reader.columns, _leading_comment(text))


def read_value(text: str, name: str) -> Any:
    """Reads a value of one line: a list, mapping or string between its signs, or else plain text, all of it.

    Nothing is a comment, a marker or a block here, for what YAML leaves out of those the writer has meant.
    Raises: PresetError, which begins with the name.
    """

    def refusal(line: int, what: str) -> PresetError:
        return PresetError(f"{name}: {what}")

    if len(text) > MAX_BYTES:
        raise PresetError(f"{name}: is over {MAX_BYTES:,} characters")
    _check_characters(text, refusal)
    if "\n" in text or "\r" in text:
        raise refusal(1, 'a line break; write it as \\n between double quotes, such as "a\\nb"')
    value = text.strip(" ")
    if _BLOCK_KEY.match(value):
        raise refusal(1, f"a mapping stands between braces: {{{short(value)}}}; and text between quotes")
    if sign := _BLOCK_SIGN.match(value):
        raise refusal(
            1, f"'{sign[0].strip()}' at the start says something else in YAML; put text between quotes"
        )
    if value[:1] not in "[{'\"&!":
        typed = _plain(value, lambda what, instead: refusal(1, f"{what}; {instead}"))
        return text if isinstance(typed, str) else typed
    found = _Reader(value, refusal).document()
    events: list[Any] = list(yaml.parse(value, Loader=_LOADER))
    last = events[-3]  # before the document's and the stream's end
    if rest := value[last.end_mark.index :].strip(" "):
        raise refusal(1, f"'{short(rest)}' behind the value; where it belongs to it, put all between quotes")
    return found


def _check_characters(text: str, refusal: Callable[[int, str], PresetError]) -> None:
    for pattern, what in (
        (_UNPRINTABLE, "the character U+{:04X}; write it as an escape between double quotes"),
        (re.compile("\t"), "a tab (U+{:04X}); indent with spaces"),
    ):
        if found := pattern.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise refusal(line, what.format(ord(found[0])))


def _plain(text: str, refusal: Callable[[str, str], PresetError]) -> Any:
    """An unquoted scalar, unless it is a number beyond all use."""
    if len(text) > _LONGEST_NUMBER and text.lstrip("-+")[:1].isdigit():
        raise refusal(f"a number of {len(text)} characters", "quote it if it is a string")
    return scalar(text)


class _Reader:
    """Turns the parser's events into plain data, one document deep."""

    def __init__(self, text: str, refusal: Callable[[int, str], PresetError]) -> None:
        self.refusal = refusal
        self.lines: dict[Path, int] = {}
        self.columns: dict[Path, int] = {}
        self.n_values = 0
        self.events = self._events(text)

    def document(self) -> Any:
        next(self.events)  # the stream's start
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version or start.tags:
            raise self._refusal(start, "a directive (%...)", "remove that line")
        data = self._value(next(self.events), ())
        next(self.events)  # the document's end
        after = next(self.events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._refusal(
                after, "a second document", "keep one document in a file, without '---' or '...'"
            )
        return data

    def _events(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
            if "nesting depth" in problem:  # libyaml's own limit, which it meets while it looks ahead
                raise self.refusal(line, _TOO_DEEP) from None
            raise self.refusal(
                line,
                f"not YAML ({problem}); look for a missing bracket, quote or colon, or an indentation that "
                "does not match, there or just above",
            ) from None

    def _value(self, event: Any, path: Path) -> Any:
        self.n_values += 1
        if self.n_values > MAX_VALUES:
            raise self._refusal(event, f"more than {MAX_VALUES:,} values", "a spec has a few hundred")
        if isinstance(event, yaml.AliasEvent):
            raise self._refusal(event, f"the alias '*{short(str(event.anchor))}'", "write the value out")
        if event.anchor is not None:
            raise self._refusal(
                event, f"the anchor '&{short(event.anchor)}'", "remove it and write the value out"
            )
        if event.tag is not None:
            tag = str(event.tag).replace("tag:yaml.org,2002:", "!!")
            raise self._refusal(event, f"the tag '{short(tag)}'", "write a plain value")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event)
        if len(path) >= MAX_DEPTH:
            raise self.refusal(event.start_mark.line + 1, _TOO_DEEP)
        return self._list(path) if isinstance(event, yaml.SequenceStartEvent) else self._mapping(path)

    def _scalar(self, event: Any) -> Any:
        if event.style is not None and event.style != "":  # quoted, or a block of text
            return event.value
        return _plain(event.value, lambda what, instead: self._refusal(event, what, instead))

    def _list(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            place = (*path, str(len(items)))
            self._note(place, event)
            items.append(self._value(event, place))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key = self._key(event, path)
            place = (*path, key)
            if key in mapping:
                first = self.lines[place]
                raise self._refusal(
                    event, f"the key '{short(key)}' a second time", f"it stands in line {first} already"
                )
            self._note(place, event)
            mapping[key] = self._value(value := next(self.events), place)
            if (
                _COLON.fullmatch(key)
                and mapping[key] is None
                and value.start_mark.index == value.end_mark.index
            ):
                raise self._refusal(event, f"'{short(key)}'", f"write '{short(key.replace(':', ': ', 1))}'")
        return mapping

    def _note(self, place: Path, event: Any) -> None:
        self.lines[place], self.columns[place] = event.start_mark.line + 1, event.start_mark.column + 1

    def _key(self, event: Any, path: Path) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            if isinstance(event, yaml.AliasEvent):
                self._value(event, path)
            raise self._refusal(event, "a key that is no string", "a key is a name, such as d_model")
        key = self._value(event, path)
        if key == "<<" and not event.style:
            raise self._refusal(event, "the merge key '<<'", "write the keys out, or use `extends`")
        if not isinstance(key, str):
            raise self._refusal(
                event,
                f"the key {short(event.value) or 'null'} is no string",
                f'quote it: "{short(event.value)}"',
            )
        return key

    def _refusal(self, event: Any, what: str, instead: str) -> PresetError:
        return self.refusal(event.start_mark.line + 1, f"{what}; {instead}")


def _leading_comment(text: str) -> str:
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("#").strip())
    return "\n".join(lines).strip()


class _Dumper(yaml.SafeDumper):
    """Writes strings in quotes where version 1.1 or 1.2 of YAML would read them as something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_string(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # Between double quotes whatever is no letter is escaped; PyYAML takes U+2028 and its like for line ends.
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _represent_string)
for _pattern, _first in ((_INT, "-+0123456789"), (_FLOAT, "-+.0123456789")):
    _Dumper.add_implicit_resolver(
        "tag:yaml.org,2002:other", re.compile(f"({_pattern.pattern})$"), list(_first)
    )


def to_flow(data: Any) -> str:
    """Plain data as YAML on one line, as an override has it; `read_value` gives equal data back."""
    text: str = yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=10**6
    )
    return text.removesuffix("...\n").strip()


def to_yaml(data: dict[str, Any]) -> str:
    """Plain data as YAML in block style, keys in their order; `read` gives equal data back."""
    return yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=10**6
    )
