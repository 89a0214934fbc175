"""Where two specs differ: the one comparison of specs that everything that tells of differences goes by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from registry.parsing import dump
from registry.spec import Spec

_GONE = object()


class Difference(NamedTuple):
    """A key at which two specs differ, or a part in whose place another stands."""

    path: str
    before: Any
    """As plain data; None where there was nothing."""
    after: Any

    def of_type(self) -> Difference:
        """The difference of type alone where one part replaces another; else itself."""
        if isinstance(self.before, Mapping) and isinstance(self.after, Mapping):
            return Difference(f"{self.path}.type", self.before.get("type"), self.after.get("type"))
        return self


def differences(before: Spec | Any, after: Spec | Any, path: str = "") -> list[Difference]:
    """The differences of two specs, or of two dumps of specs, in the order of the first's keys.

    A part of another type is one difference, whatever it holds. Of lists of parts each item is compared with the one
    at its place, and what one list has more is missing in the other; a list of values is a value.
    """
    return list(_differences(_plain(before), _plain(after), path))


def _plain(value: Any) -> Any:
    return dump(value) if isinstance(value, Spec) else value


def _differences(before: Any, after: Any, path: str) -> Iterator[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and before.get("type") == after.get("type"):
        pairs = {str(key): (before.get(key), after.get(key)) for key in {**before, **after}}
    elif _holds_parts(before) and _holds_parts(after):
        n = max(len(before), len(after))
        pairs = {str(i): (_item(before, i), _item(after, i)) for i in range(n)}
    else:
        if before != after:
            yield Difference(path, before, after)
        return
    for key, pair in pairs.items():
        yield from _differences(*pair, f"{path}.{key}" if path else key)


def _holds_parts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, Mapping) for item in value)


def _item(parts: list[Any], i: int) -> Any:
    return parts[i] if i < len(parts) else None


def with_differences(data: Any, changes: Iterable[Difference]) -> Any:
    """Plain data with these of the differences between it and others made to it; data stays as it is.

    An item that a list lacks is added at its end.
    """
    for change in changes:
        gone = _GONE if change.after is None else change.after
        data = _changed(data, change.path.split(".") if change.path else [], gone)
    return _without_gone(data)


def _changed(data: Any, keys: Sequence[str], value: Any) -> Any:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(data, list):
        i = int(key)
        return (
            [*data, value] if i >= len(data) else [*data[:i], _changed(data[i], rest, value), *data[i + 1 :]]
        )
    return {**data, key: _changed(data[key], rest, value)}


def _without_gone(data: Any) -> Any:
    """A value that is gone is None; an item of a list that is gone leaves it."""
    if isinstance(data, list):
        return [_without_gone(item) for item in data if item is not _GONE]
    if isinstance(data, Mapping):
        return {key: _without_gone(value) for key, value in data.items()}
    return None if data is _GONE else data
