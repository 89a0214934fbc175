"""What training a run takes in memory, by formula, and what there is: asked before anything is built.

Weights and gradients are float32, the optimizer keeps what its spec's `n_state` says for each weight, and a batch's
activations are the sum of what the parts say they keep (within a tenth of what torch saves; tests/analysis/test_kept.py
measures it). Not counted: torch itself, data, and what a validation takes beside the model.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from registry import Problem, Spec, SpecError
from zoo.analysis.size import n_parameters, parts_of
from zoo.assembly.parts import Part
from zoo.run.spec import RunSpec
from zoo.sizes import Batch
from zoo.training.settling import settle_precision
from zoo.training.spec import averages_weights

MOST_PARAMETERS = 10**13
"""More than any model has had: a spec beyond is a slip of the pen."""

_ADAMS_STATE = 2
_GROUPS = {
    "": ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": (
        "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
    ),
}  # fmt: skip
_LONGEST = 512  # tokens of a sequence where neither the task nor the input says how long it is


@dataclass(frozen=True)
class Estimate:
    """Bytes that training takes, by what they are for."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    largest: str
    """The three largest parts, each with the keys that make it so."""

    @property
    def total(self) -> int:
        """All together."""
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(frozen=True)
class _Rates:
    """What a number costs in a run."""

    batch: Batch | None
    """None: no training is described, and its activations are not counted."""
    n_state: float
    n_copies: int
    """Processes that share this memory."""
    n_shares: int = 1
    """Devices that share the weights, their gradients and the optimizer's state."""

    def of_weight(self) -> float:
        # In mixed precision a step keeps a copy of two bytes of each weight.
        size = 8 + 4 * self.n_state + (2 if self.batch and self.batch.is_half else 0)
        return size * self.n_copies / self.n_shares

    def kept(self, part: Part) -> int:
        # Of what mixed precision keeps, about half is still float32: norms and residuals.
        if self.batch is None:
            return 0
        return part.n_kept(batch=self.batch) * (3 if self.batch.is_half else 4) * self.n_copies

    def of(self, part: Part) -> float:
        return part.n_parameters * self.of_weight() + self.kept(part)


def estimate(run: RunSpec) -> Estimate:
    """What a step of training takes on its device: on a CPU of all processes, which share it."""
    rates, parts = _rates(run), parts_of(run.model)
    n = n_parameters(run.model) * rates.n_copies / rates.n_shares
    half = 2 if rates.batch and rates.batch.is_half else 0
    return Estimate(
        weights=round((4 + half) * n),
        gradients=round(4 * n),
        optimizer=round(4 * rates.n_state * n),
        activations=sum(rates.kept(part) for part in parts),
        largest=_largest(parts, rates),
    )


def check_memory(run: RunSpec, *, force: bool = False) -> None:
    """Raises: SpecError where training takes more memory than there is, unless forced."""
    if force:
        return
    needed, there_is = estimate(run), memory_for(run)
    if there_is is None or needed.total <= there_is:
        return
    shares = {
        "weights": needed.weights,
        "gradients": needed.gradients,
        "the optimizer's state": needed.optimizer,
        "the activations of a batch": needed.activations,
    }
    takes, has = _told_apart(needed.total, there_is)
    listed = ", ".join(f"{name} {in_bytes(size)}" for name, size in shares.items())
    raise SpecError(
        [
            Problem(
                "model",
                f"training takes about {takes} of memory, and there are {has}: "
                f"{listed}; the largest parts: {needed.largest}; make these smaller, or go on all the same by --force "
                "(in Python force=True)",
            )
        ]
    )


def check_count(run: RunSpec, *, where: str) -> None:
    """Raises: SpecError for more parameters than any model has; where names the spec in its message."""
    n = n_parameters(run.model)
    if n > MOST_PARAMETERS:
        message = (
            f"has {n:,} parameters, which must be a mistake; the largest parts: {estimate(run).largest}; "
            "--force takes it all the same"
        )
        raise SpecError([Problem("model", message, where=where)])


def summary(run: RunSpec) -> str:
    """What training takes, in words for one line, and whether this machine has it."""
    needed, there_is = estimate(run).total, memory_for(run)
    about = "about" if run.training else "at least"
    if there_is is None or needed <= there_is:
        return f"{about} {in_bytes(needed)} to train"
    takes, has = _told_apart(needed, there_is)
    return f"{about} {takes} to train, more than the {has} there are here"


def _told_apart(more: int, less: int) -> tuple[str, str]:
    """Two different numbers of bytes, with as many digits as it takes to see that they differ."""
    for n_further in itertools.count():
        texts = in_bytes(more, n_further), in_bytes(less, n_further)
        if texts[0] != texts[1]:
            return texts
    raise AssertionError


