"""An attention whose heads learn how sharply they look: each has a temperature.

Next:
    pytest test_my_part.py
    zoo conform attention/my_part --plugin my_part.py
    zoo train transformer_base --scale tiny --plugin my_part.py model.encoder.layer.self_attention.type=my_part
"""

from typing import Any, Literal

import torch
from pydantic import Field
from registry import Spec
from torch import Tensor, nn
from zoo.kernels.attention import attend
from zoo.kernels.cache import KeyValueCache
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    n_heads: int = Field(4, ge=1)
    """Parallel heads; must divide d_model."""

    # What the part cannot do is said here, before any weight exists.
    def check(self, *, d_model: int, role: str, position: Spec | None) -> None:
        if d_model % self.n_heads:
            raise ValueError(
                f"n_heads ({self.n_heads}) must divide d_model ({d_model})"
            )
        if role == "cross":
            raise ValueError("it reads no memory: use it for self_attention")

    # Optional: `reads: ClassVar = ("rotate",)` if it calls that hook of positions only;
    # n_parameters(self, *, d_model), n_kept and cost, see zoo.sizes and zoo.costs: without
    # them the part is counted on the meta device.


@ATTENTION.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"n_heads": 3}],  # small specs, by which the laws try it
)
class MyPart(nn.Module):
    """Softmax attention whose scores each head multiplies by exp(t), t learnt from 0.

    Shapes: query [B, T, D] -> [B, T, D].
    """

    # The spec's fields and the kind's context, d_model: keyword-only, without defaults.
    def __init__(self, *, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.inner = nn.Linear(d_model, 3 * d_model)
        self.outer = nn.Linear(d_model, d_model)
        self.log_temperature = nn.Parameter(torch.zeros(n_heads))

    def forward(
        self,
        query: Tensor,
        memory: Tensor | None = None,
        *,
        mask: Mask,
        position: Position | None,
        cache: Any,
    ) -> Tensor:
        if memory is not None:
            raise ValueError("it reads no memory: use it for self_attention")
        heads = self.inner(query).unflatten(-1, (3, self.n_heads, -1))
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # [B, H, T, K] each
        q = q * self.log_temperature.exp()[:, None, None]
        scale, bias = q.shape[-1] ** -0.5, None
        if position is not None:
            q, k = position.rotate(q, mask=mask), position.rotate_keys(k, mask=mask)
        if cache is not None:
            k, v = cache.append(k, v)
        if position is not None:
            bias = position.bias(q, k, scale=scale, mask=mask)
        # The shared kernels: causal or not, padding, windows, documents, and fast.
        out = attend(q, k, v, mask=mask, scale=scale, bias=bias)
        return self.outer(out.transpose(1, 2).flatten(2))

    def new_cache(self) -> KeyValueCache:
        """What it keeps of the tokens so far, in a search."""
        return KeyValueCache()

    # Optional: roles(), what its matrices are for, see zoo.kinds.Role; for a part that
    # reads a memory new_memory_cache(); draw_first_values() for what no linear map draws.
