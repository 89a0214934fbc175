"""What a training asks of torch and of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
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

    In place, so names in the state dict stay. Dropout draws the same again; buffers, such as the running statistics of
    a batch normalisation, are changed by the first computation alone.
    """
    for module in model.modules():
        if isinstance(module, Layer):
            module.forward = partial(_recomputed, module, module.forward)  # type: ignore[method-assign]


def _recomputed(layer: nn.Module, forward: Any, *inputs: Any, **more: Any) -> Any:
    if layer.training and torch.is_grad_enabled():
        contexts = partial(_contexts, layer)
        return checkpoint(forward, *inputs, use_reentrant=False, context_fn=contexts, **more)
    return forward(*inputs, **more)


def _contexts(layer: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Within which a layer is computed, and computed again."""
    return nullcontext(), _with_copied_buffers(layer)


@contextmanager
def _with_copied_buffers(module: nn.Module) -> Iterator[None]:
    """Within the block a module has copies for its buffers, so that nothing changes them."""
    found = [(part, *named) for part in module.modules() for named in part.named_buffers(recurse=False)]
    for part, name, buffer in found:
        setattr(part, name, buffer.clone())
    try:
        yield
    finally:
        for part, name, buffer in found:
            setattr(part, name, buffer)
