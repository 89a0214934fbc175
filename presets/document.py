"""From a preset's name, a file, a run folder or a mapping to plain data that knows its origins."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from presets.errors import PresetError, Spot, UnknownKeyError, guess, short
from presets.merging import Keys, displaced, merged, replaces, with_keys
from presets.packages import packaged
from presets.yaml12 import MAX_BYTES, MAX_DEPTH, read_text, read_value

TOP_LEVEL_KEYS = ("model", "task", "training", "generation", "scales", "extends")
SETTABLE_KEYS = TOP_LEVEL_KEYS[:4]
LISTING = "zoo list presets"
OVERRIDE = "override "
"""How the place of what an override has set begins."""

_OWN_PART = "encoder"  # what a decoder is like of its own model, which knows what that means
_LIKE_WHAT = "write a path such as bert_base.model.encoder, which names a mapping or a component"
_TABLES = ("table3", "table4")  # folders of presets that change one thing each

Result = TypeVar("Result")


@dataclass(frozen=True)
class Document:
    """A spec as plain data, with `extends`, a scale and overrides applied."""

    data: dict[str, Any]
    name: str
    """The preset's, the file's without its ending, or the run folder's; empty for a mapping."""
    scales: list[str]
    description: str
    """The comment at the head of the file."""
    places: Mapping[Keys, str] = field(repr=False)
    replaced: Mapping[Keys, Any] = field(default_factory=dict, repr=False)
    """What stood where the scale has put a component of another type."""

    def locate(self, path: str) -> str:
        """`file:line` of a dotted path, or "override '...'"; a missing key has its parent's.

        A part whose keys overrides set has their place: what is wrong with it as a whole they have brought about.
        """
        keys = tuple(path.split(".")) if path else ()
        own = {
            place
            for within, place in self.places.items()
            if within and within[:-1] == keys and place.startswith(f"{OVERRIDE}'{'.'.join(within)}=")
        }
        if own:
            return ", ".join(sorted(own))
        known = (
            self.places[keys[:length]] for length in range(len(keys), -1, -1) if keys[:length] in self.places
        )
        return next(known, "")


class DocumentError(PresetError):
    """Everything that a document and its overrides get wrong, and the document without that, to be read further."""

    def __init__(self, mistakes: Sequence[PresetError], document: Document) -> None:
        self.mistakes, self.document = list(mistakes), document
        super().__init__("\n".join(map(str, mistakes)))

    def __reduce__(self) -> tuple[type[PresetError], tuple[str]]:
        return PresetError, (str(self),)


def names() -> list[str]:
    """The presets that there are, sorted: ours, those of a table of the paper as `table3/heads_1`, and those that
    installed packages ship.

    Raises: PresetError for a package's preset that has the name of one of ours, or another's.
    """
    own, shipped = _own_names(), packaged()
    if taken := sorted(set(own) & set(shipped)):
        raise PresetError(
            f"{shipped[taken[0]]}: a preset is already called '{taken[0]}'; mend or uninstall that package"
        )
    return sorted([*own, *shipped])


@cache
def _own_names() -> tuple[str, ...]:
    home = resources.files("presets")
    found = [(entry.name, "") for entry in home.iterdir()]
    found += [(entry.name, f"{folder}/") for folder in _TABLES for entry in (home / folder).iterdir()]
    return tuple(f"{prefix}{name.removesuffix('.yaml')}" for name, prefix in found if name.endswith(".yaml"))


def read(
    source: str | Path | Mapping[str, Any], *, overrides: Sequence[str] = (), scale: str | None = None
) -> Document:
    """Reads a preset (by name), a .yaml file, a run folder (its spec.yaml) or a mapping.

    scale picks one of the document's `scales`; overrides are `dotted.path=VALUE`, VALUE as YAML, list
    positions as numbers. Whatever their order, the path of fewer keys is set first. A component set anew, as
    a whole or by its `type`, keeps none of the old one's keys; a name in the way becomes `{type: name}`.
    A mapping `{like: PRESET.path, ...}`, in a scale and an override too, is what stands there in another preset, with
    the further keys on top.

    Raises: PresetError for a source that is not there, is no such YAML or has no such scale; DocumentError, which
        is one, for all wrong top-level keys and all overrides that cannot be taken at once.
    """
    return _finished(_load(source, folder=Path()), overrides, scale)


