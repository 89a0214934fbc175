"""The command conform: which laws of its kind a part keeps."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.amounts import amount
from zoo.cli import completing
from zoo.cli.arguments import AsJson, Plugins, kinds, load_plugins, usage_error
from zoo.cli.comparing import DIFFER
from zoo.cli.text import print_json, print_rows

if TYPE_CHECKING:
    from zoo.conformance.running import Finding
    from zoo.conformance.trials import Part


def conform(
    component: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND/NAME]",
            show_default=False,
            autocompletion=completing.components,
            help="A registered component.",
        ),
    ] = None,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            show_default=False,
            help="Its fields, instead of those of its examples and defaults.",
        ),
    ] = None,
    module: Annotated[
        str | None,
        typer.Option(
            "--module",
            metavar="FILE:NAME",
            help="Instead, a plain module: NAME takes d_model and gives it, or is a zoo.conformance.plain_part; "
            "the file is executed.",
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", metavar="KIND", help="Of the plain module: attention, mixer, ffn or norm."),
    ] = None,
    laws: Annotated[
        str | None, typer.Option("--laws", metavar="KIND", help="Only print the laws of that kind.")
    ] = None,
    slow: Annotated[
        bool, typer.Option("--slow", help="Try the laws that take seconds each, too: compiling, exporting.")
    ] = False,
    scaling: Annotated[
        bool,
        typer.Option("--scaling", help="Instead, measure how time and memory grow with a sequence's length."),
    ] = False,
    expect: Annotated[
        list[str] | None,
        typer.Option("--expect", metavar="LAW=REASON", help="It is known to break that law; it then has to."),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Try every law of its kind on a part, by its examples and defaults; exit code 1 where it breaks one.

    A law that does not apply, and a failure that is expected, are told with the reason.
    """
    if sum(given is not None for given in (component, module, laws)) != 1:
        raise usage_error("exactly one of KIND/NAME, --module FILE:NAME and --laws KIND is needed")
    if scaling and (slow or expect or laws):
        raise usage_error("--scaling measures and tries no laws: leave --slow, --expect and --laws out")
    if laws is not None:
        _print_laws(laws, as_json)
        return
    expected = dict(_reason(word) for word in expect or ())
    left_out = ""
    if module is None:
        parts, left_out = _registered(component or "", fields or (), plugin)
    else:
        load_plugins(plugin)
        parts = {module: _plain(module, kind)}
    if scaling:
        _print_scaling(parts, as_json)
        return
    from zoo.conformance.running import check_expected, findings

    try:
        check_expected(parts, expected)
        found = findings(parts, slow=slow, expected_failures=expected)
        shown = list(found) if as_json else _print_table(component or module or "", parts, left_out, found)
    except ValueError as error:
        raise usage_error(f"--expect: {error}") from None
    if as_json:
        print_json([asdict(each) for each in shown])
    if not all(each.holds for each in shown):
        raise typer.Exit(DIFFER)


def _print_laws(kind: str, as_json: bool) -> None:
    from registry import suggest
    from zoo.conformance.laws import LAWS

    if kind not in LAWS:
        raise usage_error(f"there are no laws of kind '{kind}'; {suggest(kind, sorted(LAWS), listed=True)}")
    rows = [
        {"law": law.name, "text": law.text, "when": "by --slow" if law.is_slow else "always"}
        for law in LAWS[kind]
    ]
    print_rows(rows, as_json=as_json)


def _registered(
    component: str, fields: Sequence[str], plugins: Sequence[Path] | None
) -> tuple[dict[str, Part], str]:
    import presets
    from zoo.cli.arguments import kind_named, split

    kind_name, slash, _ = component.partition("/")
    chosen = kind_named(kind_name, kinds(plugins), further=(), is_component=not slash)
    if not slash:
        raise usage_error(f"which {chosen.name}? say {chosen.name}/NAME (known: {', '.join(chosen.names())})")
    from zoo.conformance.choosing import parts_named

    others, overrides = split(fields)
    if others:
        raise usage_error(
            f"one KIND/NAME is tried at a time, without {', '.join(others)}; fields read KEY=VALUE"
        )
    return parts_named(component, presets.nested(overrides))


