"""What specs take on the machine at hand: tokens a second of training and of decoding, and memory, by length."""

from __future__ import annotations

import ctypes
import gc
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import torch
from torch import Tensor, nn

from registry import Problem, Spec, SpecError
from zoo.analysis.cost import Precision, cost
from zoo.assembly.build import build

N_WRITTEN = 8
"""Tokens that are written in a measurement of decoding, or fewer where a sequence has no more."""


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing."""

    median: float
    low: float
    """The least of them."""
    high: float
    """The most."""


@dataclass(frozen=True)
class Measured:
    """What one model takes on batches of sequences of one length."""

    title: str
    rows: int
    length: int
    training: Spread
    """Tokens a second of a training step: forward, loss and backward pass; no optimizer, and no data."""
    training_flops: float
    """Operations a second in it, by the formulas of zoo.cost and the median."""
    decoding: Spread | None
    """Tokens a second that are written one by one, greedily: the last of a sequence of that length, the others being
    cached; None where nothing is written, or no tokens."""
    peak_bytes: int | None
    """By how much a training step raises memory above the model: what it keeps, and gradients as they come; None where
    the system does not say."""

    def seconds(self, speed: float) -> float:
        """How long a batch takes at so many tokens a second."""
        return self.rows * self.length / speed

    def as_dict(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        return asdict(self)


def bench(
    models: Mapping[str, Spec],
    *,
    lengths: Sequence[int],
    batch: int = 1,
    repeats: int = 5,
    device: str = "cpu",
    precision: Precision = "fp32",
) -> list[Measured]:
    """Models by their titles, measured at each length with random weights and inputs.

    All are held at once and take turns, length by length, so that a machine whose speed drifts hurts all alike; the
    first turn warms up and is not counted. The loss is a head's own where it predicts tokens, else the mean square of
    its output. In bf16 products run under autocast.

    Raises: ValueError for less than one repeat, SpecError for sequences longer than a model's positions; what torch
        raises for what is too large.
    """
    if repeats < 1:
        raise ValueError(f"repeats ({repeats}) must be at least 1")
    for title, spec in models.items():
        _check(title, spec, max(lengths))
    torch.manual_seed(0)
    contenders = [_Contender(title, spec, device, precision) for title, spec in models.items()]
    found = []
    for length in lengths:
        cases = [_Case(each, batch, length) for each in contenders]
        for turn in range(repeats + 1):
            for case in cases:
                case.take_turn(counts=turn > 0)
        found += [case.measured() for case in cases]
    return found


def exponent(measured: Sequence[Measured]) -> float | None:
    """The p by which the time of a training step grows as length ** p; None for a single length."""
    law = power_law([(each.length, each.seconds(each.training.median)) for each in measured])
    return None if law is None else law[0]


def doubt(*, n_lengths: int, n_turns: int) -> str:
    """What speaks against an exponent of so many lengths, each measured in so many turns; "" where nothing does."""
    doubts = [
        *(["of two lengths only, which a power law always fits"] if n_lengths == 2 else []),
        *(["of one turn, so nobody knows how much it varies"] if n_turns == 1 else []),
    ]
    return "; ".join(doubts)


def power_law(points: Iterable[tuple[float, float]]) -> tuple[float, float] | None:
    """The p and c of y = c · x ** p that fits points best, by least squares of logarithms; None for a single x."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    if len({x for x, _ in logs}) < 2:
        return None
    line = linear_regression(*zip(*logs, strict=True))
    return line.slope, math.exp(line.intercept)


def _check(title: str, spec: Spec, length: int) -> None:
    found = cost(spec, length=length)
    if found.longest is not None and found.length > found.longest:
        message = f"{title}: its positions end at {found.longest:,}, before a length of {found.length:,}"
        raise SpecError([Problem("", message)])


class _Contender:
    """A model on its device."""

    def __init__(self, title: str, spec: Spec, device: str, precision: Precision) -> None:
        self.title = title
        self.spec: Any = getattr(spec, "model", spec)
        self.device = torch.device(device)
        self.precision: Precision = precision
        self.model: Any = build(self.spec, device=self.device)

    def autocast(self) -> Any:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def inputs(self, rows: int, length: int) -> list[Tensor]:
        """An input for each slot, of tokens so many; what has sizes of its own, such as images, as it has them."""
        found = []
        for embedding in self.spec.slots.values():
            if hasattr(embedding, "vocab_size"):
                found.append(torch.randint(embedding.vocab_size, (rows, length)))
            else:
                found.append(embedding.example_inputs(rows)[0])
        return [each.to(self.device) for each in found]