def read_typed(text: str, shown: str, *, overrides: Sequence[str] = (), scale: str | None = None) -> Document:
    """The same of a document's text, which errors call `shown`; what it extends is looked for where the process is."""
    return _finished(_typed(text.encode("utf-8", "surrogatepass"), shown, "", Path()), overrides, scale)


def text_of(source: str | Path) -> str:
    """A document as it is written: a preset, a file or a run folder's. Raises: PresetError where there is none."""
    file, _, shown = _find(source, Path())
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PresetError(
            f"{shown}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        ) from None


def _finished(draft: _Draft, overrides: Sequence[str], scale: str | None) -> Document:
    """A document with what it extends, with its scale and overrides."""
    if "extends" in draft.data:
        draft = _extended(draft)
    _check_top_level(draft)
    draft.data = _borrowed(draft, draft.data, ())
    scales = _pop_scales(draft)
    replaced: dict[Keys, Any] = {}
    if scale is not None:
        if scale not in scales:
            raise PresetError(f"{draft.shown}: no scale is called '{short(scale)}'; {guess(scale, scales)}")
        replaced = _replaced(draft.data, scales[scale])
        draft.apply(
            [(key, value, draft.place(("scales", scale, key))) for key, value in scales[scale].items()]
        )
    draft.apply([setting for text in overrides if (setting := draft.noted(_override, text)) is not None])
    document = Document(draft.data, draft.name, list(scales), draft.description, draft.places, replaced)
    if draft.mistakes:
        raise DocumentError(draft.mistakes, document)
    return document


def nested(overrides: Sequence[str]) -> dict[str, Any]:
    """What overrides make of an empty document that may have any keys: `a.b=1` gives {a: {b: 1}}.

    Raises: PresetError for one that is none.
    """
    found: dict[str, Any] = {}
    for path, value, _ in map(_override, overrides):
        for key in reversed(path.split(".")):
            value = {key: value}
        found = merged(found, value)
    return found


@dataclass
class _Draft:
    """A document while it is put together."""

    data: dict[str, Any]
    name: str
    shown: str
    """What errors call it: the file as the user gave it."""
    folder: Path
    """Where a relative `extends` starts."""
    description: str = ""
    places: dict[Keys, str] = field(default_factory=dict)
    mistakes: list[PresetError] = field(default_factory=list)
    """What was left out because it is wrong."""

    def noted(self, step: Callable[..., Result], *arguments: Any) -> Result | None:
        """What a step gives; None where it fails, whose error is kept."""
        try:
            return step(*arguments)
        except PresetError as error:
            self.mistakes.append(error)
            return None

    def place(self, keys: Keys) -> str:
        return self.places.get(keys, self.shown)

    def apply(self, settings: Sequence[tuple[str, Any, str]]) -> None:
        """Sets dotted paths, shorter ones first: a component before its keys."""
        split = [(tuple(path.split(".")), value, place) for path, value, place in settings]
        given = {keys[:length] for keys, _, _ in split for length in range(1, len(keys) + 1)}
        for keys, value, place in sorted(split, key=lambda item: len(item[0]) - (item[0][-1] == "type")):
            self.noted(self._set, keys, value, place, given)

    def _set(self, keys: Keys, value: Any, place: str, given: set[Keys]) -> None:
        """Sets a path; `given` are all that are set beside it, with those around them."""
        if keys[0] not in SETTABLE_KEYS:
            raise UnknownKeyError(place, ".".join(keys), guess(keys[0], SETTABLE_KEYS))
        if len(keys) > MAX_DEPTH:
            raise PresetError(f"{place}: a path of over {MAX_DEPTH} keys; a spec has about ten levels")
        node: Any = self.data
        for depth, key in enumerate(keys[:-1], start=1):
            child = _get(node, key, keys[:depth], place)
            self._displace(node, keys[:depth], given)
            if isinstance(child, str):
                child = node[_index(node, key)] = with_keys(child)
            elif child is None:
                child = node[_index(node, key)] = {}
                self.places[keys[:depth]] = place
            elif not isinstance(child, dict | list):
                parent = ".".join(keys[:depth])
                raise PresetError(
                    f"{place}: {parent} is {short(repr(child))}, without keys; set it as a whole"
                )
            node = child
        old = _get(node, keys[-1], keys, place)
        if isinstance(node, dict) and replaces({keys[-1]: value}, node):
            self._forget(node, keys[:-1])
            node.clear()
            self.places[keys[:-1]] = place
        self._forget(old, keys)
        node[_index(node, keys[-1])] = _borrowed(self, value, keys, place)
        self.places[keys] = place
        if value is not None:
            self._displace(node, keys, given)

    def _displace(self, node: Any, keys: Keys, given: set[Keys]) -> None:
        """Takes out of the mapping what filled the slot of a key that is set, unless that is set as well."""
        if not isinstance(node, dict):
            return
        for other in displaced({keys[-1]: keys}) & node.keys():
            where = (*keys[:-1], other)
            if where not in given:
                self._forget(node.pop(other), where)
                self.places.pop(where, None)

    def _forget(self, value: Any, keys: Keys) -> None:
        for below in _paths_below(value, keys):
            self.places.pop(below, None)


def _get(node: Any, key: str, keys: Keys, place: str) -> Any:
    """The value at a key of a mapping, or at a position of a list; None where a mapping has no such key."""
    if isinstance(node, dict):
        return node.get(key)
    if not (key.isascii() and key.isdigit() and len(key) < 7 and int(key) < len(node)):
        raise PresetError(
            f"{place}: {'.'.join(keys[:-1])} is a list of {len(node)} and has no item '{short(key)}'; "
            "the first is 0"
        )
    return node[int(key)]


def _index(node: Any, key: str) -> Any:
    return int(key) if isinstance(node, list) else key


def _paths_below(value: Any, keys: Keys) -> Iterator[Keys]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*keys, str(key))
        yield from _paths_below(child, (*keys, str(key)))


