"""What parts of a model add to the loss by themselves, such as the balance of a mixture of experts."""

from __future__ import annotations

from torch import Tensor, nn


def auxiliary_loss(model: nn.Module) -> Tensor | None:
    """The sum of the auxiliary losses, weighted by their parts, of the last forward pass; None if there are none.

    A mean over tokens, to be added to the mean loss of a token. Set in training mode only, and taken from the parts
    here: one that the next pass leaves out must not give its old loss again.
    """
    losses: list[Tensor] = []
    for part in model.modules():
        held = vars(part)  # not getattr, which a module without it answers slowly
        if held.get("auxiliary_loss") is not None:
            losses.append(held["auxiliary_loss"])
            held["auxiliary_loss"] = None
    return sum(losses[1:], start=losses[0]) if losses else None
