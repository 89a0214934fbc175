"""Speech as the frames of a mel spectrogram."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.costs import Cost, product, trained
from zoo.kinds import EMBEDDING
from zoo.sizes import Batch


class MelFramesSpec(Spec):
    hears: ClassVar[Literal["spectrogram"]] = "spectrogram"

    type: Literal["mel_frames"] = "mel_frames"
    n_mels: int = Field(80, ge=1, le=65536)
    """Bands of the spectrogram."""
    n_frames: int | None = Field(None, ge=1, le=10_000_000)
    """Frames that every spectrogram must have, shorter ones being filled up (Whisper: 3000); None: any number."""

    @property
    def length(self) -> int | None:
        """S, where all spectrograms have one length."""
        return None if self.n_frames is None else -(-self.n_frames // 2)

    def n_vectors(self, n: int) -> int:
        """Vectors that so many frames give."""
        return -(-n // 2)

    def example_inputs(self, batch: int) -> tuple[Tensor, Tensor | None]:
        """Random inputs for a trial and their mask; the last row is padded."""
        n = self.n_frames or 11
        mask = torch.ones(batch, n, dtype=torch.bool)
        mask[-1, n // 2 + 1 :] = False
        return torch.randn(batch, self.n_mels, n), mask

    def n_parameters(self, *, d_model: int) -> int:
        return (3 * self.n_mels + 1) * d_model + (3 * d_model + 1) * d_model

    def n_kept(self, *, d_model: int, batch: Batch) -> int:
        return batch.n_tokens * (
            2 * self.n_mels + 5 * d_model
        )  # two frames a vector, before the second convolution

    def cost(self, *, d_model: int, batch: Batch) -> Cost:
        n_frames = self.n_frames or 2 * batch.length
        inner = product(batch.n_rows * n_frames, 3 * self.n_mels, d_model)
        outer = product(batch.n_rows * -(-n_frames // 2), 3 * d_model, d_model)
        return trained(inner + outer, "6·D·(2·T·n_mels + T·D)", n_raw=inner)


@EMBEDDING.register("mel_frames", spec=MelFramesSpec, examples=[{"n_mels": 7}, {"n_mels": 5, "n_frames": 8}])
class MelFrames(nn.Module):
    """Two convolutions of three frames over a log-mel spectrogram, each with GELU; the second halves the length.

    Source: Radford et al. 2022 (Whisper), section 2.2.
    Differs: with a mask, padded frames count as the zeros beyond a spectrogram's ends, so that a padded recording
        gives what it gives alone; Whisper takes no mask, its 30 seconds being all real.
    Shapes: inputs [B, n_mels, N], mask bool [B, N] -> [B, S, D] and bool [B, S], S = ⌈N/2⌉; vector i is real where
        frame 2i is.
    Raises: ValueError for another number of bands or frames, and for types.
    """

    def __init__(self, *, d_model: int, n_mels: int, n_frames: int | None) -> None:
        super().__init__()
        self.n_mels = n_mels
        self.n_frames = n_frames
        self.inner = nn.Conv1d(n_mels, d_model, kernel_size=3, padding=1)
        self.outer = nn.Conv1d(d_model, d_model, kernel_size=3, stride=2, padding=1)

    def forward(
        self, inputs: Tensor, *, mask: Tensor | None, types: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        if (
            inputs.dim() != 3
            or inputs.shape[1] != self.n_mels
            or self.n_frames not in (None, inputs.shape[2])
        ):
            frames = f"{self.n_frames or 'N'} frames"
            raise ValueError(
                f"a spectrogram must be [B, {self.n_mels} bands, {frames}], not {list(inputs.shape)}"
            )
        if types is not None:
            raise ValueError("token types are given, but a spectrogram has none")
        hidden = F.gelu(self.inner(_real(inputs, mask)))  # [B, D, N]
        x = F.gelu(self.outer(_real(hidden, mask)))  # [B, D, S]
        # Contiguous: of strided places an exported graph would be for odd lengths alone.
        return x.transpose(1, 2).contiguous(), None if mask is None else mask[:, ::2].contiguous()


def _real(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x.masked_fill(~mask[:, None], 0.0)