def _override(text: str) -> tuple[str, Any, str]:
    if not isinstance(text, str):
        raise PresetError(f"an override is a string such as 'model.d_model=256', not a {type(text).__name__}")
    place = f"{OVERRIDE}'{short(text)}'"
    path, equals, value = text.partition("=")
    path = path.strip()
    if not equals or not all(path.split(".")):
        raise PresetError(f"{place}: must be a dotted path, '=' and a value, such as model.d_model=256")
    if not value.strip():
        raise PresetError(f"{place}: has no value; write null for nothing and '' for an empty string")
    return path, read_value(value, place), place


# Sources


def _load(source: str | Path | Mapping[str, Any], *, folder: Path) -> _Draft:
    if isinstance(source, Mapping):
        return _Draft(_plain(source, ()), "", "the given mapping", folder)
    if not isinstance(source, str | Path):
        what = f"a preset's name, a path or a mapping, not a {type(source).__name__}"
        raise PresetError(f"a spec is read from {what}")
    file, name, shown = _find(source, folder)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise PresetError(f"{shown}: cannot be read ({error.strerror})") from None
    return _typed(content, shown, name, file.parent if isinstance(file, Path) else Path())


def _typed(content: bytes, shown: str, name: str, folder: Path) -> _Draft:
    text = read_text(content, shown)
    if not isinstance(text.data, dict):
        raise PresetError(f"{shown}:1: {_not_keys(text.data)}")
    places: dict[Keys, str] = {
        keys: Spot(f"{shown}:{line}", text.columns[keys]) for keys, line in text.lines.items()
    }
    return _Draft(text.data, name, shown, folder, text.description, {(): f"{shown}:1", **places})


def _not_keys(data: Any) -> str:
    """What is wrong with a document that is no mapping."""
    if isinstance(data, str) and re.match(r"[A-Za-z_]\w*:\S", data):
        return f"'{short(data)}' has no space behind its colon; write '{short(data.replace(':', ': ', 1))}'"
    what = "is empty" if data is None else "holds a list" if isinstance(data, list) else "holds one value"
    others = ", ".join(TOP_LEVEL_KEYS[:5])
    return f"{what}, where keys with values are needed, such as extends: quickstart (others: {others})"


