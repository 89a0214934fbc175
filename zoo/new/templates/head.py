"""A head of classes that looks at the mean and at the largest value of each feature.

Next:
    pytest test_my_part.py
    zoo conform head/my_part --plugin my_part.py
    zoo train text_classifier_small --scale tiny --plugin my_part.py 'model.head={type: my_part, n_classes: 4}'
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from pydantic import Field
from registry import Spec
from torch import Tensor, nn
from zoo.kinds import HEAD
from zoo.losses import Learns, Sums, cross_entropy


class MyPartSpec(Spec):
    type: Literal["my_part"] = "my_part"
    learns: ClassVar[Learns] = "sequence"  # a label for each sequence: see zoo.losses
    n_classes: int = Field(ge=2)
    """A logit for each."""

    # Optional: check(self, *, d_model, embeddings) raises ValueError for what the part
    # cannot do; n_parameters(self, *, d_model, embeddings), n_kept and cost.


@HEAD.register(
    "my_part",
    spec=MyPartSpec,
    examples=[{"n_classes": 3}],  # small specs, by which the laws try it
)
class MyPart(nn.Module):
    """Logits of the classes from the mean and the maximum over a sequence's real places.

    Shapes: hidden [B, T, D], mask bool [B, T], None: all are real -> [B, n_classes].
    """

    # The spec's fields and the kind's context: keyword-only, without defaults.
    def __init__(
        self, *, d_model: int, embeddings: Mapping[str, nn.Module], n_classes: int
    ) -> None:
        super().__init__()
        self.output = nn.Linear(2 * d_model, n_classes)

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            mask = torch.ones_like(hidden[..., 0], dtype=torch.bool)
        absent = ~mask[..., None]  # [B, T, 1]
        counts = mask.sum(1, keepdim=True).clamp(min=1)  # a row may have no real place
        mean = hidden.masked_fill(absent, 0).sum(1) / counts
        least = torch.finfo(hidden.dtype).min
        largest = hidden.masked_fill(absent, least).amax(1).clamp(min=-1e4)
        return self.output(torch.cat([mean, largest], dim=-1))

    def loss(
        self,
        hidden: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None,
        label_smoothing: float,
    ) -> Sums:
        """Summed cross-entropy, labels int64 [B]."""
        logits = self(hidden, mask=mask)
        return cross_entropy(logits, labels, label_smoothing=label_smoothing)
