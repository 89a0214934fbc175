"""The global random number generators: set, taken and put back, one set for each rank."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from zoo.seeding import seed as seed_torch


def seed_all(seed: int, step: int, rank: int) -> None:
    """Starts the generators afresh, different for each rank and step."""
    digest = hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()
    seed_torch(int.from_bytes(digest[:8], "big", signed=True))
    random.seed(int.from_bytes(digest[8:16], "big"))
    np.random.seed(int.from_bytes(digest[16:20], "big"))


def random_state() -> dict[str, Any]:
    """The generators' state, made of what torch.load accepts with weights_only=True."""
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(words), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts back what `random_state` took; a GPU's part is left out where there is none."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@contextmanager
def untouched() -> Iterator[None]:
    """Whatever the block draws, the generators are afterwards where they were before."""
    state = random_state()
    try:
        yield
    finally:
        restore_random_state(state)
