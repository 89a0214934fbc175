"""The command reach: how far gradients reach in models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zoo.amounts import aligned, amount
from zoo.cli.arguments import AsJson, Device, Plugins, Scale, usage_error
from zoo.cli.comparing import Several, grouped
from zoo.cli.figures import Output, Theme, check_output, write_figure
from zoo.cli.text import numbered, print_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from zoo.analysis.reach import Reach
    from zoo.run.spec import RunSpec

FROM_SOURCE = """\
of an encoder-decoder: at its source, from the vector that its first token is written from; distance 0 is the end
of the source at which the gradient is greater"""


def reach(
    words: Several = None,
    length: Annotated[int, typer.Option("--length", metavar="N", min=1, help="Tokens of a sequence.")] = 64,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Sequences of random tokens.")] = 4,
    directions: Annotated[
        int,
        typer.Option(
            "--directions",
            metavar="N",
            min=1,
            help="Of the gradient, random ones; d_model of them are all there are, and exact.",
        ),
    ] = 16,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of tokens and directions.")] = 0,
    device: Device = "auto",
    output: Output = None,
    theme: Theme = "auto",
    scale: Scale = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Measure how gradients vanish: their norm at embedded tokens, by the distance from where they start.

    A run folder has its trained weights, every other SPEC new ones of its training.seed.
    """
    check_output(output, theme=theme)
    given = grouped(words or [], scale, plugin)
    from zoo.analysis.reach import problems
    from zoo.analysis.reach import reach as measure

    wrong = [(title, each) for title, _, run in given for each in problems(run.model, length=length)]
    if wrong:
        raise usage_error("\n".join(f"{title}: {each.path}: {each.message}" for title, each in wrong))
    found, weights = {}, {}
    for title, source, run in given:
        model, weights[title] = _model(source, run, device)
        found[title] = measure(run.model, model, length=length, rows=rows, directions=directions, seed=seed)
    if output is not None:
        from zoo.analysis.reach_chart import reach_chart

        write_figure(output, reach_chart(found), theme)
    if as_json:
        print_json(
            [{"spec": title, "weights": weights[title], **each.as_dict()} for title, each in found.items()]
        )
    else:
        print(_text(found, weights))


def _model(source: tuple[str, ...], run: RunSpec, device: str) -> tuple[nn.Module, str]:
    """A source's model, and where its weights are from."""
    import presets
    from zoo.run.using import TrainedRun, device_named

    folder, *overrides = source
    if folder not in presets.names() and Path(folder).is_dir():
        trained = TrainedRun(folder, *overrides, device=device)
        return trained.model, f"of {trained.checkpoint}"
    from zoo.assembly.build import build
    from zoo.training.randomness import seed_all, untouched
    from zoo.training.spec import TrainingSpec

    seed: int = TrainingSpec.model_fields["seed"].default if run.training is None else run.training.seed
    with untouched():
        seed_all(seed, 0, 0)  # as a training begins
        return build(run.model, device=device_named(device)), f"new, by seed {seed}"


def _text(found: Mapping[str, Reach], weights: Mapping[str, str]) -> str:
    """A column a model, a row a distance: the first ones, then twice as far each time, and the last."""
    shown = numbered(found)
    first, *_ = found.values()
    last = first.length - 1
    told = sorted({0, last, *(2**i for i in range(last.bit_length()))})
    rows = [["distance", *(shown[title] for title in found)]]
    rows += [[f"{k:,}", *(_norm(each.median[k]) for each in found.values())] for k in told]
    rows.append(["a token", *(each.factor_text for each in found.values())])
    lines = [
        f"norm of the gradient of a model's last vector, of length 1, at the embedded token so far away: the root\n"
        f"mean square of {amount(first.directions, 'direction')}, the median of {amount(first.rows, 'row')} of "
        f"{first.length:,} random tokens; and what a token more changes",
        *(
            f"{f'{mark} ' if mark != title else ''}{title}: weights {weights[title]}"
            for title, mark in shown.items()
        ),
        *aligned(rows, n_left=1),
    ]
    if any(each.counted_from for each in found.values()):
        lines.append(FROM_SOURCE)
    return "\n".join(lines)


def _norm(value: float) -> str:
    return f"{value:.2e}" if value else "0"
