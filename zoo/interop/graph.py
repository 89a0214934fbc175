"""A model as a graph of plain operations, for any batch and any length: what its inputs are, the trace, the check.

Inside torch.export no kernel of this project chooses by length, device or the numbers that pass: see
zoo.kernels.attention and zoo.masks, which ask torch.compiler.is_exporting(). So a graph holds aten operations alone.
"""

from __future__ import annotations

import inspect
import io
import logging
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from registry import Problem, Spec, SpecError
from zoo.kinds.model import mask_name

TRACED_ROWS = 3
CHECKED_ROWS = (5, 1)
_LONGER = 3
"""How many times the traced length the check's longest input has, where the model has positions for it."""
_HOME = Path(torch.__file__).parent
_OUTPUTS = {"token": "logits", "sequence": "logits", "transcript": "logits", None: "vectors"}
_MEANINGS = {
    "logits": "before softmax",
    "values": "numbers as the model gives them",
    "vectors": "the model's vectors",
    "memory": "the encoder's vectors, which the decoder reads",
}


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    """A number, or the name of a size that is open, or an expression of such."""
    meaning: str


@dataclass(frozen=True)
class Open:
    """Which axes of an input are open, by the names of the sizes; and where its padding is said."""

    axes: Mapping[int, str]
    meaning: str


@dataclass
class Part:
    """What is traced: a module and its inputs by name, in the order of its arguments."""

    name: str
    module: nn.Module
    given: dict[str, Tensor]
    opened: dict[str, Open]
    outputs: tuple[tuple[str, str], ...]
    """Name and meaning of each."""


@dataclass
class Graph:
    """A part, traced."""

    part: Part
    program: ExportedProgram
    inputs: list[Port]
    outputs: list[Port]
    most: dict[str, int] = field(default_factory=dict)
    """The largest value of an open size, where there is one."""
    names: dict[str, str] = field(default_factory=dict)
    """The sizes' names by the program's symbols."""


class _Encoder(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, source: Tensor, source_mask: Tensor | None = None) -> Any:
        memory, mask = self.model.encode_masked(source, source_mask=source_mask)
        return memory if mask is None else (memory, mask)