def _find(source: str | Path, folder: Path) -> tuple[Path | Traversable, str, str]:
    """The file behind a source, its name, and what errors call it."""
    text = str(source)
    known = names()
    if isinstance(source, str) and text in packaged():
        return packaged()[text], text, str(packaged()[text])
    if isinstance(source, str) and text in known:
        return resources.files("presets") / f"{text}.yaml", text, f"presets/{text}.yaml"
    missing = PresetError(f"{short(text)}: {_absent(text, known)}")
    if not text.strip() or not text.isprintable() or len(text) > 4096:
        raise missing
    path = folder / text
    try:
        if path.is_dir():
            path /= "spec.yaml"
            if not path.is_file():
                raise PresetError(f"{text}: this folder holds no spec.yaml; {_instead(path.parent)}")
            return path, path.parent.resolve().name, str(path)
        if not path.is_file():
            raise missing
    except OSError:  # a name too long for the file system
        raise missing from None
    if path.suffix not in (".yaml", ".yml"):
        raise PresetError(f"{text}: is no spec; a spec's file name ends in .yaml")
    return path, path.stem, str(path)


def _instead(folder: Path) -> str:
    """What to do with a folder that is no run's."""
    if (folder / "config.json").is_file():
        return f"it is a checkpoint of transformers: zoo import {folder} OUT makes a folder of it that is"
    return "give a run folder, a file or a preset's name"


def _absent(text: str, known: Sequence[str]) -> str:
    """What is said of a source that is not there; one that is written as a file's is meant as one."""
    path = Path(text)
    is_sane = text.isprintable() and len(text) <= 250  # else no file system has it
    if is_sane and path.suffix in (".yaml", ".yml") and path.stem not in known:
        if not path.parent.is_dir():
            return f"no such file, nor a folder {path.parent}"
        near = get_close_matches(path.stem, [each.stem for each in path.parent.glob(f"*{path.suffix}")], n=1)
        meant = f"did you mean '{path.with_stem(near[0])}'?" if near else f"a preset has no ending: {LISTING}"
        return f"no such file; {meant}"
    meant = path.stem if path.suffix in (".yaml", ".yml") else text
    nearby = guess(meant, known, listing=LISTING)
    return f"no preset has this name, and there is no such file or run folder; {nearby}"


def _plain(value: Any, keys: Keys) -> Any:
    """Dicts and lists of their own, so that overrides do not reach into the caller's."""
    if len(keys) > MAX_DEPTH:
        raise PresetError(f"{'.'.join(keys[:3])}...: nesting over {MAX_DEPTH} levels; a spec has about ten")
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise PresetError(f"{'.'.join(keys)}: the key {key!r} is no string")
        return {key: _plain(child, (*keys, key)) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(child, (*keys, str(index))) for index, child in enumerate(value)]
    return value


# extends, top-level keys, scales


def _extended(draft: _Draft) -> _Draft:
    place = draft.place(("extends",))
    source = draft.data.pop("extends")
    if not isinstance(source, str):
        raise PresetError(f"{place}: extends: must be one preset's name or the path of a .yaml file")
    if source not in names() and not source.endswith((".yaml", ".yml")):
        nearby = guess(source, names(), listing=LISTING)
        raise PresetError(f"{place}: extends: no preset is named '{short(source)}'; {nearby}")
    try:
        base = _load(source, folder=draft.folder)
    except PresetError as error:
        raise PresetError(f"{place}: extends: {error}") from None
    if base.shown == draft.shown:
        raise PresetError(
            f"{place}: extends: a file cannot extend itself; name what it starts from: {LISTING}"
        )
    if "extends" in base.data:
        further = short(repr(base.data["extends"]))
        raise PresetError(
            f"{place}: extends: {short(source)} itself extends {further}, and one level is all there is; "
            "extend that one and write the difference out"
        )
    replaced: set[Keys] = set()
    over = {
        key: merged(base.data.get(key), value, keys=(key,), replaced=replaced)
        for key, value in draft.data.items()
    }
    draft.data, draft.places = {**base.data, **over}, {**_kept(base.places, replaced), **draft.places}
    return draft


def _kept(places: Mapping[Keys, str], replaced: set[Keys]) -> dict[Keys, str]:
    """The places that stand after others were laid over them."""
    return {
        keys: place
        for keys, place in places.items()
        if not any(keys[:length] in replaced for length in range(1, len(keys) + 1))
    }


