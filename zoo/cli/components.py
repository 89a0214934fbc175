"""Single components from the words of a command: KIND/NAME with its fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.cli.arguments import Plugins, kind_named, kinds, split, usage_error

if TYPE_CHECKING:
    from registry import Kind, Spec


@dataclass(frozen=True)
class Component:
    """A component's spec, and what else it was given of the sizes that it is built with."""

    kind: Kind
    spec: Spec
    context: dict[str, int]


def component(words: Sequence[str], plugins: Plugins) -> Component | None:
    """The position or attention that the first word names, by the KEY=VALUE behind it; None where it names no kind.

    Raises: SpecError for fields that it has not or lacks, and for sizes that are none.
    """
    import presets
    from registry import kinds as known_kinds
    from registry import parse

    (source, *others), overrides = split(words)
    kind_name, _, name = source.partition("/")
    if source in presets.names() or kind_name not in {kind.name for kind in kinds(plugins)}:
        return None
    if kind_name not in ("position", "attention"):
        raise usage_error(f"{source}: of components, draw knows positions and, by --mask, attentions")
    if others:
        raise usage_error(f"{source} is drawn by itself, without {', '.join(others)}")
    kind = kind_named(kind_name, known_kinds(), further=())
    spec_class = kind.entry(name).spec
    given = {"type": name, **presets.nested(overrides)}
    context = {key: given.pop(key) for key in kind.context if key in given}
    for key, value in context.items():
        if type(value) is not int or not 1 <= value <= 65_536:
            raise usage_error(f"{key}={value}: a whole number from 1 to 65,536 is needed")
    return Component(kind, parse(spec_class, given), context)


def numbers(option: str, text: str | None) -> list[int] | None:
    """Numbers with commas between. Raises: SpecError for anything else."""
    if text is None:
        return None
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise usage_error(
            f"{option}: numbers with commas between are needed, such as 0,2; got {text!r}"
        ) from None
