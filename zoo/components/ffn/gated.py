"""A feed-forward network whose output each token lets through by a share of its own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec, Within
from zoo.costs import Cost, cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import FFN
from zoo.sizes import Batch, n_kept, n_parameters


class GatedSpec(Spec):
    type: Literal["gated"] = "gated"
    ffn: Annotated[Spec, FFN] = Field("glu", validate_default=True)
    """The network whose output is let through."""

    def check(self, *, d_model: int) -> None:
        if getattr(self.ffn, "gives_nothing", False):
            raise ValueError("a network that gives nothing leaves its gate nothing to learn: take another")

    def contexts(self, *, d_model: int) -> dict[str, Any]:
        return {"ffn": Within({"d_model": d_model}, n_times=0)}

    def n_parameters(self, *, d_model: int) -> int:
        return d_model + n_parameters(FFN, self.ffn, d_model=d_model)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * (d_model + 2) + n_kept(FFN, self.ffn, d_model=d_model, batch=batch)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        gate = trained(product(batch.n_tokens, d_model, 1), "2·T·D")
        inner = cost(FFN, self.ffn, batch=batch, d_model=d_model)
        return Cost(
            gate.forward + inner.forward,
            gate.backward + inner.backward,
            f"2·T·D + {inner.formula}",
            is_known=inner.is_known,
        )


@FFN.register("gated", spec=GatedSpec, examples=[{}, {"ffn": {"type": "mlp", "d_ff": 7}}])
class Gated(nn.Module):
    """sigmoid(x · w) times what a network gives, at each position alike.

    Source: Qwen2-MoE (Yang et al. 2024), whose shared expert has such a gate, by its code.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(self, *, d_model: int, ffn: Spec) -> None:
        super().__init__()
        self.ffn: nn.Module = FFN.build(ffn, d_model=d_model)
        self.gate = Linear(d_model, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.gate(x)) * self.ffn(x)
