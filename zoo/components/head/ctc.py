"""The head that writes a sequence along a longer one, without knowing which part is where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import HEAD
from zoo.losses import Learns, Sums
from zoo.sizes import Batch, linear_size


class CTCSpec(Spec):
    type: Literal["ctc"] = "ctc"
    learns: ClassVar[Learns] = "transcript"
    vocab_size: int = Field(ge=2, le=10_000_000)
    """Labels, the blank included."""
    blank: int = Field(0, ge=0)
    """Id of the label that stands for nothing."""
    bias: bool = True
    """Whether the projection adds a bias."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value before the projection, in training."""

    def check(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> None:
        if self.blank >= self.vocab_size:
            raise ValueError(f"blank ({self.blank}) must be below vocab_size ({self.vocab_size})")

    def n_parameters(self, *, d_model: int, embeddings: Mapping[str, Spec]) -> int:
        return linear_size(d_model, self.vocab_size, bias=self.bias)

    def n_kept(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> int:
        return batch.n_tokens * (d_model * 5 // 4 + 3 * self.vocab_size)

    def cost(self, *, d_model: int, embeddings: Mapping[str, Spec], batch: Batch) -> Cost:
        return trained(product(batch.n_tokens, d_model, self.vocab_size), "2·T·D·V")


@HEAD.register(
    "ctc",
    spec=CTCSpec,
    examples=[{"vocab_size": 7}, {"vocab_size": 5, "blank": 4, "bias": False, "dropout": 0.1}],
)
class CTC(nn.Module):
    """A projection of each frame's vector to the labels and a blank; the loss sums over all alignments.

    Source: Graves et al. 2006, sections 3 and 4.
    Shapes: hidden [B, T, D] -> logits [B, T, V]; what stands at padding means nothing.
    """

    def __init__(
        self,
        *,
        d_model: int,
        embeddings: Mapping[str, nn.Module],
        vocab_size: int,
        blank: int,
        bias: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        self.output = Linear(d_model, vocab_size, bias=bias)
        self.blank = blank
        self.dropout = dropout

    def forward(self, hidden: Tensor, *, mask: Tensor | None = None) -> Tensor:
        return self.output(drop(hidden, self.dropout, training=self.training))

    def loss(self, hidden: Tensor, labels: Tensor, *, mask: Tensor | None, label_mask: Tensor | None) -> Sums:
        """-log p(labels) summed over the batch; both masks have their padding at the end, None means no padding.

        Shapes: hidden [B, T, D], mask bool [B, T], labels int64 [B, L], label_mask bool [B, L]; labels are counted.
        Raises: ValueError, on the CPU, for a label that is no label, for padding before a real place, and for labels
            that cannot be written within their frames; elsewhere the last gives an infinite loss.
        """
        n_frames, n_labels = _lengths(hidden, mask), _lengths(labels, label_mask)
        if labels.device.type == "cpu" and not torch.compiler.is_compiling():
            self._check(labels, n_labels, n_frames, mask, label_mask)
        logits = self(hidden)
        dtype = torch.promote_types(logits.dtype, torch.float32)
        log_p = torch.log_softmax(logits, dim=-1, dtype=dtype).transpose(0, 1)  # [T, B, V]
        loss = F.ctc_loss(log_p, labels, n_frames, n_labels, blank=self.blank, reduction="sum")
        return Sums(loss, loss.detach(), int(n_labels.sum()))

    def _check(
        self,
        labels: Tensor,
        n_labels: Tensor,
        n_frames: Tensor,
        mask: Tensor | None,
        label_mask: Tensor | None,
    ) -> None:
        for name, given in (("mask", mask), ("label_mask", label_mask)):
            if given is not None and bool((given[:, 1:] & ~given[:, :-1]).any()):
                raise ValueError(f"{name} has padding before a real place: CTC needs it at the end")
        real = torch.arange(labels.shape[1]) < n_labels[:, None]  # [B, L]
        V = self.output.out_features
        bad = real & ((labels < 0) | (labels >= V) | (labels == self.blank))
        if bool(bad.any()):
            row, place = bad.nonzero()[0].tolist()
            raise ValueError(
                f"labels[{row}, {place}] is {int(labels[row, place])}: a label must be in 0 to {V - 1} and not the "
                f"blank, {self.blank}"
            )
        repeats = (labels[:, 1:] == labels[:, :-1]) & real[:, 1:]  # a blank must stand between
        needed = n_labels + repeats.sum(dim=1)
        if bool((short := needed > n_frames).any()):
            row = int(short.int().argmax())
            raise ValueError(
                f"row {row}: {int(n_labels[row])} labels need {int(needed[row])} frames, "
                f"a blank between equal ones counted, but there are {int(n_frames[row])}"
            )


def _lengths(x: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return torch.full((x.shape[0],), x.shape[1], device=x.device)
    return mask.sum(dim=1)