def _print_scaling(parts: Mapping[str, Part], as_json: bool) -> None:
    """A row for each part and length, and by which power of the length time and memory grow."""
    from zoo.analysis.bench import power_law
    from zoo.conformance.scaling import scales

    rows, laws = [], []
    for name, part in parts.items():
        found = scales(part)
        if not found:
            raise usage_error(f"{name}: --scaling needs a part that takes a sequence of vectors")
        for each in found:
            row = {
                "part": name,
                "length": each.length,
                "ms": 1e3 * each.seconds,
                "kept_kB": each.n_kept_bytes / 1e3,
            }
            rows.append(
                {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
            )
        time = power_law([(each.length, each.seconds) for each in found])
        memory = power_law([(each.length, max(1, each.n_kept_bytes)) for each in found])
        assert time is not None
        assert memory is not None
        laws.append(f"{name}: time grows as length^{time[0]:.1f}, what it keeps as length^{memory[0]:.1f}")
    print_rows(rows, as_json=as_json)
    if not as_json:
        print("\n".join(laws))


def _plain(module: str, kind: str | None) -> Part:
    """The part at FILE:NAME."""
    from zoo.conformance.plain import plain_part
    from zoo.conformance.trials import Part

    file, colon, name = module.rpartition(":")
    if not colon or not name.isidentifier():
        raise usage_error(
            f"--module {module}: a file and a name in it are needed, as my_parts.py:MyAttention"
        )
    given = _loaded(Path(file), name)
    if isinstance(given, Part):
        return given
    if kind is None:
        raise usage_error(f"--module {module}: which kind is it? say --kind attention, mixer, ffn or norm")
    try:
        return plain_part(kind, given)
    except ValueError as error:
        raise usage_error(f"--kind: {error}") from None


def _loaded(file: Path, name: str) -> Any:
    """What a file calls by that name."""
    from registry import suggest

    load_plugins([file])
    path = file.resolve()
    homes = [each for each in list(sys.modules.values()) if getattr(each, "__file__", None)]
    found = next(vars(each) for each in homes if Path(str(each.__file__)).resolve() == path)
    if name not in found or (not callable(found[name]) and not hasattr(found[name], "make")):
        known = [key for key, value in found.items() if callable(value) and not key.startswith("_")]
        raise usage_error(f"{file} has no module called '{name}'; {suggest(name, known)}")
    return found[name]


def _reason(word: str) -> tuple[str, str]:
    law, _, reason = word.partition("=")
    if not law.strip() or not reason.strip():
        raise usage_error(f"--expect {word}: a law and the reason are needed, as LAW=REASON")
    return law.strip(), reason.strip()


def _print_table(
    title: str, parts: Mapping[str, Part], left_out: str, found: Iterable[Finding]
) -> list[Finding]:
    """Prints each law as soon as it has been tried on all parts; gives what came of it."""
    said = f"; its defaults are not tried: {left_out}" if left_out else ""
    print(
        f"{title}: {amount(len(parts), 'spec') if next(iter(parts.values())).spec else 'a plain module'}{said}"
    )
    everything: list[Finding] = []
    for law, group in groupby(found, key=lambda each: each.law):
        each_part = list(group)
        everything += each_part
        seconds = sum(each.seconds for each in each_part)
        taken = f"{seconds:6.2f} s" if seconds else ""
        results = list(dict.fromkeys(each.result for each in each_part))
        worst = min(results, key=_ORDER.index)
        print(f"{worst:<16}  {taken:8}  {law}: {each_part[0].text}", flush=True)
        for (result, detail), of in _alike(each_part).items():
            if result == "passed" or not detail:
                continue
            is_told = len(of) < len(parts) or (result == "failed" and title not in parts)
            names = f"{', '.join(of)}: " if is_told else ""
            label = "" if result == worst else f"{result}: "
            print(f"    {names}{label}{detail}")
    for name in dict.fromkeys(each.part for each in everything if not each.holds):
        if parts[name].spec is not None:
            print(f"{name} is {_spec_text(parts[name].spec)}")
    counts = [(sum(each.result == result for each in everything), result) for result in _ORDER]
    print(", ".join(f"{count} {result}" for count, result in counts if count))
    return everything


def _spec_text(spec: Any) -> str:
    """A part's spec on one line, without what it has by default."""
    from presets import to_flow

    return to_flow(
        {"type": spec.type, **spec.model_dump(mode="json", exclude_defaults=True, serialize_as_any=True)}
    )


_ORDER = ("failed", "unexpected pass", "expected failure", "passed", "not applicable")


def _alike(found: Sequence[Finding]) -> dict[tuple[str, str], list[str]]:
    groups: dict[tuple[str, str], list[str]] = {}
    for each in found:
        groups.setdefault((each.result, each.detail), []).append(each.part)
    return groups
