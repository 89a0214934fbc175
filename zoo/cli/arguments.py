"""The words of a command line: options that commands share, and from words to specs and kinds."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from zoo.cli import completing

if TYPE_CHECKING:
    from registry import Kind, Problem, Spec, SpecError
    from zoo.run.spec import RunSpec

Result = TypeVar("Result")

_OVERRIDE = re.compile(r"[A-Za-z_]\w*(\.\w+)*=")
_ALMOST = (  # what was to be an override, as KEY and VALUE
    re.compile(r"-*([A-Za-z_]\w*(?:\.\w+)+)\s*[:=]\s*(.*)", re.DOTALL),
    re.compile(r"-*([A-Za-z_]\w*)\s+[:=]\s*(.+)", re.DOTALL),
    re.compile(r"--((?:model|task|training|generation)(?:\.\w+)+)()"),
)
_NO_KEY = re.compile(r"-*([\w.-]*[A-Za-z_][\w.-]*)=(.*)", re.DOTALL)
"""A word with a value and, before it, what is nearly a key."""

Words = Annotated[
    list[str],
    typer.Argument(metavar="SPEC [KEY=VALUE]...", show_default=False, autocompletion=completing.words),
]
Scale = Annotated[str | None, typer.Option("--scale", metavar="NAME", help="A scale of the spec, e.g. tiny.")]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE", help="A Python file that registers components; it is executed."),
]
Device = Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda or cuda:N.")]
BeamSize = Annotated[
    int | None, typer.Option("--beam-size", metavar="N", min=1, help="Instead of the spec's.")
]
Checkpoint = Annotated[
    str,
    typer.Option(
        "--checkpoint",
        metavar="NAME",
        help="result (the average, else the best), best, last, average, or a step.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Force = Annotated[
    bool, typer.Option("--force", help="Go on where a model is larger than memory, or than any model.")
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Show no progress and no plan; warnings of what has consequences stay."
    ),
]


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Sources and overrides; a word is an override when it reads KEY=VALUE with a dotted key."""
    check_overrides(words)
    overrides = [word for word in words if is_override(word)]
    return [word for word in words if not is_override(word)], overrides


def is_override(word: str) -> bool:
    """Whether a word reads KEY=VALUE."""
    return _OVERRIDE.match(word) is not None


def check_overrides(words: Sequence[str]) -> None:
    """Raises: SpecError for a word, or several, that come near to KEY=VALUE."""
    words = list(words)
    for i, word in enumerate(words):
        if word in ("=", ":") and i:
            raise usage_error(_written(words[i - 1].lstrip("-"), "".join(words[i + 1 : i + 2])))
        if _OVERRIDE.match(word):
            if word.endswith("=") and i + 1 < len(words) and "=" not in words[i + 1]:
                raise usage_error(_written(word[:-1], words[i + 1]))
            continue
        found = next((found for almost in _ALMOST if (found := almost.fullmatch(word))), None)
        if found is not None and not Path(word).exists():
            raise usage_error(_written(found[1], found[2] or "".join(words[i + 1 : i + 2])))
        if re.fullmatch(r"=.+", word) and i:
            raise usage_error(_written(words[i - 1].lstrip("-"), word[1:]))
        if (no_key := _NO_KEY.fullmatch(word)) and not Path(word).exists():
            raise usage_error(
                f"'{no_key[1]}' is no key: names with dots between, such as model.d_model={no_key[2] or 'VALUE'}"
            )


def _written(key: str, value: str) -> str:
    return f"an override is written KEY=VALUE, without spaces: {key}={value or 'VALUE'}"


def load(
    source: str, overrides: Sequence[str], scale: str | None, plugins: Sequence[Path] | None
) -> tuple[str, RunSpec]:
    """A source's name and spec; what is no YAML, or no source, is refused before torch is imported."""
    import presets

    mistakes: list[presets.PresetError] = []
    try:
        document = presets.read(source, overrides=overrides, scale=scale)
    except presets.DocumentError as error:
        document, mistakes = error.document, error.mistakes
    from registry import PluginError

    try:
        load_plugins(plugins)
    except PluginError as error:
        mistakes.append(presets.PresetError(str(error)))  # with what else is wrong
    from zoo.run.spec import from_document

    return document.name, from_document(document, source, scale=scale, mistakes=mistakes)


