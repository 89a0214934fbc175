"""Speech as frames that convolutions learn from the raw waveform."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Annotated, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kernels.dropout import dropout as drop
from zoo.kernels.linear import Linear
from zoo.kinds import EMBEDDING
from zoo.sizes import Batch, linear_size

Sizes = Annotated[tuple[Annotated[int, Field(ge=1, le=65536)], ...], Field(min_length=1, max_length=100)]


class WaveformFramesSpec(Spec):
    hears: ClassVar[Literal["waveform"]] = "waveform"

    type: Literal["waveform_frames"] = "waveform_frames"
    channels: Sizes = (512, 512, 512, 512, 512, 512, 512)
    """Channels that each convolution gives, first to last."""
    kernels: Sizes = (10, 3, 3, 3, 3, 2, 2)
    """Length of each convolution's kernel."""
    strides: Sizes = (5, 2, 2, 2, 2, 2, 2)
    """Step of each convolution; their product is the number of samples from one frame to the next."""
    conv_bias: bool = False
    """Whether the convolutions add a bias."""
    norm: Literal["group", "layer"] = "group"
    """After the first convolution, over time for each channel; or after each, over the channels of a frame."""
    eps: float = Field(1e-5, gt=0, le=1)
    """Added to the variance by the norm before the projection; those of the convolutions add 1e-5."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Probability of dropping a value of the projection, in training."""
    mask_probability: float = Field(0.0, ge=0, le=1)
    """Share of frames that training replaces by a learned vector, less where spans overlap; 0: there is none."""
    mask_length: int = Field(10, ge=1, le=65536)
    """Frames of a span that is replaced."""
    min_masks: int = Field(2, ge=0, le=65536)
    """Spans replaced at least, where the recording has room for them."""
    feature_mask_probability: float = Field(0.0, ge=0, le=1)
    """Share of features that training sets to zero in all frames of a recording, less where spans overlap."""
    feature_mask_length: int = Field(10, ge=1, le=65536)
    """Features of a span that is set to zero."""
    min_feature_masks: int = Field(0, ge=0, le=65536)
    """Spans of features set to zero at least, where feature_mask_probability is not 0."""

    def check(self, *, d_model: int) -> None:
        counts = {name: len(getattr(self, name)) for name in ("channels", "kernels", "strides")}
        if len(set(counts.values())) > 1:
            given = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ValueError(
                f"channels, kernels and strides must have one number a convolution each, not {given}"
            )

    def n_vectors(self, n: int) -> int:
        """Vectors that so many samples give; 0 or less where they are too few for one."""
        for kernel, stride in zip(self.kernels, self.strides, strict=True):
            n = (n - kernel) // stride + 1
        return n

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask; the last row is padded."""
        shortest, step = receptive_field(self.kernels, self.strides), prod(self.strides)
        mask = torch.ones(batch, shortest + 8 * step, dtype=torch.bool)
        mask[-1, shortest + 4 * step :] = False
        return torch.randn(mask.shape), mask

    def n_parameters(self, *, d_model: int) -> int:
        convs = sum(
            n_out * (n_in * kernel + self.conv_bias)
            for (n_in, n_out), kernel in zip(pairwise((1, *self.channels)), self.kernels, strict=True)
        )
        normed = sum(self.channels) if self.norm == "layer" else self.channels[0]
        last = self.channels[-1]
        masked = d_model if self.mask_probability else 0
        return convs + 2 * (normed + last) + linear_size(last, d_model, bias=True) + masked

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        found = batch.n_tokens * (prod(self.strides) + 2 * self.channels[-1])
        for i, n_channels in enumerate(self.channels):
            n_vectors = batch.n_tokens * prod(self.strides[i + 1 :])
            is_normed = self.norm == "layer" or i == 0
            found += n_vectors * n_channels * (3 if is_normed else 2)
        return found

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        n, sizes, found = batch.length, [1, *self.channels], []
        for i in reversed(range(len(self.channels))):  # n: the vectors that convolution i gives
            found.append(product(batch.n_rows * n, sizes[i] * self.kernels[i], sizes[i + 1]))
            n = (n - 1) * self.strides[i] + self.kernels[i]
        projected = product(batch.n_tokens, sizes[-1], d_model)
        formula = "Σ 2·frames·kernel·channels in·channels out + 2·T·channels·D"
        return trained(sum(found) + projected, formula, n_raw=found[-1])


@EMBEDDING.register(
    "waveform_frames",
    spec=WaveformFramesSpec,
    examples=[
        {"channels": [4, 6], "kernels": [5, 3], "strides": [3, 2]},
        {
            "channels": [5, 3, 4],
            "kernels": [4, 3, 2],
            "strides": [2, 1, 2],
            "conv_bias": True,
            "norm": "layer",
            "dropout": 0.1,
            "mask_probability": 0.2,
            "mask_length": 2,
            "min_masks": 1,
            "feature_mask_probability": 0.2,
            "feature_mask_length": 3,
        },
    ],
)
class WaveformFrames(nn.Module):
    """Convolutions over raw samples, each with GELU, then a norm and a projection of every frame.

    Source: Baevski et al. 2020 (wav2vec 2.0), section 2 and appendix B; masking: section 3.1 and Park et al. 2019.
        The numbers of spans and the parts are those of transformers' Wav2Vec2Model.
    Differs: samples that the mask hides count as zeros, which is how the reference pads. With norm "group" those zeros
        take part in the statistics over time, there and here: a padded recording is not what it is alone.
    Shapes: inputs [B, N], mask bool [B, N] with its padding at the end -> [B, S, D] and bool [B, S], S by `n_frames`;
        padded frames are zero, and a frame is real where all of its samples are.
    Raises: ValueError for inputs of another shape or too short for one frame, for types, and, on the CPU, for padding
        before a real sample.
    """

    def __init__(
        self,
        *,
        d_model: int,
        channels: tuple[int, ...],
        kernels: tuple[int, ...],
        strides: tuple[int, ...],
        conv_bias: bool,
        norm: Literal["group", "layer"],
        eps: float,
        dropout: float,
        mask_probability: float,
        mask_length: int,
        min_masks: int,
        feature_mask_probability: float,
        feature_mask_length: int,
        min_feature_masks: int,
    ) -> None:
        super().__init__()
        self.kernels = kernels
        self.strides = strides
        self.dropout = dropout
        self.frame_spans = (mask_probability, mask_length, min_masks)
        self.feature_spans = (feature_mask_probability, feature_mask_length, min_feature_masks)
        sizes = zip(pairwise((1, *channels)), kernels, strides, strict=True)
        convs = [
            nn.Conv1d(n_in, n_out, kernel, stride, bias=conv_bias) for (n_in, n_out), kernel, stride in sizes
        ]
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(
            [_OverChannels(size) for size in channels]
            if norm == "layer"
            else [nn.GroupNorm(channels[0], channels[0]), *(nn.Identity() for _ in channels[1:])]
        )
        self.feature_norm = nn.LayerNorm(channels[-1], eps=eps)
        self.projection = Linear(channels[-1], d_model)
        self.masked_frame = nn.Parameter(torch.empty(d_model)) if mask_probability else None
        self.draw_first_values()

    def draw_first_values(self) -> None:
        """See zoo.kinds.initialization; an initialisation sets the convolutions anew."""
        for conv in self.convs:
            nn.init.kaiming_normal_(cast(nn.Conv1d, conv).weight)
        if self.masked_frame is not None:
            nn.init.uniform_(self.masked_frame)

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        self._check(inputs, mask, types)
        x = inputs if mask is None else inputs.masked_fill(~mask, 0.0)
        x = x[:, None]  # [B, 1, N]
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.gelu(norm(conv(x)))  # [B, C, frames so far]
        x = self.projection(self.feature_norm(x.transpose(1, 2)))  # [B, S, D]
        x = drop(x, self.dropout, training=self.training)
        B, S, D = x.shape
        lengths = x.new_full((B,), S, dtype=torch.int64)
        if mask is not None:
            lengths = n_frames(mask.sum(dim=1), self.kernels, self.strides)
        if self.training and self.masked_frame is not None:
            spans = random_spans(lengths, S, *self.frame_spans)
            x = torch.where(spans[:, :, None], self.masked_frame.to(x.dtype), x)
        if self.training and self.feature_spans[0]:
            spans = random_spans(torch.full_like(lengths, D), D, *self.feature_spans)
            x = x.masked_fill(spans[:, None], 0.0)
        if mask is None:
            return x, None
        frames = torch.arange(S, device=x.device) < lengths[:, None]  # [B, S]
        return x.masked_fill(~frames[:, :, None], 0.0), frames

    def _check(self, inputs: Tensor, mask: Tensor | None, types: Tensor | None) -> None:
        if inputs.dim() != 2:
            raise ValueError(f"a waveform must be [B, N samples], not {list(inputs.shape)}")
        shortest = receptive_field(self.kernels, self.strides)
        if inputs.shape[1] < shortest:
            raise ValueError(f"{inputs.shape[1]} samples are too few for one frame, which takes {shortest}")
        if types is not None:
            raise ValueError("token types are given, but a waveform has none")
        if mask is None or mask.device.type != "cpu" or torch.compiler.is_compiling():
            return
        if bool((mask[:, 1:] & ~mask[:, :-1]).any()):
            raise ValueError(
                "the mask has padding before a real sample: a waveform must be padded at its end"
            )


class _OverChannels(nn.LayerNorm):
    """LayerNorm of each frame: [B, C, S] -> [B, C, S]."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


