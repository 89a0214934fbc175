"""The embedded corpus of sound: sequences of tones, each a letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from zoo.data.bad_lines import BadLines
from zoo.kinds import CORPUS, CorpusSpec, Row
from zoo.storage.hashing import sha256_of_text

NOTES = "cdefgab"
SEMITONES = (0, 2, 4, 5, 7, 9, 11)
LOWEST = 261.63
"""Hertz of c."""
NUMBERS = {"train": 0, "dev": 1, "test": 2}


class TonesSpec(CorpusSpec):
    fields: ClassVar = ("waveform", "rate", "text", "label")

    type: Literal["tones"] = "tones"
    n_train: int = Field(2_000, ge=1, le=1_000_000)
    """Training recordings."""
    n_dev: int = Field(100, ge=1, le=100_000)
    """Recordings to validate on."""
    n_test: int = Field(100, ge=1, le=100_000)
    """Recordings to test on."""
    rate: int = Field(4_000, ge=2_000, le=192_000)
    """Samples a second."""
    seconds: float = Field(0.1, gt=0, le=10)
    """How long a tone is, on average."""
    most_tones: int = Field(5, ge=1, le=100)
    """Tones of a recording, at most."""
    seed: int = Field(1, ge=0, le=2**32 - 1)
    """Another seed, other recordings."""


@CORPUS.register("tones", spec=TonesSpec, examples=[{"n_train": 23, "n_dev": 5, "n_test": 7}])
class Tones:
    """Recordings of one to five tones of an octave, in noise; text: their letters, in words of one tone.

    label is the last tone's letter. Tones differ in length and loudness, and have overtones.
    """

    def __init__(
        self,
        *,
        n_train: int,
        n_dev: int,
        n_test: int,
        rate: int,
        seconds: float,
        most_tones: int,
        seed: int,
    ) -> None:
        self._sizes = {"train": n_train, "dev": n_dev, "test": n_test}
        self._rate, self._seconds, self._most, self._seed = rate, seconds, most_tones, seed

    def splits(self) -> list[str]:
        """Train, dev and test."""
        return list(self._sizes)

    def where(self, split: str) -> str:
        """A name for messages."""
        return f"tones, {split}"

    def rows(self, split: str, *, bad_lines: BadLines) -> Iterator[Row]:
        """The recordings of a split; none of them is bad."""
        for number in range(self._sizes[split]):
            key = np.array([self._seed, NUMBERS[split] << 32 | number], np.uint64)
            yield self._row(f"tones/{split}/{number}", np.random.Generator(np.random.Philox(key=key)))

    def fingerprint(self, split: str) -> str:
        """SHA-256 of what the recordings are made by."""
        given = (self._sizes[split], self._rate, self._seconds, self._most, self._seed, split)
        return sha256_of_text(f"tones 1 {given}")

    def _row(self, name: str, random: np.random.Generator) -> Row:
        n = int(random.integers(1, self._most + 1))
        notes = random.integers(0, len(NOTES), n)
        gap = np.zeros(int(0.2 * self._seconds * self._rate))
        parts: list[NDArray[np.float64]] = [gap]
        for note in notes:
            parts += [self._tone(LOWEST * 2 ** (SEMITONES[note] / 12), random), gap]
        sound = np.concatenate(parts)
        sound += random.normal(0, 0.01, len(sound))
        letters = [NOTES[note] for note in notes]
        waveform = sound.astype(np.float32)
        return {
            "waveform": waveform,
            "rate": self._rate,
            "text": " ".join(letters),
            "label": letters[-1],
            "file": name,
        }

    def _tone(self, hertz: float, random: np.random.Generator) -> NDArray[np.float64]:
        n = int(self._seconds * self._rate * random.uniform(0.7, 1.3))
        angle = 2 * np.pi * hertz * np.arange(n) / self._rate + random.uniform(0, 2 * np.pi)
        tone: NDArray[np.float64] = np.sin(angle) + 0.3 * np.sin(2 * angle)
        return random.uniform(0.2, 0.6) * tone * np.hanning(n)
