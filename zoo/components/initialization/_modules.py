"""What an initialisation sets of a model, and where in a layer it stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

Matrix = nn.Linear | nn.Conv1d | nn.Conv2d

_IN_A_LAYER = re.compile(r"(?:(.+)\.)?layers\.(\d+)\.(self_attention|cross_attention|ffn)\.(.+)")


@dataclass(frozen=True)
class Place:
    """Where a module stands in a stack of layers."""

    stack: str
    """Dotted path of the stack; empty where it is the model."""
    layer: int
    """Number of the layer in its stack."""
    sublayer: str
    """self_attention, cross_attention or ffn."""
    name: str
    """The module's own name, such as output."""


def drawn(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """The modules whose weights are drawn, with paths and weights: linear maps, convolutions, embeddings.

    A module with a matrix `weight` of its own, such as a head's that is not tied, counts as a linear map; a weight
    that several share is drawn once, for the first. Not those with a weight that is frozen, which stays as it was
    made, or that follows from other parameters, as with weight normalisation.
    """
    seen: set[int] = set()
    for path, module in model.named_modules():
        weight = module._parameters.get("weight")
        if weight is None or not weight.requires_grad or id(weight) in seen:
            continue
        if isinstance(module, Matrix | nn.Embedding) or weight.dim() == 2:
            seen.add(id(weight))
            yield path, module, weight


def zero_bias(module: nn.Module) -> None:
    """Sets the module's bias, where it has one, to zero."""
    if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
        nn.init.zeros_(bias)


def place(path: str) -> Place | None:
    """Where the module of that path stands, None where in no layer."""
    match = _IN_A_LAYER.fullmatch(path)
    if match is None:
        return None
    stack, layer, sublayer, rest = match.groups()
    return Place(stack or "", int(layer), sublayer, rest.rpartition(".")[2])
