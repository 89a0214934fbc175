"""What a word of this program means: a key, a part, a kind, a law, a preset, or another library's name for one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import presets
from registry import (
    Kind,
    Spec,
    SpecError,
    describe,
    describe_fields,
    describe_spec,
    dotted_keys,
    dump,
    inner_specs,
    kinds,
    page_of,
    spec_of_key,
    value_at,
)
from registry.problems import Problem, did_you_mean
from registry.synonyms import NOTES, last_keys, meant_value
from zoo.run.spec import RunSpec, load

Page = dict[str, Any]

_MODELS = ("transformer_base", "gpt2", "bert_base")
"""Whose keys stand for those of a model of each architecture."""


def explain(word: str, source: str | None = None) -> Page:
    """What a word means, as plain data: `what` it is ("key", "part", "spec", "kind", "law" or "preset"), and the rest.

    word is a dotted key, a key alone (of every spec that has it), KIND/NAME or NAME of a part, a kind, a spec such as
    `training`, a law, a preset, or what another library calls a key or value, whose page says `called`. source is the
    spec whose value of a key is told, too.
    Raises: SpecError for a word that means nothing here, with those near it.
    """
    for meaning in (_dotted, _spec, _kind, _key, _part, _law, _preset, _other_value, _other_key):
        if (page := meaning(word.strip(), source)) is not None:
            return page
    near = (
        did_you_mean(word, _words())
        or "zoo list and zoo list presets tell what there is, zoo describe KIND/NAME its keys"
    )
    raise SpecError([Problem("", f"nothing is called '{word}'; {near}")])


def _dotted(word: str, source: str | None) -> Page | None:
    if "." not in word or "/" in word:
        return None
    sources = [source] if source else [*_MODELS, *(name for name in presets.names() if name not in _MODELS)]
    for name in sources:
        data = dump(load(name)) if source else _document(name).data
        if (spec := spec_of_key(RunSpec, data, word)) is not None:
            page = _page_of_key(word.rpartition(".")[2], [spec], _settings())
            settings = [(preset, path, value) for preset, path, value in _settings() if path == word]
            return {**page, "word": word, "presets": _by_value(settings), **_in(source, word)}
    name = sources[0]
    known = list(dotted_keys(RunSpec, _document(name).data))
    key = word.rpartition(".")[2]
    if others := [each for each in last_keys(key) if _specs_with(each)]:
        return {**_page_of_key(others[0], _specs_with(others[0]), _settings()), "called": key}
    beside = [each for each in known if each.rpartition(".")[0] == word.rpartition(".")[0]]
    near = (
        did_you_mean(word, beside) or did_you_mean(word, known) or f"zoo explain {key} tells where it stands"
    )
    where = f"{source} has" if source else "the presets have"
    raise SpecError([Problem("", f"{where} no key '{word}'; {near}")])


def _key(word: str, source: str | None) -> Page | None:
    holders = _specs_with(word)
    if not holders:
        return None
    page = _page_of_key(word, holders, _settings())
    page["elsewhere"] = [name for name in last_keys(word) if name != word and _specs_with(name)]
    if source is None:
        return page
    data = dump(load(source))
    found = [each for each in dotted_keys(RunSpec, data) if each.rpartition(".")[2] == word]
    return {**page, "in": {"spec": source, "values": {path: value_at(data, path) for path in found}}}


def _part(word: str, source: str | None) -> Page | None:
    kind_name, slash, name = word.partition("/")
    wanted = [kind for kind in kinds() if (kind.name == kind_name if slash else word in kind.names())]
    if not wanted:
        return None
    pages = [_page_of_part(kind, name if slash else word) for kind in wanted]
    return pages[0] if len(pages) == 1 else {"what": "parts", "word": word, "parts": pages}


def _spec(word: str, source: str | None) -> Page | None:
    plain = word.lower().removeprefix("spec/").removesuffix("spec").replace("_", "")
    found = {name.lower().removesuffix("spec"): spec for name, spec in _inner_specs().items()}.get(plain)
    return None if found is None else {"what": "spec", "word": word, "about": describe_spec(found)}


def _kind(word: str, source: str | None) -> Page | None:
    kind = next((kind for kind in kinds() if kind.name == word), None)
    if kind is None:
        return None
    parts = {name: kind.entry(name).summary for name in kind.names()}
    users = [
        (preset, path, value)
        for preset, path, value in _settings()
        if isinstance(value, str) and value in parts
    ]
    mine = [each for each in users if _kind_at(*each[:2]) == word]
    return {
        "what": "kind",
        "word": word,
        "contract": kind.contract,
        "parts": parts,
        "presets": _by_value(mine),
    }


def _law(word: str, source: str | None) -> Page | None:
    from zoo.conformance.laws import LAWS

    found = {kind: law for kind, laws in LAWS.items() for law in laws if law.name == word}
    if not found:
        return None
    law = next(iter(found.values()))
    doc = inspect.getdoc(law.check) or ""
    return {"what": "law", "word": word, "doc": doc, "kinds": list(found), "slow": law.is_slow}


def _preset(word: str, source: str | None) -> Page | None:
    if word not in presets.names():
        return None
    document = presets.read(word)
    return {"what": "preset", "word": word, "doc": document.description, "scales": document.scales}


def _other_key(word: str, source: str | None) -> Page | None:
    names = [name for name in last_keys(word) if _specs_with(name)]
    pages = [page for name in names if (page := _key(name, source)) is not None]
    if not pages:
        return None
    page = {**pages[0], "called": word}
    notes = [note for key, note in NOTES.items() if key.rpartition(".")[2] == names[0]]
    return {**page, "note": notes[0] if notes else "", "further": names[1:]}


def _other_value(word: str, source: str | None) -> Page | None:
    for kind in kinds():
        if (written := meant_value(word, kind.names())) is not None:
            name = (
                written
                if written in kind.names()
                else written.partition("type: ")[2].partition(",")[0].strip("}")
            )
            keys = [key for key in last_keys(word) if _specs_with(key)]
            return {**_page_of_part(kind, name), "called": word, "written": written, "further": keys}
    return None


def _page_of_key(key: str, holders: Iterable[type[Spec]], settings: Iterable[tuple[str, str, Any]]) -> Page:
    """A key's page: what it takes in each group of specs that say the same of it, and what presets set."""
    groups: dict[str, Page] = {}
    for holder in holders:
        field = next(each for each in describe_fields(holder) if each["name"] == key)
        about = groups.setdefault(
            repr({**field, "name": ""}), {**field, "of": [], "where": [], "sources": []}
        )
        about["of"].append(page_of(holder))
        if (where := _line_of(holder, key)) not in about["where"]:
            about["where"].append(where)
        for said in _sources(holder):
            if said not in about["sources"]:
                about["sources"].append(said)
    found = [each for each in settings if each[1].rpartition(".")[2] == key]
    pages = {page for group in groups.values() for page in group["of"]}
    mine = [each for each in found if _is_of(each, pages)]
    paths = list(dict.fromkeys(path for _, path, _ in mine))
    return {
        "what": "key",
        "word": key,
        "meanings": list(groups.values()),
        "paths": paths,
        "presets": _by_value(mine),
    }


