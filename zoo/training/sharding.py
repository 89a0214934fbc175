"""A model whose weights several devices share, FSDP2: each holds a part of every weight, and a layer's when it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Replicate, distribute_tensor
from torch.optim import Optimizer

from zoo.assembly.layer import Layer


def is_sharded(module: nn.Module) -> bool:
    """Whether `shard` has been here."""
    return isinstance(module, FSDPModule)


@torch.no_grad()
def shard(module: nn.Module, mesh: DeviceMesh, *, step: str) -> None:
    """Shares the weights among a mesh's devices, layer by layer and all others as one group, in place.

    The first device's weights count. step names the method whose call is a forward pass. Gradients come out as means
    over the devices, as DistributedDataParallel's do. Names in the state dict stay.
    """
    is_cuda = mesh.device_type == "cuda"
    device = torch.device("cuda", torch.cuda.current_device()) if is_cuda else torch.device(mesh.device_type)
    for tensor in (*module.parameters(), *module.buffers()):
        sent = tensor.to(device)
        torch.distributed.broadcast(sent, 0)
        tensor.copy_(sent)
    for part in module.modules():
        if isinstance(part, Layer):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    register_fsdp_forward_method(module, step)


@contextmanager
def gathered(module: nn.Module) -> Iterator[None]:
    """Within the block each device holds all weights, for a search takes as many steps as its own sentences need.

    For a module that is not shared it does nothing.
    """
    parts = [part for part in module.modules() if isinstance(part, FSDPModule)]
    for part in parts:
        part.set_reshard_after_forward(False, recurse=False)
        part.unshard()
    try:
        yield
    finally:
        for part in parts:
            part.reshard()
            part.set_reshard_after_forward(isinstance(part, Layer), recurse=False)


def whole(tensor: Tensor) -> Tensor:
    """A tensor as one device would have it. All devices have to ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(model: nn.Module, *, is_wanted: bool) -> dict[str, Tensor]:
    """A model's state dict with all tensors whole: see whole_state. A weight of several names is one tensor."""
    found: dict[str, Tensor] = {}
    made: dict[int, Any] = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in made:
            made[id(tensor)] = whole_state(tensor.detach(), is_wanted=is_wanted)
        found[name] = made[id(tensor)]
    return found


def whole_state(state: Any, *, is_wanted: bool) -> Any:
    """A state dict with all tensors whole, those of shared ones on the CPU; without them where they are not wanted.

    All devices have to ask.
    """
    if isinstance(state, DTensor):
        found = whole(state)
        return found.cpu() if is_wanted else None
    if isinstance(state, Mapping):
        return {key: whole_state(value, is_wanted=is_wanted) for key, value in state.items()}
    if isinstance(state, list):
        return [whole_state(value, is_wanted=is_wanted) for value in state]
    return state


@torch.no_grad()
def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """load_state_dict of whole tensors, into a model that may be shared."""
    if not any(isinstance(weight, DTensor) for weight in model.parameters()):
        model.load_state_dict(weights)
        return
    for name, tensor in model.state_dict().items():
        tensor.copy_(_like(tensor, weights[name]))


def set_optimizer_state(optimizer: Optimizer, state: Mapping[str, Any]) -> None:
    """load_state_dict of whole tensors, into the optimizer of a model that may be shared."""
    optimizer.load_state_dict(dict(state))
    for weight, kept in optimizer.state.items():
        if isinstance(weight, DTensor):
            kept.update({key: _like(weight, value) for key, value in kept.items() if _is_large(value)})


def _is_large(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() > 0


def _like(shared: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor shared as another one is; one of another shape is on every device."""
    if not isinstance(shared, DTensor):
        return tensor
    mesh = shared.device_mesh
    placements = shared.placements if tensor.shape == shared.shape else [Replicate()] * mesh.ndim
    # Every device has the whole already: none needs to send it.
    return distribute_tensor(tensor.to(shared.device), mesh, placements, src_data_rank=None)
