"""The mean of the weights of the last checkpoints, made offline.

Source: Vaswani et al. 2017, section 6.1: "a single model obtained by averaging the last 5 checkpoints".
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from zoo.errors import RunError
from zoo.storage.checkpoints import CHECKPOINTS_FOLDER, Checkpoints


def mean_weights(checkpoints: Checkpoints, steps: Sequence[int]) -> dict[str, Tensor]:
    """The elementwise mean of several steps' weights, summed in float64, in the weights' own dtype.

    Tied names stay tied; what is no floating-point number (a counter) is the last step's.
    Raises: RunError when one is missing or damaged.
    """
    last = checkpoints.weights(checkpoints.path(steps[-1]))
    tensors = {id(tensor): tensor for tensor in last.values()}
    names = {id(tensor): name for name, tensor in last.items()}
    sums = {key: tensor.double() for key, tensor in tensors.items() if tensor.is_floating_point()}
    for step in steps[:-1]:
        weights = checkpoints.weights(checkpoints.path(step))
        for key, total in sums.items():
            total += weights[names[key]]
    means = {key: (sums[key] / len(steps)).to(tensor.dtype) for key, tensor in tensors.items() if key in sums}
    return {name: means.get(id(tensor), tensor) for name, tensor in last.items()}


def average(folder: Path, n: int) -> Path:
    """Stores the mean of a run's last n checkpoints beside them, enters it in the index, returns its folder.

    Those an interruption left between the regular ones do not count. With fewer than n, all count.
    Raises: RunError when there is none, or one is damaged.
    """
    checkpoints = Checkpoints(folder / CHECKPOINTS_FOLDER)
    steps = checkpoints.regular_steps()[-n:]
    if not steps:
        raise RunError(f"{folder}: no checkpoint to average")
    path = checkpoints.save_average(steps, mean_weights(checkpoints, steps))
    checkpoints.write_index({**checkpoints.index(), "average": path})
    return path