def _is_of(setting: tuple[str, str, Any], pages: set[str]) -> bool:
    """Whether a preset sets the key of one of these specs, and not one of that name elsewhere."""
    preset, path, _ = setting
    spec = spec_of_key(RunSpec, _document(preset).data, path)
    return spec is not None and page_of(spec) in pages


def _page_of_part(kind: Kind, name: str) -> Page:
    users = [
        preset for preset, path, value in _settings() if value == name and _kind_at(preset, path) == kind.name
    ]
    return {
        "what": "part",
        "word": f"{kind.name}/{name}",
        "about": describe(kind, name),
        "used_by": list(dict.fromkeys(users)),
    }


def _kind_at(preset: str, path: str) -> str:
    """The kind of the part that stands at a path of a preset, given by its name or as a mapping's type."""
    from registry.keys import field_kind

    key = path.removesuffix(".type")
    spec = spec_of_key(RunSpec, _document(preset).data, key)
    kind = None if spec is None else field_kind(spec.model_fields[key.rpartition(".")[2]])
    return "" if kind is None else kind.name


def _in(source: str | None, path: str) -> Page:
    """A spec's own value of a key, and where that stands."""
    if source is None:
        return {}
    where = presets.read(source).locate(path)
    return {"in": {"spec": source, "values": {path: value_at(dump(load(source)), path)}, "where": where}}


@cache
def _document(preset: str) -> presets.Document:
    return presets.read(preset)


@cache
def _settings() -> list[tuple[str, str, Any]]:
    """What every preset says: its name, the dotted key and the value."""
    return [
        (name, path, value) for name in presets.names() for path, value in _leaves(_document(name).data, "")
    ]


def _leaves(data: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list) and any(isinstance(each, Mapping) for each in data):
        for i, value in enumerate(data):
            yield from _leaves(value, f"{path}.{i}")
    else:
        yield path, data


def _by_value(settings: Iterable[tuple[str, str, Any]]) -> dict[str, list[str]]:
    """The presets by the value that they set, the commonest first."""
    found: dict[str, list[str]] = {}
    for preset, _, value in settings:
        names = found.setdefault(presets.to_flow(value), [])
        if preset not in names:
            names.append(preset)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def _specs_with(key: str) -> list[type[Spec]]:
    parts = [kind.entry(name).spec for kind in kinds() for name in kind.names()]
    everything = [*_inner_specs().values(), *parts]
    return [spec for spec in dict.fromkeys(everything) if key in spec.model_fields and key != "type"]


def _inner_specs() -> dict[str, type[Spec]]:
    return inner_specs(RunSpec, kinds())


def _line_of(spec: type[Spec], key: str) -> str:
    """`file:line` of a field, in the class that says it, from the folder of the package."""
    home = next(each for each in spec.__mro__ if key in vars(each).get("__annotations__", {}))
    lines, first = inspect.getsourcelines(home)
    offset = next((i for i, line in enumerate(lines) if line.strip().startswith(f"{key}:")), 0)
    file = Path(inspect.getsourcefile(home) or "")
    base = Path(__file__).parents[2]
    return f"{file.relative_to(base) if file.is_relative_to(base) else file}:{first + offset}"


def _sources(spec: type[Spec]) -> list[str]:
    """What a component's docstring gives as its source."""
    from registry.keys import registrations

    docs = [re.sub(r"\n {4}", " ", inspect.getdoc(entry.builder) or "") for _, entry in registrations(spec)]
    return [
        line.removeprefix("Source: ")
        for doc in docs
        for line in doc.splitlines()
        if line.startswith("Source: ")
    ]


def _words() -> set[str]:
    """Every word that has a page."""
    from zoo.conformance.laws import LAWS

    parts = {f"{kind.name}/{name}": name for kind in kinds() for name in kind.names()}
    specs = [kind.entry(name).spec for kind in kinds() for name in kind.names()] + [*_inner_specs().values()]
    keys = {key for spec in specs for key in spec.model_fields} - {"type"}
    laws = {law.name for laws in LAWS.values() for law in laws}
    return {*parts, *parts.values(), *keys, *laws, *presets.names(), *(kind.name for kind in kinds())}
