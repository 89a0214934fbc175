"""Token embeddings."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import NO_PRODUCTS, Cost, product, trained
from zoo.kernels.linear import Linear
from zoo.kinds import EMBEDDING
from zoo.sizes import Batch, linear_size

Factor = Annotated[float, Field(gt=0, le=1e6)]


class TokensSpec(Spec):
    type: Literal["tokens"] = "tokens"
    vocab_size: int = Field(ge=5, le=10_000_000)
    """Ids there are vectors for, the four special ones included; the tokenizer is trained to this size."""
    scale: Literal["sqrt_d_model", "none"] | Factor = "sqrt_d_model"
    """What vectors are multiplied by: √d_model as in the paper, nothing, or a number (Granite)."""
    n_types: int = Field(0, ge=0, le=1_000_000)
    """Token types (BERT's segments), each with a vector that is added; 0: there are none."""
    d_embedding: int | None = Field(None, ge=1, le=1_000_000)
    """Width of the vectors if not d_model: a projection then leads to d_model (ALBERT's factorised embedding)."""
    projection_bias: bool = False
    """Whether that projection adds a bias."""
    trained: bool = True
    """Whether training changes the tokens' vectors; false keeps them, such as pretrained ones, as they are."""
    padding_id: int | None = Field(None, ge=0)
    """An id whose vector looking it up does not train (torch's padding_idx); a head tied to it still does."""

    def check(self, *, d_model: int) -> None:
        if self.projection_bias and self.d_embedding is None:
            raise ValueError("projection_bias is given, but no d_embedding, and so there is no projection")
        if self.padding_id is not None and self.padding_id >= self.vocab_size:
            raise ValueError(f"padding_id ({self.padding_id}) must be below vocab_size ({self.vocab_size})")

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask; the last row is padded."""
        mask = torch.ones(batch, 7, dtype=torch.bool)
        mask[-1, 4:] = False
        return torch.randint(self.vocab_size, mask.shape), mask

    def n_parameters(self, *, d_model: int) -> int:
        found = (self.vocab_size + self.n_types) * (self.d_embedding or d_model)
        if self.d_embedding is not None:
            found += linear_size(self.d_embedding, d_model, bias=self.projection_bias)
        return found

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * (2 + (self.d_embedding or 0))  # ids, int64

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        if self.d_embedding is None:
            return NO_PRODUCTS
        forward = product(batch.n_tokens, self.d_embedding, d_model)
        is_raw = not self.trained and not self.n_types
        return trained(forward, "2·T·E·D", n_raw=forward if is_raw else 0)


@EMBEDDING.register(
    "tokens",
    spec=TokensSpec,
    examples=[
        {"vocab_size": 29},
        {"vocab_size": 17, "scale": "none", "n_types": 3},
        {"vocab_size": 13, "scale": 12.0},
        {"vocab_size": 19, "d_embedding": 5, "projection_bias": True, "n_types": 2},
        {"vocab_size": 23, "d_embedding": 30, "trained": False, "padding_id": 0},
    ],
)
class TokenEmbedding(nn.Embedding):
    """A learned vector per token id, times √D; with token types, the type's vector is added.

    Source: Vaswani et al. 2017, section 3.4. Types: Devlin et al. 2019. Factorised: Lan et al. 2020, section 3.1.
        √D is rounded to the weight's dtype, as in Gemma's code, which matters in bfloat16.
    Differs: Lan et al. also add positions and normalise before the projection; here a stack does, after it.
    Shapes: inputs int64 [B, N], mask bool [B, N], types int64 [B, N] or None for type 0 -> [B, N, D] and the mask.
    Raises: ValueError for types where there are none, and, on the CPU, for an id or a type out of range.
    """

    def __init__(
        self,
        *,
        d_model: int,
        vocab_size: int,
        scale: Literal["sqrt_d_model", "none"] | float,
        n_types: int,
        d_embedding: int | None,
        projection_bias: bool,
        trained: bool,
        padding_id: int | None,
    ) -> None:
        super().__init__(vocab_size, d_embedding or d_model, padding_idx=padding_id)
        self.weight.requires_grad_(trained)
        self.scale = scale if isinstance(scale, float) else {"sqrt_d_model": math.sqrt(d_model)}.get(scale)
        self.types = nn.Embedding(n_types, d_embedding or d_model) if n_types else None
        self.projection = Linear(d_embedding, d_model, bias=projection_bias) if d_embedding else None

    def forward(  # type: ignore[override]
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if inputs.dim() != 2 or inputs.is_floating_point():
            raise ValueError(f"tokens are integer ids [B, N], not {inputs.dtype} {list(inputs.shape)}")
        _check(inputs, self.num_embeddings, "token id", "vocab_size")
        x = F.embedding(inputs, self.weight, self.padding_idx)  # [B, N, E]
        if self.scale is not None:
            x = x * self.weight.new_full((), self.scale)
        if self.types is not None:
            if types is not None and types.shape != inputs.shape:
                raise ValueError(f"types {list(types.shape)} must be one for each token {list(inputs.shape)}")
            x = x + (self.types.weight[0] if types is None else self._of_types(types))
        elif types is not None:
            raise ValueError("token types are given, but this embedding has none: set n_types")
        if self.projection is not None:
            x = self.projection(x)  # [B, N, D]
        return x, mask

    def _of_types(self, types: Tensor) -> Tensor:
        assert self.types is not None
        _check(types, self.types.num_embeddings, "token type", "n_types")
        return self.types(types)


def _check(ids: Tensor, n: int, what: str, field: str) -> None:
    """Raises ValueError for ids outside 0..n-1; elsewhere than on the CPU that would stop the device."""
    if ids.device.type != "cpu" or ids.numel() == 0 or torch.compiler.is_compiling():
        return
    low, high = (int(end) for end in torch.aminmax(ids))
    if low < 0 or high >= n:
        raise ValueError(
            f"{what} {low if low < 0 else high} is out of range: {field} is {n}, so 0 to {n - 1}"
        )
