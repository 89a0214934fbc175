"""Attention without any matrix: vectors are compared, and averaged, as they are."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.components.heads import fold, join, unfold
from zoo.costs import ATTENDS, Cost, Mixing, product, trained
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask
from zoo.sizes import Batch


class DotProductSpec(Spec):
    type: Literal["dot_product"] = "dot_product"
    reads: ClassVar[tuple[str, ...]] = ()
    scale: float = Field(1.0, gt=0, le=1e3)
    """What products are multiplied by."""

    def n_parameters(self, *, d_model: int) -> int:
        return 0

    def n_kept(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> int:
        return batch.n_tokens * (2 * d_model + batch.length)

    def cost(self, *, d_model: int, role: str, position: Spec | None, batch: Batch) -> Cost:
        return trained(
            product(batch.n_tokens * batch.n_keys, 1, 2 * d_model),
            "4·T·S·D",
            cached_per_token=0 if role == "self" else 2 * d_model,
            mixing=Mixing(ATTENDS),
        )


@ATTENTION.register("dot_product", spec=DotProductSpec, examples=[{}, {"scale": 0.3}])
class DotProduct(nn.Module):
    """softmax(x mᵀ · scale) m, with nothing to learn; over its own sequence, m is x.

    Source: Luong et al. 2015 (1508.04025), section 3.1, score `dot`.
    Shapes: query [B, T, D], memory [B, S, D] or None for self-attention -> [B, T, D].
        With a MemoryCache query may be [B·n, T, D], n rows a sentence.
    """

    def __init__(self, *, d_model: int, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: KeyValueCache | MemoryCache | None,
    ) -> Tensor:
        q = query[:, None]  # [B, 1, T, D]
        k = q if memory is None else memory[:, None]  # [B, 1, S, D]
        if isinstance(cache, KeyValueCache):
            k, _ = cache.append(k, k)
        elif cache is not None:
            if cache.keys is None:
                cache.keys, cache.values = k.clone(), k.clone()  # the cache writes into what it holds
            k = cache.keys
        out = attend(fold(q, k.shape[0]), k, k, mask=mask, scale=self.scale)
        return join(unfold(out, q.shape[0]))

    def new_cache(self) -> KeyValueCache:
        """What self-attention keeps of an empty sequence."""
        return KeyValueCache()

    def new_memory_cache(self) -> MemoryCache:
        """What cross-attention keeps before it has read the memory."""
        return MemoryCache()
