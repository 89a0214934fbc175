"""Optimizer: what updates the weights."""

from __future__ import annotations

from typing import Any, Protocol

from registry import Kind


class Optimizer(Protocol):
    """A torch.optim.Optimizer over `parameters`, its rate scaled by the schedule; `tables` are those of them whose rows
    are looked up, as embeddings are. `n_state` of the spec: the numbers it keeps for each weight, 2 where it says none;
    `is_by_number`: whether it changes each number of a matrix without regard to the others, so that devices may share
    it, True where it says none.
    """

    param_groups: list[dict[str, Any]]

    def step(self) -> Any:
        """Changes the weights by their gradients."""
        ...

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it remembers, for a checkpoint."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what it remembered."""
        ...


OPTIMIZER = Kind(
    "optimizer",
    package="zoo.training.optimizers",
    context=("parameters", "tables", "lr"),
    check=(),
    summary="updates the weights",
    contract=Optimizer,
)
