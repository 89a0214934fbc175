"""The commands list, describe, show, check and schema: what there is, and what a spec says."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from zoo.cli import completing
from zoo.cli.arguments import (
    AsJson,
    Force,
    Plugins,
    Scale,
    Words,
    inner_spec,
    inner_spec_names,
    kind_named,
    kinds,
    load,
    load_plugins,
    one,
    split,
    usage_error,
)
from zoo.cli.mistakes import mistakes
from zoo.cli.shell import BAD_SPEC
from zoo.cli.text import (
    component_text,
    first_sentence,
    print_json,
    print_rows,
)


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND|presets|spec]", show_default=False, autocompletion=completing.kind_names
        ),
    ] = None,
    as_json: AsJson = False,
    plugin: Plugins = None,
) -> None:
    """List the kinds of component, the components of one kind, the presets, or the specs that are no component."""
    if kind == "presets":
        import presets

        documents = [presets.read(name) for name in presets.names()]
        rows = [
            {"name": each.name, "scales": each.scales, "summary": first_sentence(each.description)}
            for each in documents
        ]
    elif kind == "spec":
        rows = [{"name": f"spec/{name}"} for name in inner_spec_names(plugin)]
    elif kind is None:
        rows = [{"name": each.name, "components": each.names()} for each in kinds(plugin)]
    else:
        chosen = kind_named(kind, kinds(plugin), further=("presets", "spec"))
        entries = [chosen.entry(name) for name in chosen.names()]
        rows = [{"name": each.name, "summary": each.summary} for each in entries]
    print_rows(rows, as_json=as_json)


def describe(
    component: Annotated[
        str,
        typer.Argument(metavar="KIND/NAME|SPEC", show_default=False, autocompletion=completing.components),
    ],
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Explain a component: what it is, where it comes from, its keys and an example; or e.g. `training`."""
    from registry import describe, describe_spec

    kind_name, slash, name = component.partition("/")
    spec = inner_spec(component, plugin)
    if spec is not None:
        about = describe_spec(spec)
    else:
        kind = kind_named(kind_name, kinds(plugin), further=("spec",), is_component=not slash)
        if not slash:
            raise usage_error(f"which {kind.name}? say {kind.name}/NAME (known: {', '.join(kind.names())})")
        about = describe(kind, name)
    if as_json:
        print_json(about)
    else:
        print(component_text(about))


def show(words: Words, scale: Scale = None, plugin: Plugins = None) -> None:
    """Print a spec resolved, every default written out, as YAML that `check` and `train` accept."""
    sources, overrides = split(words)
    name, spec = load(one(sources, "SPEC"), overrides, scale, plugin)
    from zoo.analysis.size import n_parameters
    from zoo.run.spec import to_yaml

    print(f"# {name}: {n_parameters(spec.model):,} parameters\n{to_yaml(spec)}", end="")


def check(
    words: Annotated[
        list[str],
        typer.Argument(metavar="SPEC... [KEY=VALUE]...", show_default=False, autocompletion=completing.words),
    ],
    scale: Scale = None,
    plugin: Plugins = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Check specs: for each, print ok, its parameters and the memory that training takes, or every mistake in it.

    With --json for each its mistakes: file, line, column, path, value, rule and suggestion.
    """
    from presets import PresetError
    from registry import SpecError

    sources, overrides = split(words)
    if not sources:
        raise usage_error(
            f"{' '.join(overrides)} changes a SPEC, and none is given: a preset, file or run folder"
        )
    found: list[dict[str, Any]] = []
    wrong: list[str] = []
    for source in sources:
        try:
            _, spec = load(source, overrides, scale, plugin)
            from zoo.analysis.size import n_parameters
            from zoo.run.memory import check_count, summary

            if not force:
                check_count(spec, where=source)
        except (SpecError, PresetError) as error:
            wrong.append(str(error))
            if as_json:
                found.append({"spec": source, "mistakes": mistakes(error, _data(source, overrides, scale))})
            continue
        size = {"parameters": n_parameters(spec.model), "memory": summary(spec)}
        found.append({"spec": source, "mistakes": [], **size})
        if not as_json:
            print(f"{source}: ok, {size['parameters']:,} parameters, {size['memory']}")
    if as_json:
        print_json(found)
    elif wrong:
        print("\n".join(wrong), file=sys.stderr)
    if wrong:
        raise typer.Exit(BAD_SPEC)


def _data(source: str, overrides: list[str], scale: str | None) -> dict[str, Any]:
    """What a source says, as far as it can be read."""
    import presets

    try:
        return presets.read(source, overrides=overrides, scale=scale).data
    except presets.DocumentError as error:
        return error.document.data
    except presets.PresetError:
        return {}


def schema(plugin: Plugins = None) -> None:
    """Print the JSON Schema of a spec's file, for editors that complete and check YAML."""
    load_plugins(plugin)
    from zoo.cli.schema import file_schema

    print_json(file_schema())
