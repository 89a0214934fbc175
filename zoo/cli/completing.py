"""What a shell completes: sources, dotted keys of a spec and their values, components. Mistakes complete nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from presets import Document
    from registry import Kind


def words(context: typer.Context, incomplete: str) -> list[str]:
    """A source and what overrides it: presets, YAML files, run folders; keys of the source; values of a key."""
    written = [str(word) for word in context.params.get("words") or []]
    if incomplete == "=" or written[-1:] == ["="]:  # bash takes KEY, = and VALUE for words of their own
        *given, key = _whole([*written, "="] if incomplete == "=" else written)
        return _values(given, key.removesuffix("="), incomplete.removeprefix("="), before="")
    given = _whole(written)
    key, equals, value = incomplete.partition("=")
    if equals:
        return _values(given, key, value, before=f"{key}=")
    found = list(_sources(incomplete))
    if given and (document := _document(given)) is not None:
        found += [f"{key}=" for key in _keys(document) if key.startswith(incomplete)]
    return found


def _whole(written: Sequence[str]) -> list[str]:
    """Words with each KEY, = and VALUE put together."""
    found: list[str] = []
    for word in written:
        if found and (word == "=" or found[-1].endswith("=")):
            found[-1] += word
        else:
            found.append(word)
    return found


def components(incomplete: str) -> list[str]:
    """KIND/NAME, once a kind is written; before, the kinds."""
    kind_name, slash, name = incomplete.partition("/")
    kinds = {kind.name: kind for kind in _kinds()}
    if not slash:
        return [f"{each}/" for each in kinds if each.startswith(kind_name)]
    known = kinds[kind_name].names() if kind_name in kinds else []
    return [f"{kind_name}/{each}" for each in known if each.startswith(name)]


def kind_names(incomplete: str) -> list[str]:
    """The kinds of component."""
    return [kind.name for kind in _kinds() if kind.name.startswith(incomplete)]


def families(incomplete: str) -> list[str]:
    """The model families that are certified."""
    from zoo.interop.family import family_names

    return [name for name in family_names() if name.startswith(incomplete)]


def _kinds() -> Sequence[Kind]:
    import registry
    import zoo.kinds  # noqa: F401  which lists ours

    return registry.kinds()


def _sources(incomplete: str) -> Iterator[str]:
    import presets

    yield from (name for name in presets.names() if name.startswith(incomplete))
    for path in sorted(map(Path, glob(f"{escape(incomplete)}*"))):
        if path.is_dir():
            yield f"{path}" if (path / "spec.yaml").is_file() else f"{path}/"
        elif path.suffix in (".yaml", ".yml"):
            yield f"{path}"


def _document(given: Sequence[str]) -> Document | None:
    """The document of the first word, with the overrides behind it that can be read."""
    import presets

    source, *overrides = given
    for tried in (overrides, []):
        try:
            return presets.read(source, overrides=tried)
        except presets.PresetError:
            continue
    return None


def _keys(document: Document) -> Iterator[str]:
    from registry import dotted_keys
    from zoo.run.spec import RunSpec

    yield from dotted_keys(RunSpec, document.data)


def _values(given: Sequence[str], key: str, incomplete: str, *, before: str) -> list[str]:
    from zoo.cli.explore.completion import values

    document = _document(given) if given else None
    if document is None:
        return []
    return [f"{before}{each.text}" for each in values(key, document.data) if each.text.startswith(incomplete)]
