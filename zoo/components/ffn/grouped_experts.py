"""A mixture of experts in groups: a token looks among the experts of its best groups only."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from zoo.components.ffn.mixture_of_experts import MixtureOfExperts, MixtureOfExpertsSpec
from zoo.costs import Cost
from zoo.kinds import FFN
from zoo.sizes import Batch

Score = Literal["softmax", "sigmoid"]


class GroupedExpertsSpec(MixtureOfExpertsSpec):
    type: Literal["grouped_experts"] = "grouped_experts"  # type: ignore[assignment]
    n_groups: int = Field(1, ge=1, le=4096)
    """Groups of as many experts each; must divide n_experts."""
    top_groups: int = Field(1, ge=1, le=4096)
    """Groups that a token looks in."""
    n_best: int = Field(1, ge=1, le=4096)
    """Experts of a group whose scores, summed, are the group's: its best (DeepSeek-V2), or its best two (V3)."""
    score: Score = "softmax"
    """Function that makes a router's logits scores: shares of all, or each by itself (DeepSeek-V3)."""
    corrected: bool = False
    """Whether a number for each expert is added to its score where experts are chosen, not where they are weighed: one
    that no gradient reaches, set from outside to balance loads (DeepSeek-V3)."""
    factor: float = Field(1.0, gt=0, le=1e3)
    """What the experts' summed outputs are multiplied by."""

    def check(self, *, d_model: int) -> None:
        super().check(d_model=d_model)
        if self.n_experts % self.n_groups:
            raise ValueError(f"n_groups ({self.n_groups}) must divide n_experts ({self.n_experts})")
        size = self.n_experts // self.n_groups
        if self.top_groups > self.n_groups:
            raise ValueError(f"top_groups ({self.top_groups}) must not be above n_groups ({self.n_groups})")
        if self.n_best > size:
            raise ValueError(f"n_best ({self.n_best}) must not be above a group's {size} experts")
        if self.top_k > self.top_groups * size:
            raise ValueError(
                f"top_k ({self.top_k}) must not be above the {self.top_groups * size} experts in reach"
            )

    def n_parameters(self, *, d_model: int) -> int:
        return super().n_parameters(d_model=d_model)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return super().n_kept(d_model=d_model, batch=batch)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return super().cost(d_model=d_model, batch=batch)


@FFN.register(
    "grouped_experts",
    spec=GroupedExpertsSpec,
    examples=[
        {"n_experts": 6, "n_groups": 3, "top_groups": 2, "top_k": 3, "expert": {"type": "glu", "d_ff": 5}},
        {
            "n_experts": 4,
            "n_groups": 2,
            "top_groups": 1,
            "n_best": 2,
            "top_k": 2,
            "score": "sigmoid",
            "corrected": True,
            "factor": 2.5,
            "expert": {"type": "mlp", "d_ff": 4},
            "shared_expert": {"type": "glu", "d_ff": 3},
            "balance": 0.0,
        },
    ],
)
class GroupedExperts(MixtureOfExperts):
    """factor · Σ of the top k experts' outputs within the best groups, by their scores; plus the shared expert's.

    Source: DeepSeek-AI 2024 (DeepSeek-V2, 2405.04434), section 2.1.3 (device-limited routing, groups for devices);
        2024 (DeepSeek-V3, 2412.19437), section 2.1.2, equations 12 to 16: sigmoid scores and corrections.
    Differs: nothing here moves the corrections; a checkpoint brings them, or they stay 0.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    correction: Tensor | None

    def __init__(
        self,
        *,
        n_groups: int,
        top_groups: int,
        n_best: int,
        score: Score,
        corrected: bool,
        factor: float,
        **inherited: Any,
    ) -> None:
        super().__init__(**inherited)
        self.n_groups, self.top_groups, self.n_best, self.factor = n_groups, top_groups, n_best, factor
        self.score: Score = score
        self.register_buffer("correction", torch.zeros(len(self.experts)) if corrected else None)

    def route(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = self.router(rows).to(torch.promote_types(rows.dtype, torch.float32))
        scores = logits.softmax(dim=-1) if self.score == "softmax" else logits.sigmoid()  # [N, E]
        ranks = scores.detach() if self.correction is None else scores.detach() + self.correction
        groups = ranks.unflatten(-1, (self.n_groups, -1))  # [N, G, E / G]
        best = groups.topk(self.n_best, dim=-1).values.sum(dim=-1).topk(self.top_groups, dim=-1).indices
        is_far = torch.ones(groups.shape[:2], dtype=torch.bool, device=rows.device).scatter(1, best, False)
        chosen = groups.masked_fill(is_far[..., None], -torch.inf).flatten(1).topk(self.top_k, dim=-1).indices
        weights = scores.gather(1, chosen)
        if self.normalised:
            weights = weights / (weights.sum(dim=-1, keepdim=True) + 1e-20)
        return weights * self.factor, chosen, scores
