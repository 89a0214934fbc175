"""What two runs have in common, and what not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from zoo.storage.checkpoints import Checkpoints
from zoo.storage.metrics import read

TIMES = ("seconds", "tokens_per_second")
"""What no two runs have in common."""


def final(folder: Path) -> dict[str, Any]:
    """Everything a run leaves behind but the time it took."""
    checkpoints = Checkpoints(folder / "checkpoints")
    steps = checkpoints.steps()
    states = {step: checkpoints.state(step) for step in steps}
    for state in states.values():
        del state["journal_bytes"], state["progress"]["seconds"], state["progress"]["window"]["seconds"]
    averages = sorted(path.name for path in checkpoints.folder.glob("*-average-*"))
    return {
        "weights": {name: checkpoints.weights(checkpoints.folder / name) for name in averages}
        | {step: checkpoints.weights(checkpoints.path(step)) for step in steps},
        "states": states,
        "journal": [{k: v for k, v in record.items() if k not in TIMES} for record in read(folder)],
        "index": json.loads((checkpoints.folder / "index.json").read_text()),
        "table": [len(line.split(",")) for line in (folder / "metrics.csv").read_text().splitlines()],
        "spec": (folder / "spec.yaml").read_text(),
    }


def differences(left: Any, right: Any, path: str = "") -> Iterator[str]:
    """Where two such trees are not the same, bit for bit."""
    if isinstance(left, dict) and isinstance(right, dict):
        for key in dict.fromkeys([*left, *right]):
            if key not in left or key not in right:
                yield f"{path}.{key}: on one side only"
            else:
                yield from differences(left[key], right[key], f"{path}.{key}")
    elif isinstance(left, list | tuple) and isinstance(right, list | tuple) and len(left) == len(right):
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            yield from differences(a, b, f"{path}.{i}")
    elif isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        if left.dtype != right.dtype or not torch.equal(left, right):
            yield f"{path}: other values"
    elif left != right:
        yield f"{path}: {left!r} and {right!r}"
