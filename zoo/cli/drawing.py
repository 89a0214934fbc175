"""The command draw: an architecture, masks or positions as a picture, or in the terminal as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from zoo.cli import completing
from zoo.cli.arguments import AsJson, Plugins, Scale, usage_error
from zoo.cli.comparing import specs, with_base
from zoo.cli.components import component, numbers
from zoo.cli.figures import Output, Theme, check_output, write_figure
from zoo.cli.map_text import masks_text, position_text
from zoo.cli.text import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from zoo.analysis.outline import LayerForm, Outline, Part, StackOutline
    from zoo.cli.components import Component
    from zoo.run.spec import RunSpec


def draw(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SPEC|KIND/NAME [KEY=VALUE]...]...",
            show_default=False,
            autocompletion=completing.words,
            help="Each KEY=VALUE changes the SPEC before it; of a position, d_model and n_heads, too.",
        ),
    ] = None,
    output: Output = None,
    theme: Theme = "auto",
    mask: Annotated[
        bool,
        typer.Option("--mask", help="Draw which query may attend to which key, in each layer that differs."),
    ] = False,
    length: Annotated[
        int | None,
        typer.Option("--length", metavar="N", min=1, help="Tokens of a mask (32), or positions (64)."),
    ] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", metavar="N,N", help="Of --mask: layers of every stack, from 0.")
    ] = None,
    documents: Annotated[
        int, typer.Option("--documents", metavar="N", min=1, help="Of --mask: documents packed into the row.")
    ] = 1,
    causal: Annotated[bool, typer.Option("--causal", help="Of a position: as in a decoder.")] = False,
    scale: Scale = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Draw an architecture: stacks, sublayers, residuals, norms where they are; of two SPECs what differs is marked.

    Of one SPEC with KEY=VALUE behind it, too, what they change. Without --output it is listed from the output down.
    With --mask: the masks of its attentions, or of attention/NAME. Of position/NAME: what it adds, turns and biases.
    """
    check_output(output, theme=theme)
    given = words or []
    chosen = numbers("--layer", layer)
    part = component(given, plugin) if given and "/" in given[0] else None
    if not mask and (layer is not None or documents > 1):
        raise usage_error(
            f"--{'layer' if layer is not None else 'documents'} is of --mask, which is not given"
        )
    if part is not None and (part.kind.name == "position") == mask:
        raise usage_error(
            f"{given[0]}: of a position is drawn what it does, without --mask"
            if mask
            else f"{given[0]}: of an attention is drawn its mask: add --mask"
        )
    if part is not None and not mask:
        _draw_position(part, length or 64, causal, output, theme, as_json)
        return
    if causal:
        raise usage_error("--causal is of a position, such as zoo draw position/alibi --causal")
    if mask:
        _draw_masks(given, part, length or 32, chosen, documents, output, theme, as_json, scale, plugin)
        return
    if length is not None:
        raise usage_error("--length is of --mask, or of a position, such as zoo draw position/sinusoidal")
    _draw_models(with_base(given, scale, plugin), output, theme, as_json)


