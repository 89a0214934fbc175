"""The command draw: an architecture as a picture, or in the terminal as a list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.cli.arguments import AsJson, Plugins, Scale, usage_error
from zoo.cli.comparing import Several, with_base
from zoo.cli.figures import Output, Theme, check_output, write_figure
from zoo.cli.text import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.analysis.outline import LayerForm, Outline, Part, StackOutline


def draw(
    words: Several = None,
    output: Output = None,
    theme: Theme = "auto",
    scale: Scale = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Draw an architecture: stacks, sublayers, residuals, norms where they are; of two SPECs what differs is marked.

    Of one SPEC with KEY=VALUE behind it, too, what they change. Without --output it is listed from the output down.
    """
    check_output(output, theme=theme)
    given = with_base(words or [], scale, plugin)
    if len(given) > 2:
        raise usage_error(f"draw takes one SPEC or two, not {len(given)}")
    from zoo.analysis.outline import can_outline, outline

    if foreign := [title for title, run in given if not can_outline(run.model)]:
        raise usage_error(
            f"{foreign[0]}: draw knows models of an encoder, a decoder or both; this one is of neither"
        )
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
    for group in reversed(stack.groups):
        star = " *" if stack.is_marked else ""
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
