"""Many feed-forward networks, of which each token uses a few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import FFN
from zoo.sizes import Batch, linear_size, n_kept, n_parameters


class MixtureOfExpertsSpec(Spec):
    type: Literal["mixture_of_experts"] = "mixture_of_experts"
    expected_failures: ClassVar[Mapping[str, str]] = {
        "everything_is_made_where_the_input_is": "how many tokens choose an expert is not known without numbers",
        "its_cost_is_what_runs": "how many tokens choose an expert is not known without numbers",
        "it_compiles_as_one_graph": "how many tokens choose an expert no graph holds",
    }
    weighs_outputs: ClassVar[bool] = True
    """Whether an expert's outputs are weighed, by a product, and not its inputs."""
    n_experts: int = Field(8, ge=1, le=4096)
    """Experts a token may be sent to."""
    top_k: int = Field(2, ge=1, le=4096)
    """Experts that each token is sent to: those of the highest probability."""
    expert: Annotated[Spec, FFN] = Field("glu", validate_default=True)
    """The form of an expert; each has weights of its own."""
    shared_expert: Annotated[Spec | None, FFN] = None
    """A network that every token uses besides; n shared experts of one width are one of n times that width."""
    normalised: bool = True
    """Whether a token's top_k probabilities are scaled to sum to 1 (Mixtral), or stay shares of all (Switch)."""
    router_bias: bool = False
    """Whether the router adds a bias an expert (gpt-oss)."""
    balance: float = Field(0.01, ge=0, le=10)
    """Coefficient of the load-balancing loss, which is 1 where all experts are used alike; 0: no such loss."""

    def check(self, *, d_model: int) -> None:
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k ({self.top_k}) must not be above n_experts ({self.n_experts})")
        if getattr(self.expert, "gives_nothing", False):
            raise ValueError("an expert that gives nothing leaves its router nothing to learn: take another")
        if self.n_experts == 1 or (self.top_k == 1 and self.normalised and self.balance == 0):
            raise ValueError(
                f"the router never learns with n_experts {self.n_experts}, top_k {self.top_k}, normalised "
                f"{str(self.normalised).lower()} and balance {self.balance:g}: a single choice of weight 1, and no "
                "loss, tell it nothing; give more experts, a balance or normalised: false"
            )

    def n_parameters(self, *, d_model: int) -> int:
        found = linear_size(d_model, self.n_experts, bias=self.router_bias)
        found += self.n_experts * n_parameters(FFN, self.expert, d_model=d_model)
        if self.shared_expert is not None:
            found += n_parameters(FFN, self.shared_expert, d_model=d_model)
        return found

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        routed = batch.n_tokens * self.top_k
        found = batch.n_tokens * (d_model + 2 * self.n_experts)
        found += routed * d_model if self.weighs_outputs else 0
        found += n_kept(FFN, self.expert, d_model=d_model, batch=replace(batch, n_tokens=routed))
        if self.shared_expert is not None:
            found += n_kept(FFN, self.shared_expert, d_model=d_model, batch=batch)
        return found

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        n_weighed = self.top_k if self.weighs_outputs else 0
        routing = product(batch.n_tokens, d_model, self.n_experts + n_weighed)
        routed = replace(batch, n_tokens=batch.n_tokens * self.top_k)
        of_routing = "2·T·D·(E + k)" if n_weighed else "2·T·D·E"
        parts = [trained(routing, of_routing), cost(FFN, self.expert, batch=routed, d_model=d_model)]
        if self.shared_expert is not None:
            parts.append(cost(FFN, self.shared_expert, batch=batch, d_model=d_model))
        shared = "" if self.shared_expert is None else " + shared"
        formula = f"{of_routing} + k of {self.expert.type}{shared}"
        return Cost(
            sum(part.forward for part in parts),
            sum(part.backward for part in parts),
            formula,
            is_known=all(part.is_known for part in parts),
        )


