"""What it takes to build a large model on the meta device and to import a checkpoint of about a gigabyte.

The checkpoint is made here, with random weights, in a temporary folder; the import runs in a process of its own, whose
peak memory Linux tells. Reading the folder needs no transformers.

    python examples/benchmarks/importing.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import zoo
from zoo.interop.hugging_face import export

IMPORT = """
import sys, time
from pathlib import Path
import torch, zoo
from zoo.interop.hugging_face import from_hf

def kilobytes(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1])

before, start = kilobytes("VmRSS"), time.perf_counter()
spec, model = from_hf(sys.argv[1])
seconds = time.perf_counter() - start
weights = sum(p.numel() * p.element_size() for p in model.parameters()) / 1024
print(f"{seconds:.1f} s; peak {(kilobytes('VmHWM') - before) / weights:.2f} times the weights, "
      f"{kilobytes('VmHWM') / weights:.2f} times with Python and torch")
"""
CHECKPOINTS = {"gpt2": "model.decoder.n_layers=30", "qwen2_0_5b": "model.decoder.n_layers=6"}


def main() -> None:
    for name in ("llama2_7b", "mixtral_8x7b"):
        spec = zoo.load(name).model
        start = time.perf_counter()
        model = zoo.build(spec, device="meta")
        count = sum(parameter.numel() for parameter in model.parameters())
        print(f"{name}: {count:,} parameters on the meta device in {time.perf_counter() - start:.2f} s")
    for name, override in CHECKPOINTS.items():
        spec = zoo.load(name, override).model
        torch.manual_seed(0)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "checkpoint"
            export(spec, zoo.build(spec), folder)
            size = sum(file.stat().st_size for file in folder.iterdir())
            print(f"{name}, {size / 1e9:.2f} GB: ", end="", flush=True)
            subprocess.run([sys.executable, "-c", IMPORT, str(folder)], check=True)


if __name__ == "__main__":
    main()