def one(sources: Sequence[str], what: str) -> str:
    """The only source there may be. Raises: SpecError for none or several."""
    if len(sources) != 1:
        given = f"{len(sources)} are given: {', '.join(sources)}" if sources else "none is given"
        raise usage_error(f"one {what} is needed, and {given} (an override reads KEY=VALUE)")
    if not sources[0].strip():
        raise usage_error(f"one {what} is needed, and its name is empty")
    return sources[0]


def usage_error(message: str) -> SpecError:
    """A mistake in the words of a command."""
    from registry import Problem, SpecError

    return SpecError([Problem("", message)])


class Mistakes:
    """The mistakes in the words of a command, to be told together."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def of(self, step: Callable[..., Result], *given: Any) -> Result | None:
        """What a step gives; None where it raises a SpecError, whose problems are kept."""
        from registry import SpecError

        try:
            return step(*given)
        except SpecError as error:
            self.found += error.problems
            return None

    def tell(self) -> None:
        """Raises: SpecError of all of them, if there are any."""
        from registry import SpecError

        if self.found:
            raise SpecError(self.found, is_ordered=True)


def load_plugins(plugins: Sequence[Path] | None) -> None:
    """Executes the files, so that their components are known."""
    from registry import load_plugin

    for path in plugins or ():
        load_plugin(path)


def kinds(plugins: Sequence[Path] | None) -> tuple[Kind, ...]:
    """All kinds of component, ours and those of the plugins, which are loaded."""
    import registry
    import zoo.kinds  # noqa: F401  which lists ours

    load_plugins(plugins)
    return registry.kinds()


def inner_spec_names(plugins: Sequence[Path] | None) -> list[str]:
    """The specs that a document is made of besides components."""
    return list(_inner_specs(plugins))


def inner_spec(name: str, plugins: Sequence[Path] | None) -> type[Spec] | None:
    """The spec that is no component by its name, as spec/StackSpec, StackSpec or stack; None where it is none.

    Raises: SpecError for an unknown one behind spec/.
    """
    from registry import suggest

    is_said = name == "spec" or name.startswith("spec/")
    wanted = name.removeprefix("spec").removeprefix("/") if is_said else name
    if not is_said and "/" in name:
        return None
    known = _inner_specs(plugins)
    by_name = {key.lower().removesuffix("spec"): spec for key, spec in known.items()}
    found = by_name.get(wanted.lower().removesuffix("spec").removesuffix("_").replace("_", ""))
    if found is None and is_said and not wanted:
        raise usage_error(f"which spec? say spec/NAME (known: {', '.join(known)})")
    if found is None and is_said:
        raise usage_error(
            f"no spec is called '{wanted}'; {suggest(wanted, known, listed=True, listing='zoo list spec')}"
        )
    return None if not is_said and any(kind.name == name for kind in kinds(plugins)) else found


def _inner_specs(plugins: Sequence[Path] | None) -> dict[str, type[Spec]]:
    from registry import inner_specs
    from zoo.run.spec import RunSpec

    return inner_specs(RunSpec, kinds(plugins))


def kind_named(
    name: str, known: Sequence[Kind], *, further: Sequence[str], is_component: bool = False
) -> Kind:
    """The kind of that name, beside which a command takes further ones.

    is_component: it may be a component's name, of which the kind was left out.

    Raises: SpecError.
    """
    from registry import suggest

    homes = [f"{kind.name}/{name}" for kind in known if is_component and name in kind.names()]
    if homes:
        raise usage_error(f"'{name}' without its kind; did you mean {' or '.join(map(repr, homes))}?")
    found = next((kind for kind in known if kind.name == name), None)
    if found is None:
        names = sorted([*(kind.name for kind in known), *further])
        raise usage_error(
            f"no kind is called '{name}'; {suggest(name, names, listed=True, listing='zoo list')}"
        )
    return found
