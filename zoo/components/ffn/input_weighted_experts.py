"""A mixture of experts that weighs what goes in: an expert is given the token times its score."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.components.ffn.mixture_of_experts import MixtureOfExperts, MixtureOfExpertsSpec
from zoo.costs import Cost
from zoo.kinds import FFN
from zoo.sizes import Batch


class InputWeightedExpertsSpec(MixtureOfExpertsSpec):
    type: Literal["input_weighted_experts"] = "input_weighted_experts"  # type: ignore[assignment]
    weighs_outputs: ClassVar[bool] = False
    top_k: int = Field(1, ge=1, le=4096)
    """Experts that each token is sent to: those of the highest score."""
    normalised: bool = False
    """Whether a token's top_k scores are scaled to sum to 1, or stay what the sigmoid gives (Llama 4)."""

    def n_parameters(self, *, d_model: int) -> int:
        return super().n_parameters(d_model=d_model)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return super().n_kept(d_model=d_model, batch=batch)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return super().cost(d_model=d_model, batch=batch)


@FFN.register(
    "input_weighted_experts",
    spec=InputWeightedExpertsSpec,
    examples=[
        {"n_experts": 3, "expert": {"type": "glu", "d_ff": 5}, "shared_expert": {"type": "glu", "d_ff": 4}},
        {"n_experts": 4, "top_k": 2, "expert": {"type": "mlp", "d_ff": 7}, "normalised": True},
    ],
)
class InputWeightedExperts(MixtureOfExperts):
    """Σ of expert(score · x) over the top k experts by their scores, sigmoids of a router; plus the shared expert's.

    A score so passes the expert's activation, which one on its output does not; an expert without bias gives nothing
    where the score is 0.

    Source: Meta 2025 (Llama 4), by the published code; scores of each expert by itself as in DeepSeek-V3 (2412.19437).
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def route(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.router(rows).to(torch.promote_types(rows.dtype, torch.float32))  # [N, E]
        best, chosen = logits.topk(self.top_k, dim=-1)  # of logits: sigmoids of large ones are all 1
        weights = best.sigmoid()
        if self.normalised:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights, chosen, logits.sigmoid()

    def mix(self, rows: Tensor, weights: Tensor, chosen: Tensor, counts: Tensor) -> Tensor:
        given = (rows[:, None] * weights[..., None].to(rows.dtype)).flatten(0, 1)  # [N·k, D]
        outputs = self.outputs(given, chosen.reshape(-1, 1), counts)  # [N·k, 1, D]
        return outputs.view(*chosen.shape, -1).sum(dim=1)
