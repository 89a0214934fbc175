"""The commands cost, diff and bench: what specs cost, by formula and measured, and where two of them differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.amounts import amount
from zoo.cli import completing
from zoo.cli.arguments import AsJson, Device, Plugins, Scale, check_overrides, is_override, load, usage_error
from zoo.cli.figures import Output, Theme, check_output, write_figure
from zoo.cli.text import print_json

if TYPE_CHECKING:
    from registry import Spec
    from zoo.run.spec import RunSpec

Several = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SPEC [KEY=VALUE]...]...",
        show_default=False,
        autocompletion=completing.words,
        help="Each KEY=VALUE changes the SPEC before it.",
    ),
]
Lengths = Annotated[
    str, typer.Option("--length", metavar="N[,N]...", help="Tokens of a sequence; several, by commas.")
]
ALONE = "--table1 takes no SPEC: it has one layer of each kind"
DIFFER = 1
"""Exit code of two specs that are not the same."""
Batch = Annotated[int, typer.Option("--batch", metavar="N", min=1, help="Sequences at once.")]


def cost(
    words: Several = None,
    length: Lengths = "512",
    batch: Batch = 1,
    precision: Annotated[str, typer.Option("--precision", metavar="NAME", help="fp32 or bf16.")] = "fp32",
    device: Annotated[
        str, typer.Option("--device", metavar="NAME", help="Where training computes: cuda or cpu.")
    ] = "cuda",
    formulas: Annotated[
        bool, typer.Option("--formulas", help="Each part's formula, order of growth and source.")
    ] = False,
    table1: Annotated[
        bool, typer.Option("--table1", help="Table 1 of Vaswani et al. 2017, out of the parts' formulas.")
    ] = False,
    output: Output = None,
    theme: Theme = "auto",
    scale: Scale = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Tell what models cost, by formula: parameters, operations, memory, cache, longest path; by part and in all."""
    lengths = _lengths(length)
    _one_of("--precision", precision, ("fp32", "bf16"))
    _one_of("--device", device, ("cuda", "cpu"))
    _check_growth(output, lengths, theme)
    from zoo.cli.cost_text import RULE, formulas_text, parts_text, table_1_text, totals_text

    if table1:
        if words:
            raise usage_error(ALONE)
        print_json(_table_1(lengths)) if as_json else print(table_1_text(_table_1(lengths)))
        if output is not None:
            from zoo.analysis.table_1 import table_1_models

            _draw_operations(output, table_1_models(), lengths, theme)
        return
    given = specs(words or [], scale, plugin)
    from zoo.analysis.cost import cost as cost_of

    found = [
        (title, cost_of(run, batch=batch, length=n, precision=precision, device=device))  # type: ignore[arg-type]
        for title, run in given
        for n in lengths
    ]
    if output is not None:
        _draw_operations(output, dict(given), lengths, theme)
    if as_json:
        print_json([{"spec": title, **each.as_dict()} for title, each in found])
        return
    print("\n\n".join(parts_text(title, each) for title, each in found))
    if formulas:
        print(f"\n{RULE}")
        for title, each in found[:: len(lengths)]:
            print(f"\n{title}:{formulas_text(each)}")
    print(f"\n{totals_text(found)}")


