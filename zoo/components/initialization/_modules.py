"""What an initialisation sets of a model, and what the parts of its layers say that their matrices are for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from zoo.kinds import Role
from zoo.seeding import by_name

Matrix = nn.Linear | nn.Conv1d | nn.Conv2d


@dataclass(frozen=True)
class Declared:
    """What is said of a matrix in a residual branch."""

    role: Role
    is_causal: bool
    """Whether the branch is one of a causal stack, a decoder."""
    n_branches: int
    """Branches of its stack that end in a matrix with the role of one."""


def drawn(model: nn.Module) -> Iterator[tuple[nn.Module, nn.Parameter]]:
    """The modules whose weights are drawn, with these: linear maps, convolutions, embeddings.

    A module with a matrix `weight` of its own, such as a head's that is not tied, counts as a linear map; a weight
    that several share is drawn once, for the first. Not those with a weight that is frozen, which stays as it was
    made, or that follows from other parameters, as with weight normalisation. Each is drawn from a
    seed of the module's name: see zoo.seeding.
    """
    seen: set[int] = set()
    for module in by_name(model):
        weight = module._parameters.get("weight")
        if weight is None or not weight.requires_grad or id(weight) in seen:
            continue
        if isinstance(module, Matrix | nn.Embedding) or weight.dim() == 2:
            seen.add(id(weight))
            yield module, weight


def zero_bias(module: nn.Module) -> None:
    """Sets the module's bias, where it has one, to zero."""
    if isinstance(bias := getattr(module, "bias", None), nn.Parameter):
        nn.init.zeros_(bias)


def declared(model: nn.Module) -> dict[nn.Module, Declared]:
    """What the parts in the residual branches of each stack declare of their matrices: see zoo.kinds.Role.

    A stack is a module with `residual_branches`, the modules whose outputs are added up, and `is_causal`.
    """
    found: dict[nn.Module, Declared] = {}
    for stack in model.modules():
        if not hasattr(type(stack), "residual_branches"):
            continue
        by_branch = [dict(_roles(branch)) for branch in stack.residual_branches]  # type: ignore[union-attr]
        n_branches = sum("residual_output" in roles.values() for roles in by_branch)
        for roles in by_branch:
            for module, role in roles.items():
                found[module] = Declared(role, bool(stack.is_causal), n_branches)
    return found


def _roles(branch: nn.Module) -> Iterator[tuple[nn.Module, Role]]:
    for part in branch.modules():
        if hasattr(type(part), "roles"):
            yield from part.roles().items()  # type: ignore[operator]
