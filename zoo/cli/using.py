"""The commands evaluate, generate and predict: a model in use."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.amounts import cut_text
from zoo.cli import completing
from zoo.cli.arguments import (
    AsJson,
    BeamSize,
    Checkpoint,
    Device,
    Plugins,
    load_plugins,
    one,
    split,
    usage_error,
)
from zoo.cli.shell import INPUT_OUTPUT
from zoo.cli.text import (
    check_inputs,
    input_lines,
    print_json,
    results_text,
)


def evaluate(
    words: Annotated[
        list[str],
        typer.Argument(metavar="RUN [KEY=VALUE]...", show_default=False, autocompletion=completing.words),
    ],
    split_name: Annotated[
        str | None,
        typer.Option("--split", metavar="NAME", help="A split of the run's corpus; by default test."),
    ] = None,
    data: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            "--data",
            metavar="SOURCE REFERENCE",
            help="Two files, line by line, instead of a split; or a test set of sacrebleu: wmt14/full en-de.",
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option("--reference", metavar="FILE", help="A further reference beside that of --data."),
    ] = None,
    checkpoint: Checkpoint = "result",
    beam_size: BeamSize = None,
    device: Device = "auto",
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Answer a test set and score it; writes results.json, and hypotheses.txt of text, into the run folder."""
    load_plugins(plugin)
    sources, overrides = split(words)
    if data is not None and split_name is not None:
        raise usage_error("--split and --data exclude each other")
    if reference and data is None:
        raise usage_error("--reference goes with --data SOURCE REFERENCE")
    if beam_size is not None:
        overrides.append(f"generation.beam_size={beam_size}")
    from zoo.run import evaluating

    folder = one(sources, "RUN")
    results = evaluating.evaluate(
        folder,
        *overrides,
        split=split_name,
        data=None if data is None else (*data, *(reference or ())),
        checkpoint=checkpoint,
        device=device,
        progress=True,
    )
    if as_json:
        print_json(results)
    else:
        print(results_text(results))
    end_where_not_written(results)


def generate(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [FILE]... [KEY=VALUE]...", show_default=False, autocompletion=completing.words
        ),
    ],
    n_best: Annotated[
        int | None,
        typer.Option(
            "--n-best", metavar="N", min=1, help="N lines for each: its number, score and text, tabs between."
        ),
    ] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            show_default=False,
            help="Show text as it is written (greedy, sampling); by default where it goes to a terminal.",
        ),
    ] = None,
    checkpoint: Checkpoint = "result",
    beam_size: BeamSize = None,
    device: Device = "auto",
    plugin: Plugins = None,
) -> None:
    """Write on from files, or standard input (-), line by line as lines come: line i of the output answers line i."""
    load_plugins(plugin)
    sources, overrides = split(words)
    run, *files = sources or [one([], "RUN")]
    folder = Path(run)
    settings = {"generation.beam_size": beam_size, "generation.n_best": n_best}
    overrides += [f"{key}={value}" for key, value in settings.items() if value is not None]
    check_inputs(files, folder, command="generate")
    from zoo.cli.streaming import print_streams, streams
    from zoo.generation.output import Output
    from zoo.run.using import TrainedRun, require_writing
    from zoo.tasks.task import Refusal

    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    require_writing(trained)
    if streams(trained, stream, n_best):
        print_streams(trained, files)
        return
    number, cuts = 0, Counter[bool]()
    for name, first, lines in input_lines(files):
        found = trained.answers_to_lines(lines, cuts=lambda some: cuts.update(n > 0 for n in some))
        for line, answer in enumerate(found, start=first):
            number += 1
            if isinstance(answer, Refusal):
                print(f"{name}:{line}: {answer.why}: no output", file=sys.stderr)
                answer = [Output("", 0.0, [])]
            for output in answer:
                text = output.text if n_best is None else f"{number}\t{output.score:.4f}\t{output.text}"
                sys.stdout.buffer.write(text.encode() + b"\n")
                if n_best is None:
                    break  # the spec's own n_best is not asked for here
        sys.stdout.buffer.flush()
    if cuts[True]:
        print(cut_text(cuts[True], number, trained.task.cut_to), file=sys.stderr)


def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN [FILE]... [KEY=VALUE]...", show_default=False, autocompletion=completing.words
        ),
    ],
    embed: Annotated[
        bool,
        typer.Option("--embed", help="A vector for each instead: the mean of the model's hidden vectors."),
    ] = False,
    json_lines: Annotated[
        bool,
        typer.Option("--json-lines", help="Read objects of named fields, as files called .jsonl always are."),
    ] = False,
    checkpoint: Checkpoint = "result",
    device: Device = "auto",
    plugin: Plugins = None,
) -> None:
    """Answer with a line of JSON each: lines of text or JSON lines, of files or standard input (-), as they come.

    Of a model that reads images, sounds or series: image, wav or CSV files, each a row; or lines that are their paths.
    """
    load_plugins(plugin)
    sources, overrides = split(words)
    run, *files = sources or [one([], "RUN")]
    check_inputs(files, Path(run), command="predict")
    from zoo.cli.predicting import print_predictions
    from zoo.run.using import open

    trained = open(run, *overrides, checkpoint=checkpoint, device=device)
    print_predictions(trained, files, embed=embed, json_lines=json_lines)


def end_where_not_written(results: Mapping[str, Any]) -> None:
    """Says which files of an evaluation could not be written, if any, and ends with the code for that."""
    for text in results.get("not_written", ()):
        print(text, file=sys.stderr)
    if "not_written" in results:
        raise typer.Exit(INPUT_OUTPUT)
