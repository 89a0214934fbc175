"""The command ledger: the paper's tables beside what the presets give and what has been measured."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from zoo.amounts import aligned
from zoo.cli.arguments import AsJson, usage_error
from zoo.cli.text import print_json

if TYPE_CHECKING:
    from zoo.analysis.ledger import Counted, Row


def ledger(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[ROW=RUN]...",
            show_default=False,
            help="A run's scores beside a row, such as heads_1=runs/heads_1-3f2a9c1-1; alone, a run is put beside the "
            "row that its folder is named after.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print the paper's Tables 2, 3 and 4 beside the presets' own figures, and those of the runs that are given."""
    from zoo.analysis.ledger import LEDGER, TABLE_2, VOCABULARY, counted, training_operations
    from zoo.run.spec import load

    measured = _measured(runs or [], LEDGER)
    rows = []
    for row in LEDGER:
        there = None if row.table == 4 else load(row.preset, f"model.source.vocab_size={VOCABULARY}").model
        rows.append(counted(row, load(row.preset).model, there))
    costs = []
    for name, paper in TABLE_2.items():
        run = load(name)
        assert run.training is not None
        costs.append((name, paper, training_operations(run.model, run.training.max_steps)))
    if as_json:
        print_json(
            {
                "rows": [{**_plain(each), "measured": measured.get(each.row.preset, [])} for each in rows],
                "training": [{"preset": name, "paper": paper, "ours": ours} for name, paper, ours in costs],
            }
        )
        return
    print(_text(rows, measured, costs))


def _plain(each: Counted) -> dict[str, Any]:
    there = each.n_parameters_there
    return {
        **vars(each.row),
        "n_parameters": each.n_parameters,
        "n_parameters_there": there,
        "agrees": each.agrees,
    }


def _text(
    rows: list[Counted], measured: dict[str, list[dict[str, Any]]], costs: list[tuple[str, float, float]]
) -> str:
    from zoo.analysis.ledger import LENGTH, VOCABULARY

    heading = ("Table 3", "preset", "paper", f"{37_000:,}", f"{VOCABULARY:,}", "PPL", "BLEU", "measured")
    table = [heading]
    for each in rows:
        row = each.row
        if row.table != 3:
            continue
        there = f"{(each.n_parameters_there or 0) / 1e6:.1f}" + {False: " ≠", None: "", True: ""}[each.agrees]
        table.append(
            (
                row.rows,
                row.preset,
                "" if row.parameters is None else str(row.parameters),
                f"{each.n_parameters / 1e6:.1f}",
                there,
                f"{row.perplexity:.2f}",
                f"{row.bleu:.1f}",
                _scores(measured.get(row.preset, [])),
            )
        )
    lines = [
        "Vaswani et al. 2017. Parameters in millions: the paper's, and the preset's with a vocabulary of 37,000 and",
        f"of {VOCABULARY:,} entries, which gives all but big's to the million. PPL (word piece), BLEU: newstest2013.",
        "",
        *aligned(table, n_left=2, ends_left=True),
        "",
        *aligned(
            [("Table 4", "preset", "F1, paper", "parameters", "measured")]
            + [
                (
                    each.row.rows,
                    each.row.preset,
                    f"{each.row.f1:.1f}",
                    f"{each.n_parameters / 1e6:.1f}",
                    _scores(measured.get(each.row.preset, [])),
                )
                for each in rows
                if each.row.table == 4
            ],
            n_left=2,
            ends_left=True,
        ),
        "",
        *aligned(
            [("Table 2", "FLOPs, paper", "our formula", "share")]
            + [(name, f"{paper:.1e}", f"{ours:.1e}", f"{ours / paper:.0%}") for name, paper, ours in costs],
            n_left=1,
        ),
        "The paper's is time times GPUs times what they can sustain; ours counts the products of that training, in",
        f"sentences of {LENGTH} tokens. The share is what part of that time they would have taken.",
    ]
    return "\n".join(lines)


def _scores(found: list[dict[str, Any]]) -> str:
    return "; ".join(
        ", ".join(f"{title} {value:.2f}" for title, value in each["scores"].items()) + f" ({each['run']})"
        for each in found
    )


def _measured(words: list[str], rows: tuple[Row, ...]) -> dict[str, list[dict[str, Any]]]:
    """The scores of runs, by the preset of the row that each belongs to."""
    from registry import suggest

    found: dict[str, list[dict[str, Any]]] = {}
    names = {row.preset.rpartition("/")[2]: row.preset for row in rows}
    for word in words:
        name, equals, place = word.partition("=")
        folder = Path(place if equals else word)
        if not equals:
            begins = [each for each in names if folder.name == each or folder.name.startswith(f"{each}-")]
            name = max(begins, key=len, default="")
        preset = names.get(name.rpartition("/")[2])
        if preset is None:
            nearby = suggest(name or folder.name, names, listed=True, listing="zoo ledger")
            raise usage_error(f"{word}: of which row? say ROW={folder}; {nearby}")
        found.setdefault(preset, []).append({"run": str(folder), "scores": _results(folder)})
    return found


def _results(folder: Path) -> dict[str, float]:
    from zoo.errors import RunError
    from zoo.storage.records import read_json

    files = [folder / "results.json", *sorted(folder.glob("results.dev.json"))]
    file = next((each for each in files if each.is_file()), None)
    if file is None:
        raise RunError(f"{folder}: no results.json; score the run first: zoo evaluate {folder}")
    results = read_json(file)
    return {title: float(results[name]) for name, title in results["titles"].items()}
