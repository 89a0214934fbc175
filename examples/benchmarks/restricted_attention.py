"""Restricted against full attention: time and memory of a forward and backward pass, by length.

    python examples/benchmarks/restricted_attention.py --lengths 2048 4096 8192 16384 --radius 64

8 heads of 64, as in transformer_base, batch 1; float32 on the CPU, bfloat16 on CUDA. Full attention is
torch's fused kernel. The kernels take turns in one process and the table shows medians. Memory is that of one
step beyond its inputs: on the CPU the growth of a fresh process's peak resident size, on CUDA that of the
peak allocated.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from pathlib import Path
from statistics import linear_regression, median

import torch
from rich.console import Console
from rich.table import Table

from zoo.kernels.attention import attend
from zoo.masks import Mask

HEADS, HEAD_SIZE = 8, 64


class Step:
    """One forward and backward pass over random inputs that lie in memory as linear layers leave them."""

    def __init__(self, kernel: str, length: int, options: argparse.Namespace) -> None:
        self.kernel, self.on_cuda = kernel, options.device == "cuda"
        whole = Mask(causal=options.causal)
        self.mask = whole if kernel == "sdpa" else whole.within(options.radius)
        dtype = torch.bfloat16 if self.on_cuda else torch.float32
        tensors = [
            torch.randn(1, length, HEADS, HEAD_SIZE, device=options.device, dtype=dtype) for _ in range(4)
        ]
        self.upstream, self.inputs = tensors[0], [x.requires_grad_() for x in tensors[1:]]

    def __call__(self) -> float:
        """Milliseconds taken."""
        self._wait()
        start = time.perf_counter()
        q, k, v = (x.transpose(1, 2) for x in self.inputs)  # [1, H, T, K]
        output = attend(q, k, v, mask=self.mask, scale=HEAD_SIZE**-0.5, kernel=self.kernel)
        torch.autograd.grad(output.transpose(1, 2), self.inputs, self.upstream)
        self._wait()
        return 1e3 * (time.perf_counter() - start)

    def peak(self) -> float:
        """Megabytes by which one step raises the peak of memory."""
        before = self._memory()
        if self.on_cuda:
            torch.cuda.reset_peak_memory_stats()
        self()
        return (
            torch.cuda.max_memory_allocated() if self.on_cuda else self._memory()
        ) / 2**20 - before / 2**20

    def _memory(self) -> int:
        if self.on_cuda:
            return torch.cuda.memory_allocated()
        # The peak so far, as Linux has it for this process; getrusage would begin at the parent's peak.
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return 2**10 * int(status["VmHWM"].split()[0])

    def _wait(self) -> None:
        if self.on_cuda:
            torch.cuda.synchronize()


def peak_in_fresh_process(kernel: str, length: int) -> float:
    command = [sys.executable, *sys.argv, "--memory-of", kernel, "--lengths", str(length)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", help="default: 2048 to 16384, on CUDA to 65536")
    parser.add_argument("--radius", type=int, default=64)
    parser.add_argument("--causal", action="store_true")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cuda" if torch.cuda.is_available() else "cpu"
    )
    parser.add_argument(
        "--memory-of", help=argparse.SUPPRESS
    )  # what peak_in_fresh_process asks of its process
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    lengths = options.lengths or [2**n for n in range(11, 17 if options.device == "cuda" else 15)]
    if options.memory_of:
        Step(options.memory_of, 256, options)()  # loads what any step needs
        print(Step(options.memory_of, lengths[0], options).peak())
        return

    kernels = {"full": "sdpa", "blocked": "blocked"} | ({"flex": "flex"} if options.device == "cuda" else {})
    medians: dict[str, list[float]] = {name: [] for name in kernels}
    kind = "causal" if options.causal else "both sides"
    table = Table(title=f"radius {options.radius}, {kind}, {HEADS} heads of {HEAD_SIZE}, {options.device}")
    for column in (
        "tokens",
        *(f"{name} ms" for name in kernels),
        "ratio",
        *(f"{name} MB" for name in kernels),
    ):
        table.add_column(column, justify="right")
    for length in lengths:
        steps = {name: Step(kernel, length, options) for name, kernel in kernels.items()}
        for step in steps.values():
            step()
        turns = [{name: step() for name, step in steps.items()} for _ in range(options.repeats)]
        for name in kernels:
            medians[name].append(median(turn[name] for turn in turns))
        times = [medians[name][-1] for name in kernels]
        peaks = [peak_in_fresh_process(kernel, length) for kernel in kernels.values()]
        ratio = times[0] / min(times[1:])
        table.add_row(str(length), *(f"{t:.1f}" for t in times), f"{ratio:.1f}", *(f"{p:.0f}" for p in peaks))
    console = Console()
    console.print(table)
    if len(lengths) > 1:
        logs = [math.log(length) for length in lengths]
        for name, times in medians.items():
            slope = linear_regression(logs, [math.log(t) for t in times]).slope
            console.print(f"{name}: slope of log time over log length {slope:.2f}")


if __name__ == "__main__":
    main()
