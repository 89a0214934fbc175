"""The commands: a thin shell over the public API. Heavy imports stand inside the commands that need them.

Nothing here imports torch before a file's form is known to be right; only train and resume reach lightning.
"""

from __future__ import annotations

from zoo.cli import ending

if __name__ == "__main__":
    ending.listen()  # before what takes time to import

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from zoo.cli import interop
from zoo.cli.arguments import (
    AsJson,
    BeamSize,
    Checkpoint,
    Device,
    Force,
    Plugins,
    Quiet,
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
from zoo.cli.shell import BAD_SPEC, INPUT_OUTPUT, Shell
from zoo.cli.text import (
    check_inputs,
    component_text,
    first_sentence,
    input_lines,
    next_text,
    print_json,
    print_rows,
    results_text,
    samples_text,
)

DEFAULT_PRESET = "quickstart"

app = typer.Typer(
    cls=Shell,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half of the time that `zoo --help` takes; and an error is a line, not a box
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compose Transformers from declarative specs, train them, compare them and use them.",
    epilog="SPEC is a preset's name, a YAML file or a run folder; KEY=VALUE changes a key of it, "
    "e.g. model.encoder.n_layers=2. `zoo train` alone trains the preset 'quickstart'.",
)


def _version(is_asked: bool) -> None:
    if is_asked:
        from importlib.metadata import version

        print(f"zoo {version('architecture-zoo')}")
        raise typer.Exit


@app.callback()
def shell(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", envvar="ZOO_DEBUG", help="Show tracebacks.")] = False,
) -> None:
    """Holds the options that stand before the command."""
    context.obj = debug


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND|presets|spec]", show_default=False)] = None,
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