def diff(
    words: Several = None,
    length: Annotated[int, typer.Option("--length", metavar="N", min=1, help="Tokens of a sequence.")] = 512,
    batch: Batch = 1,
    scale: Scale = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Tell where two specs differ, and what each change costs; of one SPEC, what the KEY=VALUE behind it change.

    Exit code 1 where they differ, 0 where they do not.
    """
    from zoo.analysis.diff import diff as diff_of
    from zoo.cli.diff_text import diff_text

    given = with_base(words or [], scale, plugin)
    if len(given) != 2:
        raise usage_error(f"diff takes two SPECs, or one with changes of it, not {len(given)}")
    (a, before), (b, after) = given
    found = diff_of(before, after, batch=batch, length=length)
    print_json({"a": a, "b": b, **found.as_dict()}) if as_json else print(diff_text(a, b, found))
    if found:
        raise typer.Exit(DIFFER)


def bench(
    words: Several = None,
    table1: Annotated[
        bool, typer.Option("--table1", help="One layer of each kind of Table 1 of Vaswani et al. 2017.")
    ] = False,
    length: Lengths = "128",
    batch: Batch = 4,
    repeats: Annotated[
        int, typer.Option("--repeats", metavar="N", min=1, help="Turns, of which medians.")
    ] = 5,
    device: Device = "auto",
    precision: Annotated[str, typer.Option("--precision", metavar="NAME", help="fp32 or bf16.")] = "fp32",
    output: Output = None,
    theme: Theme = "auto",
    scale: Scale = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Measure specs on this machine: tokens a second of training and decoding, memory, growth with the length."""
    lengths = _lengths(length)
    _one_of("--precision", precision, ("fp32", "bf16"))
    if table1 and words:
        raise usage_error(ALONE)
    _check_growth(output, lengths, theme)
    from zoo.analysis.bench import bench as measure
    from zoo.analysis.table_1 import table_1_models
    from zoo.cli.cost_text import bench_text
    from zoo.run.using import device_named
    from zoo.training.memory import is_out_of_memory

    models: dict[str, Spec] = table_1_models() if table1 else dict(specs(words or [], scale, plugin))
    where = str(device_named(device))
    try:
        found = measure(
            models,
            lengths=lengths,
            batch=batch,
            repeats=repeats,
            device=where,
            precision=precision,  # type: ignore[arg-type]
        )
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        what = f"batches of {amount(batch, 'sequence')} of up to {amount(max(lengths), 'token')}"
        raise usage_error(
            f"out of memory on {where} with {what}; take a smaller --batch or --length"
        ) from None
    if output is not None:
        from zoo.analysis.growth import time_chart

        what = "a training step of one layer" if table1 else "a training step"
        how = f"{amount(repeats, 'turn')} of batches of {amount(batch, 'sequence')} on {where} in {precision}"
        write_figure(output, time_chart(models, found, what=what, how=how, n_turns=repeats), theme)
    print_json([each.as_dict() for each in found]) if as_json else print(bench_text(found, n_turns=repeats))


def specs(words: Sequence[str], scale: str | None, plugins: Plugins) -> list[tuple[str, RunSpec]]:
    """Each SPEC of a command with the overrides that follow it, by a title."""
    return [(title, run) for title, _, run in grouped(words, scale, plugins)]


def with_base(words: Sequence[str], scale: str | None, plugins: Plugins) -> list[tuple[str, RunSpec]]:
    """The same; before one SPEC with overrides it stands without them, too."""
    found = specs(words, scale, plugins)
    return [*specs(words[:1], scale, plugins), *found] if len(found) == 1 < len(words) else found


def grouped(
    words: Sequence[str], scale: str | None, plugins: Plugins
) -> list[tuple[str, tuple[str, ...], RunSpec]]:
    """The same, each with the words that it was named by."""
    check_overrides(words)
    groups: list[list[str]] = []
    for word in words:
        if not is_override(word):
            groups.append([word])
        elif groups:
            groups[-1].append(word)
        else:
            raise usage_error(f"{word} changes the SPEC before it, and there is none")
    if not groups:
        raise usage_error("there is no SPEC; name a preset, a file or a run folder")
    loaded = [load(source, overrides, scale, plugins) for source, *overrides in groups]
    sources: dict[str, set[str]] = {}
    for (name, _), (source, *_) in zip(loaded, groups, strict=True):
        sources.setdefault(name, set()).add(source)
    found = []
    for (name, run), (source, *overrides) in zip(loaded, groups, strict=True):
        alone = name if len(sources[name]) == 1 else source  # such as the runs of one seed of an ablation
        found.append((" ".join([alone, *overrides]), (source, *overrides), run))
    return found


def _lengths(text: str) -> list[int]:
    words = [word.strip().replace("_", "") for word in text.split(",")]
    if not all(word.isdecimal() and int(word) for word in words):
        raise usage_error(f"--length takes tokens of a sequence, at least 1, several by commas, not {text!r}")
    return [int(word) for word in words]


def _check_growth(output: Path | None, lengths: Sequence[int], theme: str) -> None:
    check_output(output, theme=theme)
    if output is not None and len(set(lengths)) < 2:
        raise usage_error(
            f"--output {output} draws growth with the length, and --length has only {lengths[0]:,}; give several, such "
            "as --length 128,256,512,1024"
        )


def _draw_operations(file: Path, models: Mapping[str, Spec], lengths: Sequence[int], theme: str) -> None:
    from zoo.analysis.growth import operations_chart

    write_figure(file, operations_chart(models, lengths), theme)


def _one_of(option: str, given: str, known: Sequence[str]) -> None:
    if given not in known:
        raise usage_error(f"{option} is {' or '.join(known)}, not {given!r}")


def _table_1(lengths: Sequence[int]) -> list[dict[str, Any]]:
    from zoo.analysis.table_1 import table_1

    return [row for n in lengths for row in table_1(n)]
