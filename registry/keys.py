"""The dotted keys that a spec has, and what an unknown one may have meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic.fields import FieldInfo

from registry.kind import Entry, Kind, made_kinds
from registry.problems import SpecError, nearest
from registry.spec import Spec, default_type
from registry.synonyms import NOTES, last_keys, meant_keys

_DEEPEST = 8
_MOST_SUGGESTED = 4
_MOST_LISTED = 12


def dotted_keys(spec_class: type[Spec], data: Any, path: str = "") -> Iterator[str]:
    """Every key that a document with this data has or could set, those of one spec before those inside."""
    data = data if isinstance(data, Mapping) else {}
    inner: list[tuple[type[Spec], Any, str]] = []
    for name, field in spec_class.model_fields.items():
        key = f"{path}.{name}" if path else name
        if name != "type":
            yield key
            value = data.get(name)
            is_list = isinstance(value, list | tuple)
            if value is None and "tuple[" in str(field.annotation):
                continue  # a list that is not given has no items to set
            for i, item in enumerate(value if is_list else [value]):
                where = f"{key}.{i}" if is_list else key
                inner += [(each, item, where) for each in _specs(spec_class, name, field, item)]
    if path.count(".") < _DEEPEST:
        for each, value, where in inner:
            yield from dotted_keys(each, value, where)


def spec_of_key(spec_class: type[Spec], data: Any, path: str) -> type[Spec] | None:
    """The spec that has a dotted key in a document with this data; None where none has it."""
    *above, name = path.split(".")
    return next((each for each in specs_at(spec_class, data, above) if name in each.model_fields), None)


def specs_at(spec_class: type[Spec], data: Any, keys: Sequence[str]) -> list[type[Spec]]:
    """The specs that what stands at a path of this data is read as, list positions as numbers; none where no spec
    can stand."""
    found, left = [spec_class], list(keys)
    while left and found:
        name = left.pop(0)
        data = data.get(name) if isinstance(data, Mapping) else None
        if left and left[0].isdigit():
            place = int(left.pop(0))
            data = data[place] if isinstance(data, list) and place < len(data) else None
        found = [
            each
            for spec in found
            if name in spec.model_fields
            for each in _specs(spec, name, spec.model_fields[name], data)
        ]
    return found


def value_at(data: Any, path: str) -> Any:
    """What stands at a dotted path of a document's data, list positions as numbers; None where nothing does."""
    for key in path.split("."):
        if isinstance(data, list | tuple) and key.isdecimal() and int(key) < len(data):
            data = data[int(key)]
        else:
            data = data.get(key) if isinstance(data, Mapping) else None
    return data


def flat(data: Any, path: str = "") -> dict[str, Any]:
    """The values of a document's data by their dotted paths; a list of parts has its places in them, one of values is a
    value."""
    if isinstance(data, Mapping) and data:
        inside = data.items()
    elif isinstance(data, list | tuple) and any(isinstance(item, Mapping) for item in data):
        inside = dict(enumerate(data)).items()
    else:
        return {path: data}
    found = [flat(value, f"{path}.{key}" if path else str(key)) for key, value in inside]
    return {key: value for each in found for key, value in each.items()}


def suggest_key(
    path: str, siblings: Iterable[str], everywhere: Sequence[str], holders: Sequence[type[Spec]] = ()
) -> str:
    """What an unknown key may have meant: the same name elsewhere, what it is called here, or another spelling.

    siblings are the names known in its place, everywhere the document's dotted keys; holders are the specs that met it.
    """
    parent, _, name = path.rpartition(".")
    below = [key for key in everywhere if key.startswith(f"{parent}." if parent else "")]
    section = [key for key in everywhere if key.partition(".")[0] == path.partition(".")[0]]
    # A path without its beginning, or the same name further in; that of another section may mean something else.
    if same := [key for key in everywhere if key.endswith(f".{path}")]:
        return _did_you_mean(same)
    if same := [key for key in below if key.rpartition(".")[2] == name]:
        return _did_you_mean(same)
    for nearby in (below, section):
        if found := meant_keys(name, nearby):
            return _did_you_mean(found, NOTES.get(found[0]))
    if others := _of_other_parts(name, holders):
        return others
    if found := meant_keys(name, everywhere):
        return _did_you_mean(found, NOTES.get(found[0]))
    same = [key for key in everywhere if key.rpartition(".")[2] == name]
    same = [] if any(key in section for key in same) else same  # that of a part beside this one is no guess
    if shallow := [key for key in same if key.count(".") == 1]:
        return _did_you_mean(shallow)
    if guess := nearest(name, siblings):
        return _did_you_mean([f"{parent}.{guess}" if parent else guess])
    if same:
        return _did_you_mean(same)
    known = sorted(siblings)
    if len(known) > _MOST_LISTED and holders:
        return f"its {len(known)} keys: zoo explain {page_of(holders[0])}"
    return f"known: {', '.join(known)}"


def _of_other_parts(name: str, holders: Sequence[type[Spec]]) -> str:
    """Which other components of a kind have a key that this one has not, by its name or by what it is called here."""
    for kind, entry in (each for holder in holders for each in registrations(holder)):
        for key in (name, *last_keys(name)):
            homes = [
                f"{kind.name}/{other.name}"
                for other in kind.registered()
                if key in other.spec.model_fields and key not in entry.spec.model_fields
            ]
            if homes:
                some = ", ".join(homes[:_MOST_SUGGESTED]) + (", ..." if len(homes) > _MOST_SUGGESTED else "")
                return f"{key} is a key of {some}, not of {entry.name}"
    return ""


def registrations(spec: type[Spec]) -> list[tuple[Kind, Entry]]:
    """The components, of kinds that are loaded, which a spec describes."""
    return [(kind, entry) for kind in made_kinds() for entry in kind.registered() if entry.spec is spec]


def page_of(spec: type[Spec]) -> str:
    """What `zoo explain` calls a spec: KIND/NAME of a component's, else its own name."""
    found = registrations(spec)
    return f"{found[0][0].name}/{found[0][1].name}" if found else spec.__name__


def _did_you_mean(keys: Sequence[str], note: str | None = None) -> str:
    shown = [f"'{key}'" for key in sorted(keys, key=lambda key: key.count("."))[:_MOST_SUGGESTED]]
    text = shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
    return f"did you mean {text}?" + (f" ({note})" if note else "")


def _specs(spec_class: type[Spec], name: str, field: FieldInfo, value: Any) -> list[type[Spec]]:
    """The specs that a field's value is read as."""
    kind = field_kind(field)
    if kind is None:
        return list(spec_classes(field.annotation))
    component = value.get("type") if isinstance(value, Mapping) else value
    component = component or default_type(spec_class, name)
    try:
        return [kind.entry(component).spec] if isinstance(component, str) else []
    except SpecError:
        return []


def field_kind(field: FieldInfo) -> Kind | None:
    """The kind whose components a field takes, or each item of its list."""
    return next(_kinds(field.annotation, field.metadata), None)


def _kinds(annotation: Any, metadata: Iterable[Any]) -> Iterator[Kind]:
    found = (*metadata, *getattr(annotation, "__metadata__", ()))
    yield from (item for item in found if isinstance(item, Kind))
    for argument in get_args(annotation):
        yield from _kinds(argument, ())


def spec_classes(annotation: Any) -> Iterator[type[Spec]]:
    """The specs in a field's annotation."""
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        yield annotation
    elif get_origin(annotation) is Annotated:
        yield from spec_classes(get_args(annotation)[0])
    else:
        for argument in get_args(annotation):
            yield from spec_classes(argument)