@app.command()
def describe(
    component: Annotated[str, typer.Argument(metavar="KIND/NAME|SPEC", show_default=False)],
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


@app.command()
def show(words: Words, scale: Scale = None, plugin: Plugins = None) -> None:
    """Print a spec resolved, every default written out, as YAML that `check` and `train` accept."""
    sources, overrides = split(words)
    name, spec = load(one(sources, "SPEC"), overrides, scale, plugin)
    from zoo.analysis.size import n_parameters
    from zoo.run.spec import to_yaml

    print(f"# {name}: {n_parameters(spec.model):,} parameters\n{to_yaml(spec)}", end="")


@app.command()
def check(
    words: Annotated[list[str], typer.Argument(metavar="SPEC... [KEY=VALUE]...", show_default=False)],
    scale: Scale = None,
    plugin: Plugins = None,
    force: Force = False,
) -> None:
    """Check specs: for each, print ok, its parameters and the memory that training takes, or every mistake in it."""
    from presets import PresetError
    from registry import SpecError

    sources, overrides = split(words)
    if not sources:
        raise usage_error("there is no SPEC to check")
    mistakes: list[str] = []
    for source in sources:
        try:
            _, spec = load(source, overrides, scale, plugin)
            from zoo.analysis.size import n_parameters
            from zoo.run.memory import check_count, summary

            if not force:
                check_count(spec, where=source)
        except (SpecError, PresetError) as error:
            mistakes.append(str(error))
            continue
        print(f"{source}: ok, {n_parameters(spec.model):,} parameters, {summary(spec)}")
    if mistakes:
        print("\n".join(mistakes), file=sys.stderr)
        raise typer.Exit(BAD_SPEC)


@app.command()
def schema(plugin: Plugins = None) -> None:
    """Print the JSON Schema of a spec's file, for editors that complete and check YAML."""
    load_plugins(plugin)
    from zoo.cli.schema import file_schema

    print_json(file_schema())


@app.command()
def train(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[SPEC] [KEY=VALUE]...", show_default=False)
    ] = None,
    scale: Scale = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="The run folder; by default a new one in runs/."),
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(
            "--init-from",
            metavar="FOLDER",
            help="A run or an imported checkpoint to take weights and tokenizer from.",
        ),
    ] = None,
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            "--freeze",
            metavar="PATTERN",
            help="Weights not to be trained, by name, with * and ?; may be repeated.",
        ),
    ] = None,
    plugin: Plugins = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Train a spec, then answer its test set and score it. Without SPEC: the preset 'quickstart'."""
    import json

    sources, overrides = split(words or [])
    if init_from is not None:
        overrides.append(f"training.init_from={json.dumps(str(init_from))}")
    if freeze:
        overrides.append(f"training.freeze={json.dumps(freeze)}")
    name, spec = load(one(sources or [DEFAULT_PRESET], "SPEC"), overrides, scale, plugin)
    from zoo.run import training

    _finish(training.train(spec, out, name=name, progress=not quiet, force=force), is_quiet=quiet)


@app.command()
def resume(
    words: Annotated[list[str], typer.Argument(metavar="RUN [KEY=VALUE]...", show_default=False)],
    plugin: Plugins = None,
    quiet: Quiet = False,
    force: Force = False,
) -> None:
    """Go on with a run from its newest checkpoint; KEY=VALUE may change e.g. training.max_steps."""
    load_plugins(plugin)
    sources, overrides = split(words)
    from zoo.run import training
    from zoo.storage.selection import last_step

    folder = Path(one(sources, "RUN"))
    before = last_step(folder)
    training.resume(folder, *overrides, progress=not quiet, force=force)
    _finish(folder, is_quiet=quiet, has_trained=last_step(folder) > before)


@app.command()
def evaluate(
    words: Annotated[list[str], typer.Argument(metavar="RUN [KEY=VALUE]...", show_default=False)],
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
    _not_written(results)


@app.command()
def generate(
    words: Annotated[list[str], typer.Argument(metavar="RUN [FILE]... [KEY=VALUE]...", show_default=False)],
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
    check_inputs(files, folder)
    from zoo.cli.streaming import print_streams, streams
    from zoo.generation.output import Output
    from zoo.run.using import TrainedRun, require_writing
    from zoo.tasks.task import Refusal

    trained = TrainedRun(folder, *overrides, checkpoint=checkpoint, device=device)
    require_writing(trained)
    if streams(trained, stream, n_best):
        print_streams(trained, files)
        return
    number = 0
    for name, first, lines in input_lines(files):
        for line, answer in enumerate(trained.answers_to_lines(lines), start=first):
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


@app.command()
def predict(
    words: Annotated[list[str], typer.Argument(metavar="RUN [FILE]... [KEY=VALUE]...", show_default=False)],
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
    check_inputs(files, Path(run))
    from zoo.cli.predicting import print_predictions
    from zoo.run.using import open

    trained = open(run, *overrides, checkpoint=checkpoint, device=device)
    print_predictions(trained, files, embed=embed, json_lines=json_lines)


def _finish(folder: Path, *, is_quiet: bool, has_trained: bool = True) -> None:
    """After training: the scores on the test set, a few answers, where the run lies, what comes next.

    Where nothing was left to train, which has been said by then, the scores are those that are there, if they are.
    """
    from zoo.run.evaluating import evaluate as evaluate_run
    from zoo.run.evaluating import kept_results
    from zoo.run.telling import early_end
    from zoo.training.ranks import is_first_process

    if not is_first_process():
        return
    results = None if has_trained else kept_results(folder)
    if results is None:
        if not is_quiet:
            print("evaluating", file=sys.stderr, flush=True)
        results = evaluate_run(folder, progress=not is_quiet)
    parts = [results_text(results), samples_text(results), next_text(folder, results)]
    if has_trained and (end := early_end(folder)):
        parts.append(end)
    print("\n\n".join(parts))
    _not_written(results)


def _not_written(results: Mapping[str, Any]) -> None:
    """Says which files of an evaluation could not be written, if any, and ends with the code for that."""
    for text in results.get("not_written", ()):
        print(text, file=sys.stderr)
    if "not_written" in results:
        raise typer.Exit(INPUT_OUTPUT)


app.command("import")(interop.import_)
app.command("export")(interop.export)
app.command("certify")(interop.certify)


def main() -> None:
    """`python -m zoo.cli.main`; the console script is that of zoo/cli/start.py."""
    ending.run(lambda: app(prog_name="zoo"))


if __name__ == "__main__":
    main()
