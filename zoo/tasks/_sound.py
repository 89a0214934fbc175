"""What the tasks of speech have in common: from a recording to what the model hears."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from registry import Spec
from zoo.data.cache import Rejected
from zoo.data.collate import padded
from zoo.data.spectrogram import log_mel, silence
from zoo.data.store import Example, ExampleStore
from zoo.data.wav import read_wav
from zoo.errors import DataError
from zoo.kinds import Row
from zoo.tasks.task import Batch, Refusal, Task


class SoundSpec(Spec):
    sample_rate: int = Field(default=16_000, ge=1, le=1_000_000)
    """Samples a second that every recording must have; none is resampled."""
    window: int = Field(default=400, ge=2, le=65536)
    """Of a spectrogram: samples that a frame is made of (Whisper: 25 ms)."""
    hop: int = Field(default=160, ge=1, le=65536)
    """Of a spectrogram: samples from one frame to the next (Whisper: 10 ms)."""
    normalize: bool = True
    """Of a waveform: whether each recording is brought to mean 0 and variance 1 (wav2vec 2.0)."""
    max_seconds: float = Field(default=30.0, gt=0, le=86400)
    """Longest recording; a longer one is left out and counted."""
    masked_bands: int = Field(default=0, ge=0, le=65536)
    """Of a spectrogram: at most so many neighbouring bands are hidden in training (Park et al. 2019)."""
    masked_frames: int = Field(default=0, ge=0, le=65536)
    """Of a spectrogram: at most so many frames in a row are hidden in training, and not over half of them."""


def check_hearing(model: Spec) -> None:
    """Raises: ValueError for a model whose first input is no sound."""
    slot = next(iter(model.slots.values()))  # type: ignore[attr-defined]
    if not hasattr(slot, "hears"):
        raise ValueError(
            f"this task needs a model that hears (inputs of type waveform_frames or mel_frames); "
            f"this one reads {slot.type}"
        )


class HearingTask(Task):
    """Reads recordings. Examples have sound, and of a row that has what is learnt what `compared` says of it."""

    varies: ClassVar = True
    answered: ClassVar[str]
    """The field of a row that is learnt."""

    sound: Sound
    file_suffixes: ClassVar = frozenset({".wav"})
    file_fields: ClassVar = ("waveform", "audio", "file")

    def row_of_file(self, path: Path) -> Row:
        """The recording of a wav file."""
        try:
            waveform, rate = read_wav(path.read_bytes())
        except OSError as error:
            raise ValueError(error.strerror or str(error)) from None
        return {"waveform": waveform, "rate": rate, "file": str(path)}

    def row_of_numbers(self, row: Row) -> Row:
        waveform = np.asarray(row["waveform"], np.float32)
        if waveform.ndim != 1 or not len(waveform) or not np.isfinite(waveform).all():
            raise ValueError(f"a waveform is samples [N], not {list(waveform.shape)} or no finite numbers")
        if not isinstance(row.get("rate"), int):
            raise ValueError("it has no field 'rate': the samples a second, a whole number")
        return {**row, "waveform": waveform}

    def read(self, rows: Sequence[Row], model: nn.Module) -> Sequence[Example | Refusal]:
        return [self._read(row) for row in rows]

    def _read(self, row: Row) -> Example | Refusal:
        if why := self.sound.refusal(row):
            return Refusal(why)
        heard = self.sound.example(row)
        if isinstance(heard, Rejected):
            return Refusal(heard.detail)
        return {"sound": heard, **(self.compared(row) if self.answered in row else {})}

    def hidden(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor | None]:
        if "sound" not in batch.tensors:  # of a task that writes: the encoder's
            return super().hidden(model, batch)
        found: tuple[Tensor, Tensor | None] = model.hidden(batch["sound"], mask=batch.get("mask"))  # type: ignore[operator]
        return found

    def length(self, example: Example) -> int:
        return self.sound.n_vectors(example["sound"])

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        return self.sound.lengths(store)[:, None]

    def vary(self, example: Example, random: np.random.Generator, *, is_training: bool) -> Example:
        return self.sound.varied(example, random) if is_training else example


class Sound:
    """Between a row's waveform and the inputs of a model's first slot.

    Rows have waveform, float32 [L] in -1 to 1, and rate, its samples a second, and perhaps file, what it is called in
    messages. Examples have sound: samples [L], or frames [N, n_mels].
    """

    def __init__(self, spec: SoundSpec, model: Spec) -> None:
        self.spec = spec
        self.slot: Any = next(iter(model.slots.values()))  # type: ignore[attr-defined]
        self.is_spectrogram = self.slot.hears == "spectrogram"
        self.n_frames: int | None = getattr(self.slot, "n_frames", None)

    @property
    def recipe(self) -> str:
        """Changes with what decides how a recording becomes an example."""
        return f"{self.spec.model_dump_json()} {self.slot.model_dump_json()}"

    def refusal(self, row: Row) -> str:
        """Why a recording cannot be heard, whatever its length; "" if it can."""
        if row["rate"] == self.spec.sample_rate:
            return ""
        return (
            f"{row['rate']} samples a second, but task.sound.sample_rate is {self.spec.sample_rate}: set "
            f"task.sound.sample_rate={row['rate']} if all are so, or resample the recordings"
        )

    def require(self, row: Row) -> None:
        """Raises: DataError for a recording of another rate."""
        if why := self.refusal(row):
            raise DataError(f"{row.get('file', 'a recording')}: {why}")

    def example(self, row: Row) -> NDArray[np.float32] | Rejected:
        """What is heard of a recording of the right rate."""
        samples: NDArray[np.float32] = row["waveform"]
        seconds = len(samples) / self.spec.sample_rate
        if seconds > self.spec.max_seconds:
            detail = f"{seconds:.1f} seconds, over task.sound.max_seconds {self.spec.max_seconds:g}"
            return Rejected("over max_seconds", detail)
        heard = self._spectrogram(samples) if self.is_spectrogram else self._waveform(samples)
        if self.n_frames is not None and len(samples) > self.n_frames * self.spec.hop:
            return Rejected(
                "too long for the model", f"{seconds:.1f} seconds are more than {self.n_frames} frames"
            )
        if self.slot.n_vectors(len(heard)) < 1:
            return Rejected("too short for the model", f"{len(samples)} samples make no frame")
        return heard

    def _waveform(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self.spec.normalize:
            return samples.astype(np.float32)
        return ((samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)).astype(np.float32)

    def _spectrogram(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        spec, n_mels = self.spec, self.slot.n_mels
        given = {"rate": spec.sample_rate, "n_mels": n_mels, "window": spec.window, "hop": spec.hop}
        if self.n_frames is None:
            return log_mel(samples, **given)
        # With its silence to the end, all of which is alike, and is filled in where a batch is made.
        whole = np.pad(samples, (0, max(0, self.n_frames * spec.hop - len(samples))))
        kept = -(-(len(samples) + spec.window) // spec.hop)
        return log_mel(whole, **given)[:kept]

    def n_vectors(self, sound: NDArray[Any]) -> int:
        """Vectors that the model makes of what is heard."""
        n: int = self.slot.n_vectors(self.n_frames or len(sound))
        return n

    def lengths(self, store: ExampleStore) -> NDArray[np.integer]:
        """Vectors of each example [N]."""
        lengths = store.columns["sound"].lengths()
        known = {int(n): self.slot.n_vectors(self.n_frames or int(n)) for n in np.unique(lengths)}
        return np.array([known[int(n)] for n in lengths], np.int64)

    def tensors(self, examples: Sequence[Example]) -> tuple[Tensor, Tensor | None, int]:
        """The model's input, its mask, and the vectors that are real."""
        n_real = sum(self.n_vectors(example["sound"]) for example in examples)
        if not self.is_spectrogram:
            waveforms, mask = padded([example["sound"] for example in examples])
            return waveforms, mask, n_real
        if self.n_frames is None:
            frames, mask = padded([example["sound"] for example in examples])  # [B, N, n_mels]
            return frames.transpose(1, 2).contiguous(), mask, n_real
        whole = np.empty((len(examples), self.n_frames, self.slot.n_mels), np.float32)
        for row, example in zip(whole, examples, strict=True):
            row[:] = silence(example["sound"])
            row[: len(example["sound"])] = example["sound"]
        return torch.from_numpy(whole).transpose(1, 2).contiguous(), None, n_real

    def varied(self, example: Example, random: np.random.Generator) -> Example:
        """The same with a stretch of bands and one of frames hidden behind the mean."""
        if not self.is_spectrogram or not (self.spec.masked_bands or self.spec.masked_frames):
            return example
        sound = np.array(example["sound"])
        mean = sound.mean()
        for axis, most in ((1, self.spec.masked_bands), (0, self.spec.masked_frames)):
            size = sound.shape[axis]
            width = int(random.integers(0, min(most, size // 2) + 1))
            begin = int(random.integers(0, size - width + 1))
            sound[(slice(None),) * axis + (slice(begin, begin + width),)] = mean
        return {**example, "sound": sound}
