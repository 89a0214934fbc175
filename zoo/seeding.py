"""Random numbers that follow from a module's name: models of one seed are alike wherever they have equal parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import torch
from torch import nn


def seed(number: int) -> None:
    """Starts torch's global generators afresh, as torch.manual_seed does.

    Where there is no accelerator, without what that notes for one that may come: the stack of its callers, three times,
    which takes it a millisecond.
    """
    if torch.accelerator.is_available():
        torch.manual_seed(number)
    else:
        torch.default_generator.manual_seed(number)


def by_name(model: nn.Module) -> Iterator[nn.Module]:
    """Each module of a model; at each, torch's global generator starts from a seed of its own.

    The seed is made of the module's name and one number that is drawn from the generator here; afterwards the generator
    stands where that left it. So two models of one seed that differ in a part draw the same for all others.
    """
    start = int(torch.randint(2**62, (), device="cpu"))
    with torch.random.fork_rng({each.device for each in model.parameters() if each.device.type == "cuda"}):
        for name, module in model.named_modules():
            digest = hashlib.sha256(f"{start} {name}".encode()).digest()
            seed(int.from_bytes(digest[:8], "big", signed=True))
            yield module