def _draw_position(
    part: Component, length: int, causal: bool, output: Path | None, theme: str, as_json: bool
) -> None:
    from registry import check
    from zoo.analysis.maps import MOST_CELLS, position_drawing
    from zoo.analysis.positions import position_numbers

    length = min(length, getattr(part.spec, "max_len", None) or length)
    context = {"d_model": 64, "n_heads": 4, **part.context}
    if length * max(length, *context.values()) > MOST_CELLS:
        raise usage_error(f"--length {length:,} by d_model {context['d_model']:,} are too many cells to draw")
    d_k = max(1, context["d_model"] // context["n_heads"])
    causal = causal or bool(
        check(part.spec, "", **context, d_k=d_k, role="self")
    )  # where it may be nothing else
    found = position_numbers(part.spec, **context, length=length, is_causal=causal)
    if output is not None:
        write_figure(output, position_drawing(found), theme)
    if as_json:
        print_json(found.as_dict())
    elif output is None:
        print(position_text(found))


def _draw_masks(
    words: list[str],
    part: Component | None,
    length: int,
    layers: list[int] | None,
    documents: int,
    output: Path | None,
    theme: str,
    as_json: bool,
    scale: str | None,
    plugin: Plugins,
) -> None:
    from zoo.analysis.maps import masks_drawing
    from zoo.analysis.masks import MAX_LENGTH, attention_masks, model_masks

    if length > MAX_LENGTH:
        raise usage_error(f"--length {length:,}: a mask is drawn of up to {MAX_LENGTH:,} tokens")
    if documents > length:
        raise usage_error(
            f"--documents {documents:,}: a row of {length:,} tokens holds no more than {length:,}"
        )
    without: list[str] = []
    if part is not None:
        if layers is not None:
            raise usage_error("--layer is of a SPEC: an attention by itself has none")
        title, context = words[0], {"d_model": 512, **part.context}
        maps = attention_masks(part.spec, **context, length=length, n_documents=documents)
    else:
        given = specs(words, scale, plugin)
        if len(given) != 1:
            raise usage_error(f"draw --mask takes one SPEC, not {len(given)}")
        title, run = given[0]
        _check_outlined(given)
        maps, without = model_masks(run.model, length=length, n_documents=documents, layers=layers)
    if output is not None:
        write_figure(output, masks_drawing(maps, title), theme)
    if as_json:
        print_json([each.as_dict() for each in maps])
    elif output is None:
        print(masks_text(maps, title))
    if without and not as_json:
        print(f"without a softmax, and so without a mask to see: {', '.join(without)}")


def _check_outlined(given: Sequence[tuple[str, RunSpec]]) -> None:
    from zoo.analysis.outline import can_outline

    if foreign := [title for title, run in given if not can_outline(run.model)]:
        raise usage_error(
            f"{foreign[0]}: draw knows models of an encoder, a decoder or both; this one is of neither"
        )


def _draw_models(
    given: Sequence[tuple[str, RunSpec]], output: Path | None, theme: str, as_json: bool
) -> None:
    if len(given) > 2:
        raise usage_error(f"draw takes one SPEC or two, not {len(given)}")
    from zoo.analysis.outline import outline

    _check_outlined(given)
    models = [run.model for _, run in given]
    others = models[::-1] if len(models) == 2 else [None]
    found = [
        outline(model, title, other=other)
        for (title, _), model, other in zip(given, models, others, strict=True)
    ]
    if output is not None:
        from zoo.analysis.architecture_drawing import architecture_drawing

        write_figure(output, architecture_drawing(found), theme)
    if as_json:
        print_json([each.as_dict() for each in found])
    elif output is None:
        print("\n\n".join("\n".join(_lines(each)) for each in found))


def _lines(outline: Outline) -> Iterator[str]:
    """From the output down, as a batch leaves it; what differs has a star."""
    star = " *" if outline.is_marked else ""
    yield f"{outline.title}: d_model {outline.d_model:,}{star}, {outline.n_parameters:,} parameters"
    if outline.undrawn:
        yield f"  not drawn, but different: {', '.join(outline.undrawn)}"
    yield _line("head", outline.head, 1)
    for stack in reversed(outline.stacks):
        yield from _of_stack(stack)


def _of_stack(stack: StackOutline) -> Iterator[str]:
    yield f"  {stack.name}"
    if stack.last_norm:
        yield _line("final_norm", stack.last_norm, 2)
    star = " *" if stack.is_marked else ""
    if stack.n_passes > 1:
        yield f"    {stack.n_passes:,} passes{' *' if stack.are_passes_marked else ''} with the same weights through"
    for group in reversed(stack.groups):
        turn = " of these in turn" if len(group.forms) > 1 else ""
        yield f"    {group.repeat:,} ×{star}{turn}"
        for form in reversed(group.forms):
            yield from _of_form(form)
    if stack.first_norm:
        yield _line("input_norm", stack.first_norm, 2)
    if stack.position:
        yield _line("+ position", stack.position, 2)
    yield _line(stack.embedding.path, stack.embedding, 2)


def _of_form(form: LayerForm) -> Iterator[str]:
    yield _line("layout", form.layout, 3, "" if not form.wiring else " → ".join(form.wiring))
    norms = {norm.name for _, norm in form.sublayers}
    for part, norm in reversed(form.sublayers):
        said = f"norm {norm.name}" if len(norms) > 1 or part is form.sublayers[-1][0] else ""
        yield _line(part.path.rpartition(".")[2], part, 4, said if "norm" in form.wiring else "")


def _line(slot: str, part: Part, depth: int, said: str = "") -> str:
    details = ", ".join(each for each in (*part.details, said) if each)
    return f"{'  ' * depth}{slot}: {part.name}{' *' if part.is_marked else ''}{'  ' + details if details else ''}"