@FFN.register(
    "mixture_of_experts",
    spec=MixtureOfExpertsSpec,
    examples=[
        {"n_experts": 3, "expert": {"type": "glu", "d_ff": 5}},
        {
            "n_experts": 2,
            "top_k": 1,
            "expert": {"type": "mlp", "d_ff": 7},
            "shared_expert": {"type": "glu", "d_ff": 4},
            "normalised": False,
            "balance": 0.0,
        },
        {"n_experts": 3, "expert": {"type": "mlp", "d_ff": 4}, "router_bias": True},
    ],
)
class MixtureOfExperts(nn.Module):
    """Σ of the top k experts' outputs, weighted by a router's softmax; plus the shared expert's, if there is one.

    No expert has a limit of tokens, so none is dropped. `auxiliary_loss`, in training, is
    balance · E · Σₑ fₑ Pₑ: fₑ the share of the batch's choices that fell on expert e, Pₑ the mean of its probability.

    Source: Shazeer et al. 2017, section 2; Jiang et al. 2024 (Mixtral), section 2.1, softmax and choice of experts;
        Fedus et al. 2021 (Switch), equations 4 to 6, the loss; Dai et al. 2024 (DeepSeekMoE), shared experts.
    Differs: f is a share of all k·N choices, so that balance gives a loss of 1 · balance for any k (transformers'
        is k times that). Padding counts in it as any token does: an FFN is told no mask.
    Shapes: x [B, T, D] -> [B, T, D].
    """

    def __init__(
        self,
        *,
        d_model: int,
        n_experts: int,
        top_k: int,
        expert: Spec,
        shared_expert: Spec | None,
        normalised: bool,
        router_bias: bool,
        balance: float,
    ) -> None:
        super().__init__()
        self.router = Linear(d_model, n_experts, bias=router_bias)
        self.experts = nn.ModuleList(FFN.build(expert, d_model=d_model) for _ in range(n_experts))
        self.shared_expert: nn.Module | None = (
            None if shared_expert is None else FFN.build(shared_expert, d_model=d_model)
        )
        self.top_k = top_k
        self.normalised = normalised
        self.balance = balance
        self.auxiliary_loss: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)  # [N, D]
        weights, chosen, probabilities = self.route(rows)
        counts = torch.bincount(chosen.flatten(), minlength=len(self.experts))  # [E]
        out = self.mix(rows, weights, chosen, counts).view_as(x)
        self.auxiliary_loss = self._imbalance(probabilities, counts) if self.training else None
        return out if self.shared_expert is None else out + self.shared_expert(x)

    def route(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows [N, D] -> the weights of the experts chosen for each, which they are, both [N, k], and what a balance is
        of, the probabilities of all [N, E]."""
        wide = torch.promote_types(rows.dtype, torch.float32)
        probabilities = self.router(rows).softmax(dim=-1, dtype=wide)
        weights, chosen = probabilities.topk(self.top_k, dim=-1)
        if self.normalised:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return weights, chosen, probabilities

    def mix(self, rows: Tensor, weights: Tensor, chosen: Tensor, counts: Tensor) -> Tensor:
        """Rows [N, D], weights and chosen experts of each [N, k], choices of each expert [E] -> [N, D]."""
        outputs = self.outputs(rows, chosen, counts)  # [N, k, D]
        return (weights[:, None].to(outputs.dtype) @ outputs).squeeze(1)

    def outputs(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> Tensor:
        """Each row's outputs by the experts chosen for it: rows [N, D], chosen [N, k], counts [E] -> [N, k, D]."""
        if torch.compiler.is_exporting():
            return self._of_all(rows, chosen)
        return self._routed(rows, chosen, counts)

    def _routed(self, rows: Tensor, chosen: Tensor, counts: Tensor) -> Tensor:
        """By blocks: the rows are sorted by expert, so that each works on one block; one that no row chose works on an
        empty block, so that its weights have a gradient (zero) all the same.
        """
        order = chosen.flatten().argsort(
            stable=True
        )  # [N·k], the choice that stands at each place of the blocks
        blocks = rows.index_select(0, order // chosen.shape[1])[None].split(counts.tolist(), dim=1)
        outputs = [expert(block) for expert, block in zip(self.experts, blocks, strict=True)]
        sorted_outputs = torch.cat(outputs, dim=1)[0]  # [N·k, D]
        return sorted_outputs.index_select(0, order.argsort()).unflatten(0, chosen.shape)

    def _of_all(self, rows: Tensor, chosen: Tensor) -> Tensor:
        """From what every expert makes of every row: an exported graph holds no block of a length that
        depends on its numbers."""
        outputs = torch.stack([expert(rows[None])[0] for expert in self.experts], dim=1)  # [N, E, D]
        return outputs.gather(1, chosen[..., None].expand(-1, -1, outputs.shape[-1]))

    def _imbalance(self, probabilities: Tensor, counts: Tensor) -> Tensor | None:
        if self.balance == 0 or len(probabilities) == 0:
            return None
        shares = counts.to(probabilities.dtype) / counts.sum()  # [E], summing to 1 as the means do
        return self.balance * len(self.experts) * (shares * probabilities.mean(dim=0)).sum()

    def __getstate__(self) -> dict[str, Any]:
        # A result that holds a graph can neither be copied nor pickled.
        return self.__dict__ | {"auxiliary_loss": None}
