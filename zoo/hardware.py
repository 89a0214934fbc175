"""What the machine at hand does well: the one place where a choice depends on it, each with its reason.

A choice follows from what the processor says it can do, so that it is the same in every process on one machine; only
where that leaves doubt is something measured, for some milliseconds. What a run was trained with is written into its
spec.yaml and environment.json, and a resumed run keeps it whatever machine it is on.

Figures in the reasons are ratios on two cores of an AMD EPYC (Zen 4), as it is (AVX-512, bfloat16 products) and told
to be a lesser one (ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2).

What was measured in both ways and found the same needs no choice here: sums of scores kept in the cache (any size from
2^17 to 2^21 is within a tenth), random bits for dropout (4 to 5 times as fast as torch's), torch's fused Adam (3 times
as fast as its others), attention by plain products for short sequences in float32.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch

_WIDTHS = {"AVX512": 16}
_PAYS = 1.2  # how much faster bfloat16 must be measured to be worth its rounding
_LARGE_WEIGHT = 1 << 18
_LARGE_PRODUCT = 1 << 23
_LARGE_LEARNT = 1 << 26


@dataclass(frozen=True)
class Choice:
    """A setting, and why this machine asks for it."""

    value: str
    reason: str


@cache
def instruction_set() -> str:
    """The vector instructions that torch uses: "AVX512", "AVX2", or another processor's."""
    return torch.backends.cpu.get_cpu_capability()


@cache
def floats_in_a_vector() -> int:
    """float32 numbers in the widest register: torch's softmax is slow over rows that do not fill one."""
    return _WIDTHS.get(instruction_set(), 8)


@cache
def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def onednn_pays(rows: int, inputs: int, outputs: int, *, learns: bool = False) -> bool:
    """Whether oneDNN multiplies float32 [rows, inputs] by [outputs, inputs] faster than what torch takes, MKL.

    With AVX-512 by 1.05 to 1.7 times, for MKL runs AVX2 code on AMD's processors; a call costs 10 microseconds more,
    and one that learns 100, by a gradient that is Python's, so not for small products. With AVX2 alone MKL is as fast
    or faster.
    """
    n = rows * inputs * outputs
    is_large = n >= _LARGE_LEARNT if learns else inputs * outputs >= _LARGE_WEIGHT or n >= _LARGE_PRODUCT
    return is_large and instruction_set() == "AVX512" and _has_onednn()


@cache
def multiplies_bf16(device: str = "cpu") -> bool:
    """Whether products in bfloat16 are faster than in float32 on this kind of device, rather than emulated.

    On a processor without them they take 5 to 50 times as long as those of float32.
    """
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device == "cpu":
        if not _onednn_multiplies_bf16():
            return False
        if any(
            getattr(torch.cpu, name, bool)()
            for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
        ):
            return True
    elif device != "mps":
        return False
    return bf16_speedup(device) >= _PAYS


def _onednn_multiplies_bf16() -> bool:
    probe = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return torch.backends.mkldnn.is_available() and probe is not None and bool(probe())


def bf16_speedup(device: str = "cpu") -> float:
    """How many times as fast a product in bfloat16 is measured to be as one in float32; 0 where there is none."""
    try:
        return multiply_speed(device, torch.bfloat16) / multiply_speed(device, torch.float32)
    except (RuntimeError, TypeError):  # the device has no such numbers
        return 0.0


def multiply_speed(device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Operations a second of a linear map of a small model's size, the best of a few."""
    rows, inputs, outputs = (512, 256, 512) if device == "cpu" else (4096, 1024, 4096)
    x, weight = (torch.ones(n, inputs, dtype=dtype, device=device) for n in (rows, outputs))

    def multiply() -> None:
        y = torch.nn.functional.linear(x, weight)
        y[0, 0].item()  # waits for the device

    return 2 * rows * inputs * outputs / _best_seconds(multiply)


def _best_seconds(call: Callable[[], None]) -> float:
    call()
    best, started = float("inf"), time.perf_counter()
    while time.perf_counter() - started < 0.01:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
    return best


def precision(device: str = "cpu") -> Choice:
    """What `training.precision: auto` stands for on this kind of device: bf16-mixed where that is faster."""
    name = {"cpu": f"this processor ({instruction_set()})", "cuda": "this GPU"}.get(device, device)
    if multiplies_bf16(device):
        return Choice("bf16-mixed", f"{name} multiplies bfloat16 faster than float32")
    return Choice("fp32", f"{name} would only emulate bfloat16")


def emulation_warning(device: str = "cpu") -> str | None:
    """What bfloat16 products cost where they are only emulated; None where they are not."""
    if multiplies_bf16(device):
        return None
    slower = 1 / max(bf16_speedup(device), 1e-3)
    return (
        f"precision bf16-mixed: bfloat16 is emulated here, its products take about {slower:.0f} times as long as "
        "those of fp32; training.precision=auto would choose fp32"
    )