def n_frames(n_samples: Tensor, kernels: tuple[int, ...], strides: tuple[int, ...]) -> Tensor:
    """Frames that whole kernels make of so many samples; 0 or less where there are too few for one."""
    for kernel, stride in zip(kernels, strides, strict=True):
        n_samples = (n_samples - kernel) // stride + 1
    return n_samples


def receptive_field(kernels: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Samples that one frame is made of."""
    field = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        field = (field - 1) * stride + kernel
    return field


def random_spans(lengths: Tensor, n: int, probability: float, span: int, least: int) -> Tensor:
    """True in random spans of each row: lengths int64 [B], the places of a row that may be in one -> bool [B, n].

    A row of length L has probability · L / span of them, rounded up or down at random, and at least `least`, as far as
    there is room; they begin at different places and may overlap. Nothing is looked up, so no device is waited for.
    """
    places = torch.arange(n, device=lengths.device)
    rounding = torch.rand((), device=lengths.device)
    count = (lengths * (probability / span) + rounding).floor().clamp(min=least, max=n // span)  # [B]
    starts = (lengths - span + 1).clamp(min=0)[:, None]  # [B, 1], where a span has room
    scores = torch.rand(len(lengths), n, device=lengths.device).masked_fill(places >= starts, 2.0)
    begins = (scores.argsort(dim=1).argsort(dim=1) < count[:, None]) & (places < starts)  # [B, n]
    begun = begins.cumsum(dim=1)
    return begun - F.pad(begun, (span, 0))[:, :n] > 0
