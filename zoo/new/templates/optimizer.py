"""An optimizer whose steps have one length for each weight matrix: momentum, normalised.

Next:
    pytest test_my_part.py
    zoo describe optimizer/my_part --plugin my_part.py
    zoo train quickstart --scale tiny --plugin my_part.py training.optimizer=my_part
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from registry import Spec
from torch import nn
from zoo.kinds import OPTIMIZER


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    n_state: ClassVar[int] = 1  # numbers kept for each weight: the momentum
    is_by_number: ClassVar[bool] = False  # a norm needs a whole matrix
    momentum: float = Field(0.9, ge=0, lt=1)
    """Share of the last steps' gradients that goes into the next."""


# The spec's fields and the kind's context; `tables` are embeddings' weights. The rate, lr,
# is 1 here: a schedule sets it at each step.
@OPTIMIZER.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{}, {"momentum": 0.5}],
)
class MyPart(torch.optim.Optimizer):
    """m = b · m + g for each matrix, whose step is lr · √n · m / ‖m‖ for its n numbers."""

    def __init__(
        self,
        *,
        momentum: float,
        parameters: Iterable[nn.Parameter],
        tables: Sequence[nn.Parameter],
        lr: float,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Changes the weights by their gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault("momentum", torch.zeros_like(p))
                m.mul_(group["momentum"]).add_(p.grad)
                length = m.norm().clamp(min=1e-12) / p.numel() ** 0.5
                p.sub_(m / length * float(group["lr"]))
        return loss