class _Decoder(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, target: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        hidden = self.model.decode(target, memory, source_mask=memory_mask)
        logits: Tensor = self.model.head(hidden, mask=None)
        return logits


def parts(model: nn.Module, spec: Spec) -> list[Part]:
    """The graphs of a model: the whole, and of one that reads and writes its encoder and its decoder besides."""
    slots: Mapping[str, Spec] = spec.slots  # type: ignore[attr-defined]
    given, opened = whole_inputs(model, spec, TRACED_ROWS, {})
    output = _OUTPUTS.get(getattr(spec.head, "learns", None), "values")  # type: ignore[attr-defined]
    whole = Part("model", model, given, opened, ((output, _MEANINGS[output]),))
    if set(slots) != {"source", "target"} or not hasattr(model, "encode_masked"):
        return [whole]
    source = {name: tensor for name, tensor in given.items() if name.startswith("source")}
    memory = {"memory": Open({0: "batch", 1: "memory_length"}, _MEANINGS["memory"])}
    with torch.no_grad():
        encoded = _Encoder(model)(**source)
    made = dict(
        zip(("memory", "memory_mask"), encoded if isinstance(encoded, tuple) else (encoded,), strict=False)
    )
    if "memory_mask" in made:
        memory["memory_mask"] = Open(
            {0: "batch", 1: "memory_length"}, "true where a vector of memory stands for real input"
        )
    return [
        whole,
        Part(
            "encoder",
            _Encoder(model),
            source,
            {name: opened[name] for name in source},
            tuple((name, each.meaning) for name, each in memory.items()),
        ),
        Part(
            "decoder",
            _Decoder(model),
            {"target": given["target"], **made},
            {"target": opened["target"], **memory},
            ((output, _MEANINGS[output]),),
        ),
    ]


def whole_inputs(
    model: nn.Module, spec: Any, rows: int, times: Mapping[str, int]
) -> tuple[dict[str, Tensor], dict[str, Open]]:
    """Random inputs of a model, by name; times says how many times the length of its embeddings' examples each open
    size has, 1 where it says nothing."""
    inputs, masks = {}, {}
    opened: dict[str, Open] = {}
    parameters = inspect.signature(model.forward).parameters
    for slot, embedding in spec.slots.items():
        length = "length" if len(spec.slots) == 1 else f"{slot}_length"
        pieces = [embedding.example_inputs(rows) for _ in range(times.get(length, 1))]
        (inputs[slot], mask), axis = pieces[0], None
        if mask is not None:
            sizes = list(inputs[slot].shape)
            axis = max(i for i, size in enumerate(sizes) if i and size == mask.shape[1])
            inputs[slot] = torch.cat([piece for piece, _ in pieces], dim=axis)
            mask = torch.cat([*(torch.ones_like(each) for _, each in pieces[1:]), mask], dim=1)
        opened[slot] = Open({0: "batch"} | ({} if axis is None else {axis: length}), _meaning(embedding))
        # What is written is padded at its end, where causal attention does not look.
        if mask is not None and (len(spec.slots) == 1 or slot != spec.writes):
            name = mask_name(spec, slot)
            masks[name] = mask
            opened[name] = Open(
                {0: "batch", 1: length}, f"true where {slot} holds real input, false where padding"
            )
        if getattr(embedding, "n_types", 0) and "types" in parameters:
            masks["types"] = torch.randint(embedding.n_types, inputs[slot].shape)
            opened["types"] = Open({0: "batch", 1: length}, "token types, 0 where there is one text")
    found = inputs | masks
    return found, {name: opened[name] for name in found}


def _meaning(embedding: Any) -> str:
    if hasattr(embedding, "vocab_size"):
        return "token ids"
    if hasattr(embedding, "hears"):
        return f"a {embedding.hears}"
    if hasattr(embedding, "n_channels"):
        return "images: channels, height, width, standardised"
    return str(embedding.type).replace("_", " ")


def traced(part: Part) -> Graph:
    """The part as a program of aten operations, batch and lengths left open.

    Raises: SpecError for a model that no graph holds, with the line of its source where that shows.
    """
    shapes = {name: dict.fromkeys(each.axes, Dim.AUTO) for name, each in part.opened.items()}
    with torch.no_grad(), _silent():
        try:
            # Copies: what a module keeps of its inputs would be the trace's.
            given = {name: tensor.clone() for name, tensor in part.given.items()}
            program = torch.export.export(part.module, (), given, dynamic_shapes=shapes)
        except Exception as error:
            raise _no_graph(part, error) from None
    graph = Graph(part, program, [], [])
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    for name, each in part.opened.items():
        graph.inputs.append(_input(graph, name, each, values[name]))
    results = [node.meta["val"] for node in next(iter(reversed(program.graph.nodes))).args[0]]
    for (name, meaning), value in zip(part.outputs, results, strict=True):
        graph.outputs.append(Port(name, _dtype(value), tuple(_size(graph, n) for n in value.shape), meaning))
    for symbol, limits in program.range_constraints.items():
        if str(symbol) in graph.names and str(limits.upper).isdecimal() and int(limits.upper) < 10**9:
            graph.most[graph.names[str(symbol)]] = int(limits.upper)
    return graph


def _input(graph: Graph, name: str, each: Open, value: Tensor) -> Port:
    for axis, size in each.axes.items():
        found = str(value.shape[axis])
        if found.isdecimal():  # the trace has found that it can be no other
            if size == "batch" or _takes_longer(graph.part, size):
                raise SpecError(
                    [
                        Problem(
                            "model",
                            f"no graph for every {size.replace('_', ' ')}: it would hold {found} alone",
                        )
                    ]
                )
            continue
        known = graph.names.setdefault(found, size)
        if known != size:
            text = f"no graph for every {size.replace('_', ' ')}: it would have to equal {known.replace('_', ' ')}"
            raise SpecError([Problem("model", text)])
    return Port(name, _dtype(value), tuple(_size(graph, n) for n in value.shape), each.meaning)


def _takes_longer(part: Part, size: str) -> bool:
    """Whether the model itself takes another length than was traced, so that the graph should too."""
    with torch.no_grad():
        try:
            part.module(**_stretched(part, part.given, {size: 2}))
        except ValueError:
            return False
    return True


def _stretched(part: Part, given: Mapping[str, Tensor], times: Mapping[str, int]) -> dict[str, Tensor]:
    found = dict(given)
    for name, each in part.opened.items():
        for axis, size in each.axes.items():
            found[name] = torch.cat([found[name]] * times.get(size, 1), dim=axis)
    return found


def _dtype(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _size(graph: Graph, size: Any) -> int | str:
    text = str(size)
    return int(text) if text.isdecimal() else renamed(text, graph.names)


def renamed(expression: str, names: Mapping[str, str]) -> str:
    """An expression of a program's symbols, by the names of its sizes."""
    return re.sub(r"\bs\d+\b", lambda found: names.get(found[0], found[0]), expression)


def _no_graph(part: Part, error: Exception) -> SpecError:
    """One line: which part, why, and the last line of somebody's own source on the way there."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        each for each in frames if not Path(each.filename).is_relative_to(_HOME) and each.filename != __file__
    ]
    place = f" (at {own[-1].filename}:{own[-1].lineno}: {own[-1].line})" if own else ""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    what = "this model" if part.name == "model" else f"this model's {part.name}"
    why = "what is done next depends on numbers that pass through it, or torch.export cannot follow it"
    return SpecError(
        [Problem("model", f"no graph holds {what}: {why}: {type(error).__name__}: {reason}{place}")]
    )


def trials(graph: Graph, model: nn.Module, spec: Spec) -> Iterator[dict[str, Tensor]]:
    """Random inputs of other sizes than were traced: more rows of a greater length, and one row."""
    for rows, times in zip(CHECKED_ROWS, (_LONGER, 1), strict=True):
        given, opened = whole_inputs(model, spec, rows, dict.fromkeys(graph.names.values(), times))
        for name, each in opened.items():
            for axis, size in each.axes.items():
                if size in graph.most and given[name].shape[axis] > graph.most[size]:
                    n = given[name].shape[axis]
                    given[name] = given[name].narrow(axis, n - graph.most[size], graph.most[size])
        if graph.part.name == "decoder":
            source = {name: tensor for name, tensor in given.items() if name.startswith("source")}
            encoded = _Encoder(model)(**source)
            made = encoded if isinstance(encoded, tuple) else (encoded,)
            given |= dict(zip(("memory", "memory_mask"), made, strict=False))
        yield {name: given[name] for name in graph.part.given}


def real_places(part: Part, given: Mapping[str, Tensor]) -> Tensor | None:
    """Which places of a whole model's output stand for real input, bool [B, T]: the others mean nothing."""
    if part.name == "model":
        mask: Tensor | None = part.module.hidden(**given)[1]  # type: ignore[operator]
        return mask
    if part.name == "encoder":
        found = part.module(**given)
        return found[1] if isinstance(found, tuple) else None
    return None


@contextmanager
def _silent() -> Iterator[None]:
    """torch writes the whole graph to its log and to standard error where a trace fails; its reason comes as one line
    instead. What else was written there comes when all went well."""
    before, written = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(written):
            yield
    finally:
        logging.disable(before)
    sys.stderr.write(written.getvalue())


@contextmanager
def quiet() -> Iterator[None]:
    """Without what the converters' own code warns and logs of itself, none of which a user can change."""
    with warnings.catch_warnings(), _silent():
        warnings.simplefilter("ignore")
        yield
