"""What a model costs, from its spec alone: by part and in total, on sequences of a length."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any, Literal

from registry import Spec
from zoo.analysis.size import parts_of
from zoo.assembly.parts import Part
from zoo.costs import Cost, Mixing
from zoo.kinds import MODEL, POSITION, ModelSpec, read_slots
from zoo.sizes import Batch

MIXERS = ("attention", "mixer")
"""The kinds that bring positions together."""

Precision = Literal["fp32", "bf16"]
Device = Literal["cuda", "cpu"]


@dataclass(frozen=True)
class PartCost:
    """What all modules of one form take together; operations, bytes and cache are those of the whole batch."""

    path: str
    kind: str
    type: str
    n_times: int
    """Modules of this form."""
    n_parameters: int
    forward: int
    """Operations of a forward pass: see zoo.costs for what counts."""
    backward: int
    activation_bytes: int
    """What a training step keeps from the forward to the backward pass."""
    cache_bytes_per_token: int
    """What decoding keeps of each token of a sequence; of a cross-attention, of each of the memory."""
    cache_bytes: int
    """What it keeps of a sequence of this length."""
    n_sequential: int
    """Operations that have to follow each other, where the part brings positions together; else 0."""
    mixing: Mixing | None
    """How one of them brings positions together."""
    formula: str
    """Operations of the forward pass of one sequence, in letters."""
    source: str
    """Where the part comes from."""
    is_known: bool
    """Whether a formula says so; else the operations were counted on the meta device, and of a part that brings
    positions together nothing is known of cache, order and way."""

    @property
    def training(self) -> int:
        """Operations of a training step."""
        return self.forward + self.backward

    @property
    def is_open(self) -> bool:
        """Whether it brings positions together in a way that nobody says."""
        return self.kind in (*MIXERS, MODEL.name) and not self.is_known


@dataclass(frozen=True)
class ModelCost:
    """What a model takes on a batch of sequences of one length, and each of its parts."""

    rows: int
    length: int
    """Tokens of each sequence that is written, or read where none is."""
    memory_length: int
    """Tokens of each sequence that is read, which is the same for a model of one sequence."""
    parts: tuple[PartCost, ...]
    path: int | None
    """The longest way between two positions of a sequence, in operations that bring positions together, through as many
    layers as it takes; None where there is no way, or where a part does not say."""
    meets: bool | None
    """Whether the layers there are suffice for that; None where a part does not say."""
    longest: int | None = None
    """Where the positions of what is written, or read where nothing is, end; None: nowhere. Beyond it a cost is one of
    numbers only."""

    @property
    def n_tokens(self) -> int:
        """Tokens that the operations are divided by: those of `length`."""
        return self.rows * self.length

    @property
    def n_parameters(self) -> int:
        """Trained and frozen, tied ones once."""
        return sum(part.n_parameters for part in self.parts)

    @property
    def forward(self) -> int:
        """Operations of a forward pass."""
        return sum(part.forward for part in self.parts)

    @property
    def training(self) -> int:
        """Operations of a training step, without the optimizer's."""
        return sum(part.training for part in self.parts)

    @property
    def forward_per_token(self) -> float:
        return self.forward / self.n_tokens

    @property
    def training_per_token(self) -> float:
        return self.training / self.n_tokens

    @property
    def activation_bytes(self) -> int:
        """What a training step keeps from the forward to the backward pass."""
        return sum(part.activation_bytes for part in self.parts)

    @property
    def cache_bytes_per_token(self) -> int | None:
        """What decoding keeps of each token, read and written; None where a part does not say."""
        return None if self._is_open else sum(part.cache_bytes_per_token for part in self.parts)

    @property
    def cache_bytes(self) -> int | None:
        """What decoding keeps of a sequence of this length."""
        return None if self._is_open else sum(part.cache_bytes for part in self.parts)

    @property
    def n_sequential(self) -> int | None:
        """Operations that have to follow each other, of what brings positions together, all layers after another."""
        return None if self._is_open else sum(part.n_sequential for part in self.parts)

    @property
    def _is_open(self) -> bool:
        return any(part.is_open for part in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        totals = {name: getattr(self, name) for name in TOTALS}
        sizes = {"batch": self.rows, "length": self.length, "memory_length": self.memory_length}
        return {**sizes, **totals, "meets": self.meets, "parts": [_part_dict(part) for part in self.parts]}


TOTALS = (
    "n_parameters",
    "forward_per_token",
    "training_per_token",
    "activation_bytes",
    "cache_bytes_per_token",
    "cache_bytes",
    "n_sequential",
    "path",
)
"""The totals of a ModelCost, by name."""


def cost(
    model: Spec,
    *,
    batch: int = 1,
    length: int = 512,
    precision: Precision = "fp32",
    device: Device = "cuda",
) -> ModelCost:
    """What a model costs on `batch` sequences of `length` tokens each, by the formulas of its parts.

    model is a model's spec, or a run's. Of an encoder-decoder both sequences have the length. An input that always has
    one length, such as images of one size, keeps it. Only parts that say no formula are built, on the meta device.
    In bf16 a cached number has two bytes, and what training keeps three on average, norms and residuals staying fp32.
    device is where training computes: a CPU's kernels for short sequences keep more.

    Raises: ValueError for a batch or a length below 1.
    """
    if batch < 1 or length < 1:
        raise ValueError(f"batch ({batch}) and length ({length}) must be at least 1")
    spec: Any = getattr(model, "model", model)
    lengths = _lengths(spec, length)
    half = precision == "bf16"
    parts, mixed = [], []
    ends: list[int] = []
    for part in parts_of(spec):
        own, memory = lengths.of(part)
        if part.kind is POSITION and own == lengths.main and (end := getattr(part.spec, "max_len", None)):
            ends.append(end)
        sizes = Batch(batch * own, own, memory_length=memory, is_half=half, is_on_cpu=device == "cpu")
        found = part.cost(batch=sizes)
        mixed.append((part, found))
        parts.append(_part_cost(part, found, sizes, half=half))
    path, meets = _path(mixed)
    return ModelCost(batch, lengths.main, lengths.read, tuple(parts), path, meets, min(ends, default=None))


@dataclass(frozen=True)
class _Lengths:
    written: int | None
    read: int
    slots: Mapping[str, int]
    roles: Mapping[str, str]
    """Of each direct part of the model, what its attentions do: 'causal', 'self'; those that have none are missing."""

    @property
    def main(self) -> int:
        return self.read if self.written is None else self.written

    def of(self, part: Part) -> tuple[int, int | None]:
        """The tokens of a sequence at a part, and those of the memory where it reads one."""
        name = _place(part)
        role = part.context.get("role") or self.roles.get(name)
        if role == "cross":
            return self.main, self.read
        if role is not None:
            return (self.main if role == "causal" else self.read), None
        return self.slots.get(name, self.main), None


def _lengths(model: ModelSpec, length: int) -> _Lengths:
    """What is read and what is written."""
    roles: dict[str, str] = {}
    for part in parts_of(model):  # type: ignore[arg-type]
        if (role := part.context.get("role")) in ("causal", "self") and part.kind.name in MIXERS:
            roles[_place(part)] = role
    slots = {name: getattr(embedding, "length", None) or length for name, embedding in model.slots.items()}
    read = [slots[name] for name in read_slots(model)]
    written = None if model.writes is None else slots[model.writes]
    return _Lengths(written, read[0] if read else length, slots, roles)


def _place(part: Part) -> str:
    """The direct part of the model that a part belongs to."""
    return part.path.split(".")[1] if "." in part.path else ""


def _part_cost(part: Part, found: Cost, batch: Batch, *, half: bool) -> PartCost:
    n, value = part.n_times * part.n_passes, 2 if half else 4
    builder = part.kind.entry(part.spec.type).builder
    return PartCost(
        path=part.path,
        kind=part.kind.name,
        type=part.spec.type,
        n_times=part.n_times,
        n_parameters=part.n_parameters,
        forward=n * found.forward,
        backward=n * found.backward,
        activation_bytes=part.n_kept(batch=batch) * (3 if half else 4),
        cache_bytes_per_token=n * value * found.cached_per_token,
        cache_bytes=n * value * batch.n_rows * (found.cached + batch.n_keys * found.cached_per_token),
        n_sequential=n * found.mixing.n_sequential if found.mixing else 0,
        mixing=found.mixing,
        formula=found.formula,
        source=_source(builder),
        is_known=found.is_known,
    )


def _source(builder: Any) -> str:
    """What a component's docstring names as its source, up to the first full stop that ends a sentence."""
    found = re.search(r"^Source: (.*?)(?=^\S|\Z)", inspect.getdoc(builder) or "", re.DOTALL | re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _path(parts: Iterable[tuple[Part, Cost]]) -> tuple[int | None, bool | None]:
    """The longest way between positions, of all stacks, and whether their layers suffice for it."""
    stacks: dict[str, list[tuple[Mixing, int]]] = {}
    for part, found in parts:
        if not found.is_known and part.kind.name in (*MIXERS, MODEL.name):
            return None, None
        if part.kind.name not in MIXERS:
            continue
        role = str(part.context.get("role"))
        key = f"{_place(part)} {'cross' if role == 'cross' else 'self'}"
        stack = stacks.setdefault(key, [])
        if found.mixing is not None:
            stack.append((found.mixing, part.n_times * part.n_passes))
    ways = [_way(stack) for stack in stacks.values()]
    if any(path is None for path, _ in ways):
        return None, False
    return max((path or 0 for path, _ in ways), default=0), all(meets for _, meets in ways)


def _way(layers: list[tuple[Mixing, int]]) -> tuple[int | None, bool]:
    """The shortest way through layers that lets all positions meet: those first that carry farthest for each operation.

    Layers of several forms are taken to carry as far together as each does alone, whatever their order.
    """
    way, carried = 0, Fraction(0)
    able = [(mixing, mixing.n_layers, n) for mixing, n in layers if mixing.n_layers]
    for mixing, needed, n in sorted(able, key=lambda each: each[0].n_steps * each[1]):
        n_used = min(n, ceil((1 - carried) * needed))
        way, carried = way + n_used * mixing.n_steps, carried + n_used / needed
        if carried >= 1:
            return way, True
    return (ceil(way / carried), False) if carried else (None, False)


def _part_dict(part: PartCost) -> dict[str, Any]:
    found = {name: getattr(part, name) for name in part.__dataclass_fields__ if name != "mixing"}
    if part.mixing is not None:
        found["path_length"] = part.mixing.path
        found["order"] = vars(part.mixing.order)
    return found
