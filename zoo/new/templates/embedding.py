"""Token embeddings in little memory: each token is the sum of two rows of a small table.

Next:
    pytest test_my_part.py
    zoo conform embedding/my_part --plugin my_part.py
    zoo train text_classifier_small --scale tiny --plugin my_part.py 'model.inputs={type: my_part, vocab_size: 300}'
"""

from typing import Literal

import torch
from pydantic import Field
from registry import Spec
from torch import Tensor, nn
from zoo.kinds import EMBEDDING


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    vocab_size: int = Field(ge=5)
    """Ids there are vectors for; by it tasks know that it reads tokens."""
    n_rows: int = Field(64, ge=2)
    """Rows of the table."""

    # Random inputs for a trial, and their mask.
    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        return torch.randint(self.vocab_size, (batch, 7)), None

    # Optional: check(self, *, d_model) raises ValueError for what the part cannot do;
    # n_parameters(self, *, d_model), n_kept and cost, see zoo.sizes and zoo.costs;
    # values_per_place, for numbers that a decoder may write.


@EMBEDDING.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"vocab_size": 29, "n_rows": 8}],  # by which the laws try it
)
class MyPart(nn.Module):
    """Two rows a token, by the quotient and the remainder of its id: √D times their sum.

    Source: Shi et al. 2020 (quotient-remainder), with sums; ids share rows above n_rows².
    Shapes: inputs int64 [B, N], mask bool [B, N] -> [B, N, D] and the mask.
    Raises: ValueError for token types, of which it has none.
    """

    # The spec's fields and the kind's context, d_model: keyword-only, without defaults.
    def __init__(self, *, d_model: int, vocab_size: int, n_rows: int) -> None:
        super().__init__()
        self.quotients = nn.Embedding(n_rows, d_model)
        self.remainders = nn.Embedding(n_rows, d_model)
        self.scale = d_model**0.5

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if types is not None:
            raise ValueError("token types are given, but this embedding has none")
        n_rows = self.quotients.num_embeddings
        quotients = self.quotients(inputs // n_rows % n_rows)
        return (quotients + self.remainders(inputs % n_rows)) * self.scale, mask

    # Optional: `weight` [V, D], to which a head may be tied.
