"""What a model's attentions attend to, whatever kernel computes them: in one pass, their weights by the formula."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from registry import Problem, SpecError
from zoo.kernels.watching import Watch, watching
from zoo.kinds import ATTENTION, MIXER

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 5e-3}
"""How far a kernel's output may lie from that of the formula, as a share of the largest value, by its dtype."""
_LAYER = re.compile(r"(?:(.*)\.)?layers\.(\d+)(?:\.|$)")


@dataclass(frozen=True, eq=False, kw_only=True)
class Attended:
    """Which part of a model attended, and whether what is told of it is what the model computed."""

    name: str
    """The module's, such as `decoder.layers.0.cross_attention`."""
    part: str
    """What it is called in the registry, such as `multi_head`; else its class."""
    stack: str
    """What its layer is one of, such as `decoder`; "" where it is of none."""
    layer: int | None
    """Counted from 0 within the stack."""
    is_cross: bool
    """Whether the keys are of a memory, the encoder's output, rather than of the queries' own sequence."""
    heads: tuple[int, ...]
    """Which heads were seen, from 0."""
    difference: float | None
    """How far its kernel's output lies from that of the weights, as a share of the largest value; None where it
    computes with the weights themselves."""
    tolerance: float
    """How far it may, by its dtype: see TOLERANCES."""

    @property
    def is_confirmed(self) -> bool:
        """Whether the model's own output is that of the weights."""
        return self.difference is None or self.difference <= self.tolerance  # not where it is no number


@dataclass(frozen=True, eq=False, kw_only=True)
class Attention(Attended):
    """What one part of a model attended to."""

    weights: Tensor
    """Before dropout, float32 at least, on the CPU: [B, H, T, S]."""


@dataclass(frozen=True, eq=False)
class Attentions:
    """What the attentions of a model attended to in one pass, in the order of their first call."""

    found: tuple[Attention, ...]
    without: tuple[tuple[str, str], ...]
    """What mixes positions in the chosen layers without weights of a softmax: the module's name and the part's."""


def attention_weights(
    model: nn.Module,
    *inputs: Tensor,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    **masks: Tensor | None,
) -> Attentions:
    """What a model's attentions attend to when it is given these inputs and masks, as `model(*inputs, **masks)` is.

    The rest as for `attentions_in`.
    """
    run: Any = getattr(model, "hidden", model)
    return attentions_in(model, lambda: run(*inputs, **masks), layers=layers, heads=heads)


@torch.no_grad()
def attentions_in(
    model: nn.Module,
    call: Callable[[], object],
    *,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
) -> Attentions:
    """What the attentions of a model attend to in a call that runs it once.

    The model runs as always, by its own kernels; beside each of their calls the formula gives the weights, and its
    output is compared with the kernel's. A part that is called for a query at a time, as a recurrence does, has a row
    of each call; one that attends several times in a call has the heads of each. A part of a plugin is seen where it
    calls zoo.kernels.attention.attend, or shows weights of its own by zoo.kernels.watching.seen.
    layers, from 0, are those of every stack; None: all. heads alike; a part without any of them is left out.
    Raises: SpecError for a layer or head that there is not, and for a model that attends by no softmax in these layers;
        ValueError for a model in training mode, which drops what it sees.
    """
    if model.training:
        raise ValueError("a model in training mode drops some of what it sees: call model.eval() first")
    places = {name: place for name, _ in model.named_modules() if (place := _place(name)) is not None}
    _check_layers(layers, set(places.values()))
    chosen = [
        (name, module)
        for name, module in model.named_modules()
        if layers is None or (name in places and places[name][1] in layers)
    ]
    with _watched(chosen) as frames:
        call()
    without = _without(
        chosen, [name for name, calls in frames.calls.items() if any(each.weights for each in calls)]
    )
    found = [
        each
        for name, calls in frames.calls.items()
        if (each := _attention(name, model, calls, frames)) is not None
    ]
    if not found:
        what = sorted({part for _, part in without})
        where = "" if layers is None else f" in {_numbered('layer', layers)}"
        have = f"; it mixes positions by {', '.join(what)}" if what else ""
        raise SpecError([Problem("model", f"nothing attends by a softmax{where}{have}")])
    return Attentions(tuple(_of_heads(found, heads)), without)


@dataclass
class _Frames:
    """Which modules are running, the outermost first, and what was seen of each."""

    running: list[tuple[str, bool | None]] = field(default_factory=list)
    """The name, and whether a memory was given; None of a module that asks for none."""
    calls: dict[str, list[Watch]] = field(default_factory=dict)
    """What each call of a module saw that was not seen within one inside it."""
    is_cross: dict[str, bool] = field(default_factory=dict)


