"""Running out of memory in a step: noticing it, saying what was too large."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from zoo.errors import RunError
from zoo.tasks.task import Batch

# By torch's allocators of the CPU and of other devices, and by oneDNN, which gives no reason.
_SAID = (
    "can't allocate memory",
    "out of memory",
    "could not create a primitive",
    "could not create a memory object",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory is used up. torch has no one type for it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _SAID)


def free(device: torch.device) -> None:
    """Gives back what the allocator keeps for later, so that smaller tensors find a place."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def out_of_memory(
    step: int, batch: Batch, device: torch.device, size_keys: Sequence[str], *, is_split: bool
) -> RunError:
    """The error of a step whose batch is too large: its size, the keys that bound it, what else helps."""
    halves = "" if is_split else "; training.out_of_memory=split learns from such a batch in halves"
    how = "even one row of it alone" if is_split else batch.size
    return RunError(
        f"step {step}: out of memory on {device} with a batch of {how}; "
        f"{' and '.join(size_keys)} bound it{halves}. The run is resumable"
    )
