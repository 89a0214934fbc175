"""How the time and the memory of a part grow with the length of its sequence, measured for a reader to judge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from zoo.conformance.laws import LAWS
from zoo.conformance.modules import MODULE_LAWS
from zoo.conformance.trials import B, D, Part, seeded, vectors

LENGTHS = (128, 256, 512, 1024)
_REPEATS = 5


@dataclass(frozen=True)
class Scale:
    """What a part takes for B sequences of one length, in float32."""

    length: int
    seconds: float
    """Of a forward and backward pass, the median of five."""
    n_kept_bytes: int
    """What it keeps from the forward to the backward pass, without its parameters and its input."""


def scales(part: Part, lengths: tuple[int, ...] = LENGTHS) -> list[Scale]:
    """The part measured at each length; nothing for one that is not run on a sequence of vectors.

    Raises: what the part raises of a length that it cannot take.
    """
    if part.data is not vectors or not set(MODULE_LAWS) <= set(LAWS[part.kind.name]):
        return []
    return [_measured(part, length) for length in lengths]


def _measured(part: Part, length: int) -> Scale:
    seeded()
    module = part.make().float().train()
    x = torch.randn(B, length, D, requires_grad=True)
    own = {tensor.untyped_storage().data_ptr() for tensor in (x, *module.parameters(), *module.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = part.run(module, x)
    out.sum().backward()
    taken = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        part.run(module, x).sum().backward()
        taken.append(time.perf_counter() - start)
    return Scale(length, median(taken), sum(kept.values()))