def in_bytes(n: float, n_further: int = 0) -> str:
    """A number of bytes in the unit that fits, with so many decimals more than is usual."""
    for unit in ("MB", "GB", "TB"):
        n /= 1000 if unit != "MB" else 10**6
        if n < 999.5 or unit == "TB":
            return f"{n:,.{n_further + (n < 9.95)}f} {unit}"
    raise AssertionError


def memory_for(run: RunSpec) -> int | None:
    """Bytes on the device that a run trains on: a GPU's in all, those free on a CPU; None where nobody says."""
    accelerator = run.training.accelerator if run.training else "auto"
    if accelerator in ("auto", "cuda") and torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(0).total_memory)
    if accelerator in ("auto", "mps") and torch.backends.mps.is_available():
        return int(torch.mps.recommended_max_memory())
    return free_memory()


def free_memory(root: Path = Path("/")) -> int | None:
    """Bytes of main memory that this process may still take: the machine's, or its control groups' if that is less."""
    found = [*_of_machine(root), *_of_groups(root)]
    return min(found) if found else None


def _of_machine(root: Path) -> Iterator[int]:
    fields = dict(line.split(":", 1) for line in _read(root / "proc/meminfo").splitlines() if ":" in line)
    if "MemAvailable" in fields:
        yield int(fields["MemAvailable"].split()[0]) * 1024
    elif root == Path("/") and hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_groups(root: Path) -> Iterator[int]:
    """What each control group above this process has left; version 2 has one tree of them, version 1 one for memory."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, place = line.split(":", 2)
        for controller in controllers.split(","):
            if controller not in _GROUPS:
                continue
            top, limit, usage, cached = _GROUPS[controller]
            group = root / top / place.lstrip("/")
            for folder in (group, *group.parents):
                most = _read(folder / limit).strip()
                if folder.is_relative_to(root / top) and most.isdigit():
                    fields = dict(line.split() for line in _read(folder / "memory.stat").splitlines())
                    droppable = int(fields.get(cached, 0))  # copies of files
                    yield max(0, int(most) - int(_read(folder / usage) or 0) + droppable)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _rates(run: RunSpec) -> _Rates:
    if run.training is None:
        return _Rates(None, _ADAMS_STATE, 1)
    training = settle_precision(run)[0].training
    assert training is not None
    inputs = next(iter(getattr(run.model, "slots", {}).values()), None)
    length = getattr(run.task, "longest", 0) or getattr(inputs, "length", None) or _LONGEST
    n_tokens = training.tokens_per_batch
    is_on_cpu = training.accelerator == "cpu" or not torch.cuda.is_available()
    batch = Batch(
        n_tokens,
        min(length, n_tokens),
        is_half=training.precision.startswith("bf16"),
        is_on_cpu=is_on_cpu,
    )
    n_averages = sum(map(averages_weights, training.all_callbacks))
    n_state = getattr(training.optimizer, "n_state", _ADAMS_STATE) + n_averages
    return _Rates(
        batch,
        n_state,
        n_copies=training.devices if is_on_cpu else 1,
        n_shares=training.n_ranks if training.strategy == "fsdp" else 1,
    )


def _largest(parts: list[Part], rates: _Rates) -> str:
    sizes = sorted(((rates.of(part), part) for part in parts), key=lambda pair: -pair[0])[:3]
    return ", ".join(f"{part.path} {in_bytes(size)} ({_keys(part, rates)})" for size, part in sizes)


def _keys(part: Part, rates: _Rates) -> str:
    """The keys that make a part large: the three whose half takes most off it."""
    size = rates.of(part)
    found = [(rates.of(smaller) / size, key) for key, smaller in _halved(part)]
    if rates.batch is not None:
        less = replace(rates, batch=replace(rates.batch, n_tokens=rates.batch.n_tokens // 2))
        found.append((less.of(part) / size, "training.tokens_per_batch"))
    told = [key for share, key in sorted(found) if share < 0.9]
    return ", ".join(told[:3]) or "as it is"


def _halved(part: Part) -> Iterator[tuple[str, Part]]:
    """The part with each key halved that is a number."""
    for key, spec in _smaller(part.spec):
        yield f"{key}={_value(part.spec, key):,}", replace(part, spec=spec)
    if "d_model" in part.context:
        context: dict[str, Any] = {**part.context, "d_model": max(1, part.context["d_model"] // 2)}
        yield f"model.d_model={part.context['d_model']:,}", replace(part, context=context)
    if part.n_times > 1:
        yield f"{part.times_key}={part.n_times:,}", replace(part, n_times=part.n_times // 2)


def _smaller(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """A spec with one number of it or of its parts halved, and that number's key."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if isinstance(value, Spec):
            for key, changed in _smaller(value):
                yield f"{name}.{key}", spec.model_copy(update={name: changed})
        elif type(value) is int and value > 1:
            yield name, spec.model_copy(update={name: value // 2})


def _value(spec: Spec, key: str) -> Any:
    for name in key.split("."):
        spec = getattr(spec, name)
    return spec
