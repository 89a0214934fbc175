"""What is chosen on this machine, and on it told to be a lesser one: the time of a training step against its products.

    python examples/benchmarks/hardware.py

A step of the preset quickstart (forward, backward, Adam) is timed in the precision that `training.precision: auto`
stands for, and held against the time that its matrix products alone would take in float32. The second row is the same
processor with AVX2 only, as most laptops have. A ratio far above 3 would mean that something was chosen for another
machine than this.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import torch
from rich.console import Console
from rich.table import Table

import zoo
from zoo import hardware

LESSER = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
ROWS, LENGTH = 64, 16  # of each side: quickstart's 1,024 tokens


def measure(steps: int) -> dict[str, float | str]:
    """What this process chooses and how fast it is."""
    choice = hardware.precision()
    run = zoo.load("quickstart")
    model = zoo.build(run.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    source, target = (torch.randint(4, 2000, (ROWS, LENGTH)) for _ in range(2))
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=choice.value == "bf16-mixed"):
            hidden = model.decode(target, model.encode(source))
            loss = model.head.loss(hidden.flatten(0, 1), target.flatten(), label_smoothing=0.1).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        seconds.append(time.perf_counter() - start)
    # Every weight of a matrix meets every token of its side once forward and twice backward; the embedding is the
    # output's matrix too.
    matrices = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    speed = hardware.multiply_speed()
    step = statistics.median(seconds[2:])
    return {
        "machine": hardware.instruction_set(),
        "precision": choice.value,
        "why": choice.reason,
        "step ms": 1e3 * step,
        "fp32 GFLOP/s": speed / 1e9,
        "bf16 : fp32": hardware.bf16_speedup(),
        "step : its products": step / (6 * matrices * ROWS * LENGTH / speed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=22)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="only this process, as JSON")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.here:
        print(json.dumps(measure(args.steps)))
        return
    command = [sys.executable, __file__, "--here", "--steps", str(args.steps), "--threads", str(args.threads)]
    rows = [
        json.loads(subprocess.run(command, env={**os.environ, **env}, capture_output=True, check=True).stdout)
        for env in ({}, LESSER)
    ]
    table = Table(title=f"quickstart, {ROWS} × {LENGTH} tokens a side, {args.threads} threads")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
