"""Token embeddings of a width of their own, with positions, norm and dropout before the projection to the model's."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from registry import Spec, Within
from zoo.components.embedding.tokens import TokenEmbedding
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import EMBEDDING, NORM, POSITION, Position
from zoo.masks import Mask
from zoo.sizes import Batch, linear_size, n_kept, n_parameters


class FactorisedTokensSpec(Spec):
    type: Literal["factorised_tokens"] = "factorised_tokens"
    vocab_size: int = Field(ge=5, le=10_000_000)
    """Ids there are vectors for, the four special ones included; the tokenizer is trained to this size."""
    d_embedding: int = Field(128, ge=1, le=1_000_000)
    """Width of the vectors: the papers' E."""
    n_types: int = Field(0, ge=0, le=1_000_000)
    """Token types (BERT's segments), each with a vector that is added; 0: there are none."""
    position: Annotated[Spec, POSITION] = Field("none", validate_default=True)
    """What is added to vectors of this width for their positions; the stack's own comes on top."""
    norm: Annotated[Spec, NORM] = Field("layer_norm", validate_default=True)
    """Over that width, before the projection."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the projection, in training."""
    padding_id: int | None = Field(None, ge=0)
    """An id whose vector looking it up does not train (torch's padding_idx); a head tied to it still does."""

    @property
    def reads_whole(self) -> bool:
        """Whether a sequence must come in one piece, for its places are counted here."""
        return self.position.type != "none"

    def check(self, *, d_model: int) -> None:
        if self.padding_id is not None and self.padding_id >= self.vocab_size:
            raise ValueError(f"padding_id ({self.padding_id}) must be below vocab_size ({self.vocab_size})")

    def contexts(self, *, d_model: int) -> dict[str, Any]:
        E = self.d_embedding
        at_heads = {"d_model": E, "n_heads": 1, "d_k": E, "role": "self"}
        return {"norm": Within({"d_model": E}, n_times=0), "position": Within(at_heads, n_times=0)}

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask; the last row is padded."""
        mask = torch.ones(batch, 7, dtype=torch.bool)
        mask[-1, 4:] = False
        return torch.randint(self.vocab_size, mask.shape), mask

    def n_parameters(self, *, d_model: int) -> int:
        E = self.d_embedding
        found = (self.vocab_size + self.n_types) * E + linear_size(E, d_model, bias=True)
        found += n_parameters(POSITION, self.position, d_model=E, n_heads=1)
        return found + n_parameters(NORM, self.norm, d_model=E)

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        E = self.d_embedding
        found = batch.n_tokens * (2 + E) + n_kept(NORM, self.norm, d_model=E, batch=batch)
        return found + n_kept(POSITION, self.position, d_model=E, n_heads=1, batch=batch)

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        return trained(product(batch.n_tokens, self.d_embedding, d_model), "2·T·E·D")


@EMBEDDING.register(
    "factorised_tokens",
    spec=FactorisedTokensSpec,
    examples=[
        {"vocab_size": 19, "d_embedding": 5},
        {
            "vocab_size": 17,
            "d_embedding": 6,
            "n_types": 2,
            "position": {"type": "learned", "max_len": 23, "counts_padding": True},
            "norm": "rms_norm",
            "padding_id": 1,
        },
    ],
)
class FactorisedTokens(TokenEmbedding):
    """norm(token + type + position) P + b, all but P of width E.

    Source: Lan et al. 2020 (ALBERT), section 3.1; Clark et al. 2020 (ELECTRA), section 3.2; positions and norm in
        front by their codes.
    Differs: token types are added before positions, which may scale what they are added to.
    Shapes: inputs int64 [B, N], mask bool [B, N], types int64 [B, N] or None for type 0 -> [B, N, D] and the mask.
    Raises: ValueError as tokens do.
    """

    def __init__(
        self,
        *,
        d_model: int,
        vocab_size: int,
        d_embedding: int,
        n_types: int,
        position: Spec,
        norm: Spec,
        dropout: float,
        padding_id: int | None,
    ) -> None:
        super().__init__(
            d_model=d_embedding,
            vocab_size=vocab_size,
            scale="none",
            n_types=n_types,
            d_embedding=None,
            projection_bias=False,
            trained=True,
            padding_id=padding_id,
        )
        self.position: Position = POSITION.build(position, d_model=d_embedding, n_heads=1)
        self.norm: nn.Module = NORM.build(norm, d_model=d_embedding)
        self.dropout = dropout
        self.to_model = Linear(d_embedding, d_model)

    def forward(  # type: ignore[override]
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        x, mask = super().forward(inputs, mask=mask, types=types)  # [B, N, E]
        x = self.norm(self.position.embed(x, mask=Mask(keys=mask, called={"keys": "mask"})))
        return self.to_model(drop(x, self.dropout, training=self.training)), mask