@contextmanager
def _watched(modules: Sequence[tuple[str, nn.Module]]) -> Iterator[_Frames]:
    """Lets the innermost running of these modules see each call of a kernel."""
    frames = _Frames()
    open_blocks: list[Any] = []
    handles = []

    def enter(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            watch = Watch()
            frames.running.append((name, _is_given_memory(module, args, kwargs)))
            frames.calls.setdefault(name, []).append(watch)
            given = next((given for _, given in reversed(frames.running) if given is not None), False)
            frames.is_cross.setdefault(name, given)
            block = watching(watch)
            block.__enter__()
            open_blocks.append(block)

        return hook

    def leave(module: nn.Module, args: Any, output: Any) -> None:
        open_blocks.pop().__exit__(None, None, None)
        frames.running.pop()

    try:
        for name, module in modules:
            handles.append(module.register_forward_pre_hook(enter(name), with_kwargs=True))
            handles.append(module.register_forward_hook(leave))
        yield frames
    finally:
        while open_blocks:  # of calls that an error ended
            open_blocks.pop().__exit__(None, None, None)
        for handle in handles:
            handle.remove()


def _is_given_memory(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool | None:
    names = list(inspect.signature(module.forward).parameters)
    if "memory" not in names:
        return None
    place = names.index("memory")
    given = args[place] if place < len(args) else kwargs.get("memory")
    return isinstance(given, Tensor)


def _attention(name: str, model: nn.Module, calls: Sequence[Watch], frames: _Frames) -> Attention | None:
    """What a module attended to in its calls; None where it did not."""
    rows = [torch.cat(call.weights, dim=1) for call in calls if call.weights]  # each [B, H, T, S]
    if not rows:
        return None
    differences = [each for call in calls for each in call.differences]
    dtypes = {each for call in calls for each in call.dtypes}
    stack, layer = _place(name) or ("", None)
    weights = torch.cat(rows, dim=2).cpu()
    is_number = all(each == each for each in differences)
    return Attention(
        name=name,
        part=_part(model.get_submodule(name)),
        stack=stack,
        layer=layer,
        is_cross=frames.is_cross[name],
        weights=weights,
        heads=tuple(range(weights.shape[1])),
        difference=(max(differences) if is_number else float("nan")) if differences else None,
        tolerance=max((TOLERANCES.get(each, 0.0) for each in dtypes), default=0.0),
    )


def _of_heads(found: Sequence[Attention], heads: Sequence[int] | None) -> Iterator[Attention]:
    """The attentions with the chosen heads alone."""
    if heads is None:
        yield from found
        return
    n_most = max(len(each.heads) for each in found)
    if wrong := [head for head in heads if not 0 <= head < n_most]:
        there = "there is head 0 alone" if n_most == 1 else f"there are heads 0 to {n_most - 1}"
        raise SpecError([Problem("heads", f"no {_numbered('head', wrong)}: {there}")])
    for each in found:
        kept = [head for head in each.heads if head in heads]
        if kept:
            yield replace(each, weights=each.weights[:, kept], heads=tuple(kept))


def _check_layers(layers: Sequence[int] | None, places: set[tuple[str, int]]) -> None:
    if layers is None:
        return
    if wrong := [layer for layer in layers if all(layer != number for _, number in places)]:
        counts: dict[str, int] = {}
        for stack, number in places:
            counts[stack] = max(counts.get(stack, 0), number)
        there = ", ".join(
            f"{stack or 'the model'} has {f'0 to {last}' if last else '0 alone'}"
            for stack, last in sorted(counts.items(), key=lambda each: (each[0] != "encoder", each[0]))
        )
        raise SpecError(
            [Problem("layers", f"no {_numbered('layer', wrong)}: {there or 'the model has none'}")]
        )


def _numbered(what: str, numbers: Sequence[int]) -> str:
    return f"{what}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _without(modules: Sequence[tuple[str, nn.Module]], seeing: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The outermost attentions and mixers in which nothing was seen."""
    parts = _builders()
    mixing = [(name, parts[type(module)]) for name, module in modules if type(module) in parts]
    found: list[tuple[str, str]] = []
    for name, part in mixing:
        is_inner = any(name.startswith(f"{other}.") for other, _ in mixing)
        if not is_inner and not any(other == name or other.startswith(f"{name}.") for other in seeing):
            found.append((name, part))
    return tuple(found)


def _part(module: nn.Module) -> str:
    return _builders().get(type(module), type(module).__name__)


def _builders() -> dict[Any, str]:
    """What mixes positions, by the class that is registered for it."""
    return {kind.entry(name).builder: name for kind in (ATTENTION, MIXER) for name in kind.names()}


def _place(name: str) -> tuple[str, int] | None:
    """The stack and the number of the layer that a module is in; None where it is in none."""
    match = _LAYER.match(name)
    return None if match is None else (match[1] or "", int(match[2]))