class _Case:
    """A model with batches of one length."""

    def __init__(self, contender: _Contender, rows: int, length: int) -> None:
        self.contender = contender
        self.rows, self.asked = rows, length
        self.inputs = contender.inputs(rows, length)
        self.length = length
        self.training: list[float] = []
        self.decoding: list[float] = []
        self.peaks: list[int | None] = []
        written = contender.spec.writes
        self.writes = written is not None and hasattr(contender.spec.slots[written], "vocab_size")

    def take_turn(self, *, counts: bool) -> None:
        model = self.contender.model
        if counts:
            model.train()
            with _Peak(self.contender.device) as peak:
                seconds = self._timed(self._train)
            self.training.append(self.rows * self.length / seconds)
            self.peaks.append(peak.bytes)
        else:
            model.train()
            self._train()
        model.zero_grad(set_to_none=True)
        if not self.writes:
            return
        model.eval()
        speed = self._decode()
        if counts:
            self.decoding.append(speed)

    def measured(self) -> Measured:
        contender = self.contender
        by_formula = cost(contender.spec, batch=self.rows, length=self.length)
        training = _spread(self.training)
        return Measured(
            title=contender.title,
            rows=self.rows,
            length=self.length,
            training=training,
            training_flops=by_formula.training_per_token * training.median,
            decoding=_spread(self.decoding) if self.decoding else None,
            peak_bytes=max((each for each in self.peaks if each is not None), default=None),
        )

    def _train(self) -> None:
        model = self.contender.model
        with self.contender.autocast():
            hidden, mask = model.hidden(*self.inputs)
            self.length = hidden.shape[1]
            loss = _loss(model, self.contender.spec, hidden, mask)
        loss.backward()

    @torch.inference_mode()
    def _decode(self) -> float:
        """Tokens a second of writing the last ones of a sequence."""
        model, given = self.contender.model, self.inputs
        n = min(N_WRITTEN, max(1, self.asked - 1))
        begun = given[-1][:, : max(1, self.asked - n)]
        with self.contender.autocast():
            cache = model.new_cache()
            memory = (model.encode(given[0]),) if len(given) > 1 else ()
            model.decode(begun, *memory, cache=cache)
            token = begun[:, -1:]

            def write() -> None:
                nonlocal token
                for _ in range(n):
                    token = model.head(model.decode(token, *memory, cache=cache)).argmax(dim=-1)

            return self.rows * n / self._timed(write)

    def _timed(self, run: Callable[[], None]) -> float:
        wait = torch.cuda.synchronize if self.contender.device.type == "cuda" else _nothing
        wait()
        start = time.perf_counter()
        run()
        wait()
        return time.perf_counter() - start


def _loss(model: nn.Module, spec: Any, hidden: Tensor, mask: Tensor | None) -> Tensor:
    head: Any = model.head
    if spec.head.type in ("language_model", "masked_language_model"):
        rows = hidden.flatten(0, 1)
        labels = torch.zeros(len(rows), dtype=torch.int64, device=rows.device)
        return head.loss(rows, labels, label_smoothing=0.0).loss / len(rows)
    return head(hidden, mask=mask).float().square().mean()


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median(values), min(values), max(values))


def _nothing() -> None:
    pass


class _Peak:
    """By how much memory rises above what is taken at the beginning: what a GPU has allocated, of a CPU what Linux says
    is resident of this process, once it has given back what it does not use."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes: int | None = None

    def __enter__(self) -> _Peak:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.before: int | None = torch.cuda.memory_allocated(self.device)
        else:
            self.before = _resident("VmRSS") if _forget_peak() else None
        return self

    def __exit__(self, *raised: object) -> None:
        if self.before is None:
            return
        on_cuda = self.device.type == "cuda"
        after = torch.cuda.max_memory_allocated(self.device) if on_cuda else _resident("VmHWM")
        self.bytes = None if after is None else max(0, after - self.before)


def _forget_peak() -> bool:
    """Gives unused memory back and lets Linux begin anew with the peak; False where that is not to be had."""
    try:
        ctypes.CDLL(None).malloc_trim(0)  # glibc's; else what was freed would be used again without a rise
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except (OSError, AttributeError, TypeError):
        return False
    return True


def _resident(name: str) -> int | None:
    try:
        text = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return 1024 * int(fields[name].split()[0]) if name in fields else None
