"""Recordings in wav files, as numbers."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

READ_TYPES = {1: "u1", 2: "<i2", 4: "<i4"}


def read_wav(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Samples [N] in -1 to 1 and how many there are a second; of several channels the mean.

    PCM of 8, 16, 24 and 32 bits.
    Raises: ValueError, saying why, for bytes that are no such file, that end early, or that hold no sample.
    """
    if data[:4] != b"RIFF":
        raise ValueError("it does not begin as a wav file does, with RIFF" if data else "the file is empty")
    try:
        with wave.open(io.BytesIO(data)) as file:
            n_channels, width, rate, n = file.getparams()[:4]
            raw = file.readframes(n)
    except (wave.Error, EOFError) as error:
        raise ValueError(str(error) or "the file ends early") from None
    if width == 3:  # each with a byte of zeros below
        padded = np.zeros((len(raw) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw[: len(raw) // 3 * 3], np.uint8).reshape(-1, 3)
        raw, width = padded.tobytes(), 4
    if width not in READ_TYPES:
        raise ValueError(f"samples of {8 * width} bits")
    n_read = len(raw) // (width * n_channels)
    if n_read < n:
        raise ValueError(f"{n_read} samples, where {n} are announced")
    if not n:
        raise ValueError("no sample in it")
    values = np.frombuffer(raw, READ_TYPES[width], n * n_channels).astype(np.float64)
    values = (values - 128) / 128 if width == 1 else values / 2.0 ** (8 * width - 1)
    return values.reshape(n, n_channels).mean(1).astype(np.float32), rate
