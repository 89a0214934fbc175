"""Every part says what the reader cannot see: meaning, source, shapes."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from registry import Kind, Spec, kinds
from zoo.kinds import (
    ATTENTION,
    EMBEDDING,
    FFN,
    HEAD,
    INITIALIZATION,
    LAYOUT,
    MIXER,
    NORM,
    POSITION,
)

ROOT = Path(__file__).resolve().parents[1]
PARTS = (ATTENTION, MIXER, FFN, NORM, POSITION, LAYOUT, EMBEDDING, HEAD, INITIALIZATION)
HOMES = ("zoo.", "registry.")


OURS = tuple(kind for kind in kinds() if kind.package.startswith(HOMES))


def components(of: tuple[Kind, ...]) -> list[tuple[Kind, str]]:
    return [(kind, name) for kind in of for name in kind.names()]


def specs() -> list[type[Spec]]:
    """Every spec class of the project: the registered ones and those they are made of."""
    components(OURS)
    importlib.import_module("zoo.run.spec")
    found: dict[str, type[Spec]] = {}
    todo: list[type[Spec]] = [Spec]
    while todo:
        for child in todo.pop().__subclasses__():
            if child.__module__.startswith(HOMES):
                found[f"{child.__module__}.{child.__qualname__}"] = child
            todo.append(child)
    return [found[name] for name in sorted(found)]


def undocumented(source: str) -> list[str]:
    """Public functions and classes of a module that say nothing about themselves."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
        and not is_spec(node)
    ]


def is_spec(node: ast.AST) -> bool:
    """A component's spec speaks through its fields; the module beside it carries the prose."""
    return isinstance(node, ast.ClassDef) and any(
        isinstance(base, ast.Name) and base.id.endswith("Spec") for base in node.bases
    )


@pytest.mark.parametrize("part", components(PARTS), ids=lambda part: f"{part[0].name}/{part[1]}")
def test_a_component_names_its_source_and_its_shapes(part: tuple[Kind, str]) -> None:
    kind, name = part
    docstring = kind.entry(name).builder.__doc__ or ""
    starts = {line.strip().partition(":")[0] for line in docstring.splitlines()}
    assert {"Source", "Shapes"} <= starts, f"{kind.entry(name).where}: {kind.name}/{name}"


@pytest.mark.parametrize("part", components(OURS), ids=lambda part: f"{part[0].name}/{part[1]}")
def test_a_component_says_in_one_line_what_it_is(part: tuple[Kind, str]) -> None:
    kind, name = part
    first = (kind.entry(name).builder.__doc__ or "").strip().partition("\n")[0]
    assert first.endswith("."), f"{kind.entry(name).where}: {kind.name}/{name}: {first!r}"
    assert kind.entry(name).summary


@pytest.mark.parametrize("spec", specs(), ids=lambda spec: f"{spec.__module__}.{spec.__qualname__}")
def test_every_key_of_a_spec_is_explained(spec: type[Spec]) -> None:
    silent = [
        name
        for name, field in spec.model_fields.items()
        if name != "type" and not (field.description or "").strip()
    ]
    assert silent == []


@pytest.mark.parametrize(
    "path",
    [
        path
        for package in ("registry", "presets", "zoo")
        for path in sorted((ROOT / package).rglob("*.py"))
        if not path.name.startswith("test_")  # of the templates; a test's name says what it claims
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_public_functions_and_classes_are_documented(path: Path) -> None:
    assert undocumented(path.read_text(encoding="utf-8")) == []


def test_a_silent_function_is_found() -> None:
    source = 'def loud() -> None:\n    "Speaks."\n\ndef silent() -> None: ...\n\ndef _own() -> None: ...\n'
    assert undocumented(source) == ["silent"]