def _borrowed(draft: _Draft, value: Any, keys: Keys, origin: str | None = None) -> Any:
    """`value` with every `{like: PRESET.path, ...}` in it replaced by what it stands for.

    origin is where it comes from, if that is not where the draft says.
    """
    if isinstance(value, list):
        return [_borrowed(draft, child, (*keys, str(index)), origin) for index, child in enumerate(value)]
    if not isinstance(value, dict):
        return value
    reference = value.get("like", _OWN_PART)
    if reference != _OWN_PART:
        place = origin or draft.place((*keys, "like"))
        preset, path, source = _referred(reference, place)
        found: Any = source.data
        for key in path.split("."):
            inner = with_keys(found)
            found = inner.get(key) if isinstance(inner, dict) else None
            if found is None:
                nearest = f"; {guess(key, map(str, inner))}" if isinstance(inner, dict) else ""
                raise PresetError(
                    f"{place}: like: there is no part at '{short(path)}' in the preset {preset}{nearest}"
                )
        found = with_keys(found)
        if not isinstance(found, dict):
            raise PresetError(
                f"{place}: like: '{short(path)}' in the preset {preset} is no part; {_LIKE_WHAT}"
            )
        further = {key: child for key, child in value.items() if key != "like"}
        replaced: set[Keys] = set()
        value = merged(found, further, keys=keys, replaced=replaced)
        start = tuple(path.split("."))
        inherited = {(*keys, *below[len(start) :]): there for below, there in source.places.items()
                     if below[: len(start)] == start}  # fmt: skip
        draft.places = {**_kept(inherited, replaced), **draft.places}
    return {key: _borrowed(draft, child, (*keys, key), origin) for key, child in value.items()}


def _referred(reference: Any, place: str) -> tuple[str, str, Document]:
    """The preset that a `like` names, the path in it, and what it says. Raises: PresetError."""
    if not isinstance(reference, str):
        raise PresetError(f"{place}: like: must be text, not {short(repr(reference))}; {_LIKE_WHAT}")
    preset, dot, path = reference.partition(".")
    if preset not in names():
        nearby = guess(preset, names(), listing=LISTING)
        raise PresetError(f"{place}: like: no preset is named '{short(preset)}'; {nearby}")
    if not dot:
        raise PresetError(
            f"{place}: like: {preset} is a whole preset; name a part of it, such as {preset}.model"
        )
    return preset, path, read(preset)


def _check_top_level(draft: _Draft) -> None:
    for key in [key for key in draft.data if key not in TOP_LEVEL_KEYS]:
        value = draft.data[key]
        meant = "extends" if isinstance(value, str) and value in names() else key
        text = f"{draft.place((key,))}: {short(key)}: unknown top-level key; {guess(meant, TOP_LEVEL_KEYS)}"
        draft.mistakes.append(PresetError(text))
        del draft.data[key]


def _replaced(data: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[Keys, Any]:
    """The components that settings put others in the place of."""
    found: dict[Keys, Any] = {}
    for path, value in settings.items():
        *above, last = path.split(".")
        keys, new = (tuple(above), {"type": value}) if last == "type" else ((*above, last), with_keys(value))
        old: Any = data
        for key in keys:
            old = with_keys(old).get(key) if isinstance(with_keys(old), dict) else None
        old = with_keys(old)
        if isinstance(old, dict) and isinstance(new, dict) and replaces(new, old):
            found[keys] = deepcopy(old)
    return found


def _pop_scales(draft: _Draft) -> dict[str, dict[str, Any]]:
    scales = draft.data.pop("scales", {})
    form = "write `scales: {tiny: {model.d_model: 64}}`: names, then dotted paths with their values"
    if not isinstance(scales, dict):
        raise PresetError(f"{draft.place(('scales',))}: scales: must be a mapping; {form}")
    for name, settings in scales.items():
        if not isinstance(settings, dict):
            raise PresetError(
                f"{draft.place(('scales', name))}: scales.{short(name)}: must be a mapping; {form}"
            )
        for path, value in settings.items():
            place = f"{draft.place(('scales', name, path))}: scales.{short(name)}"
            keys = path.split(".")
            if keys[0] not in SETTABLE_KEYS:
                raise PresetError(
                    f"{place}: unknown top-level key '{short(keys[0])}'; {guess(keys[0], SETTABLE_KEYS)}"
                )
            if not all(keys) or (len(keys) == 1 and isinstance(value, dict)):
                raise PresetError(f"{place}: '{short(path)}' is no dotted path; {form}")
    return scales
