"""What a training asks of torch and of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from zoo.assembly.layer import Layer
from zoo.training.spec import TrainingSpec


@contextmanager
def torch_settings(spec: TrainingSpec) -> Iterator[None]:
    """What the spec asks of torch as a whole, and afterwards what was there before."""
    precision = torch.get_float32_matmul_precision()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    torch.set_float32_matmul_precision("high" if spec.tf32 else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(is_deterministic)


def compile_layers(model: nn.Module) -> None:
    """Has torch.compile compile each layer of a model when it is first used.

    In place, so names in the state dict stay; by layer, so layers of one form share the compiled code.
    """
    for module in model.modules():
        if isinstance(module, Layer):
            module.compile()


def recompute_layers(model: nn.Module) -> None:
    """Has each layer of a model keep only its input for the backward pass, which computes it again.

    In place, so names in the state dict stay. Dropout draws the same again.
    """
    for module in model.modules():
        if isinstance(module, Layer):
            module.forward = partial(_recomputed, module, module.forward)  # type: ignore[method-assign]


def _recomputed(layer: nn.Module, forward: Any, *inputs: Any, **more: Any) -> Any:
    if layer.training and torch.is_grad_enabled():
        return checkpoint(forward, *inputs, use_reentrant=False, **more)
    return forward(*inputs, **more)
