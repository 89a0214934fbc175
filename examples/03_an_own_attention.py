"""An attention of one's own: cosine similarity instead of dot products, registered beside the others.

On the command line: `zoo train quickstart --plugin THIS_FILE model.encoder.layer.self_attention.type=cosine`.
"""

from typing import Literal

import torch.nn.functional as F
from pydantic import Field
from torch import nn

import zoo
from registry import Spec
from zoo.conformance import findings, part_of
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache
from zoo.kinds import ATTENTION


class CosineAttentionSpec(Spec):
    type: Literal["cosine"] = "cosine"
    n_heads: int = Field(4, ge=1)
    """Parallel heads; must divide d_model."""
    temperature: float = Field(10.0, gt=0)
    """What the cosines are multiplied by."""

    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if d_model % self.n_heads or role == "cross":
            raise ValueError(f"n_heads ({self.n_heads}) must divide d_model ({d_model}); self-attention only")


@ATTENTION.register("cosine", spec=CosineAttentionSpec, examples=[{"n_heads": 3}])
class CosineAttention(nn.Module):
    """Softmax over cosines of queries and keys, as in query-key normalisation (Henry et al. 2020)."""

    def __init__(self, *, d_model: int, n_heads: int, temperature: float) -> None:
        super().__init__()
        self.n_heads, self.temperature = n_heads, temperature
        self.projection, self.output = nn.Linear(d_model, 3 * d_model), nn.Linear(d_model, d_model)

    def forward(self, query, memory=None, *, mask, position, cache):
        if memory is not None:
            raise ValueError("cosine attention is within one sequence")
        heads = self.projection(query).unflatten(-1, (3, self.n_heads, -1)).transpose(1, 3)  # [B, H, 3, T, K]
        q, k, v = F.normalize(heads[:, :, 0], dim=-1), F.normalize(heads[:, :, 1], dim=-1), heads[:, :, 2]
        if cache is not None:
            k, v = cache.append(k, v)
        out = attend(q, k, v, mask=mask, scale=self.temperature)  # the shared kernels: causal, padding, fast
        return self.output(out.transpose(1, 2).flatten(2))

    def new_cache(self):
        return KeyValueCache()  # what it keeps of the tokens so far, in a search


if __name__ == "__main__":
    for found in findings({"cosine": part_of(ATTENTION, CosineAttentionSpec(n_heads=3))}):
        print(f"{found.result}: {found.law}")  # as `zoo conform` does
    run = zoo.load("quickstart", "model.encoder.layer.self_attention.type=cosine")
    print(f"{sum(p.numel() for p in zoo.build(run.model).parameters()):,} parameters with cosine attention")
