"""Recordings in wav files, as numbers.

Read here, for the standard library knows neither floats nor extensible headers in Python 3.11, and scipy gives what is
there of a file that ends early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
CODINGS = {2: "Microsoft's ADPCM", 6: "A-law", 7: "µ-law", 17: "IMA ADPCM", 80: "MPEG", 85: "MP3"}
"""What else a file may say, for a message."""
READ_TYPES = {(PCM, 1): "u1", (PCM, 2): "<i2", (PCM, 4): "<i4", (FLOAT, 4): "<f4", (FLOAT, 8): "<f8"}
"""By coding and bytes of a sample."""
UNKNOWN_SIZE = 0xFFFFFFFF
"""What programs announce that write into a pipe."""


def read_wav(data: bytes) -> tuple[NDArray[np.float32], int]:
    """Samples [N] in -1 to 1 and how many there are a second; of several channels the mean.

    PCM of 8, 16, 24 and 32 bits, and floats of 32 and 64, which may go beyond 1; the header may be an extensible one.
    Source: Microsoft, "Multiple Channel Audio Data and WAVE Files" (2007).
    Raises: ValueError, saying why, for bytes that are no such file, that end early, or that hold no sample.
    """
    if data[:4] != b"RIFF":
        raise ValueError("it does not begin as a wav file does, with RIFF" if data else "the file is empty")
    coding, n_channels, rate, width = 0, 0, 0, 0
    for name, size, chunk in _chunks(data):
        if name == b"fmt ":
            coding, n_channels, rate, width = _format(chunk)
        elif name == b"data":
            return _samples(chunk, size, coding, n_channels, width), rate
    raise ValueError("the file ends early, before any sample")


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """The name of each chunk, how many bytes it announces, and those that are there."""
    place = 12
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name, size, data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2  # a chunk of an odd length is filled up


def _format(chunk: bytes) -> tuple[int, int, int, int]:
    """Coding, channels, samples a second, and bytes of a sample."""
    if len(chunk) < 16:
        raise ValueError("the file ends early, within its format")
    coding, n_channels, rate, _, block, _ = struct.unpack_from("<HHIIHH", chunk)
    if coding == EXTENSIBLE and len(chunk) >= 26:
        (coding,) = struct.unpack_from("<H", chunk, 24)
    if coding not in (PCM, FLOAT):
        name = f" ({CODINGS[coding]})" if coding in CODINGS else ""
        raise ValueError(f"samples are coded as {coding}{name}; PCM (1) and floats (3) are read")
    if not n_channels or not rate or block % n_channels:
        raise ValueError(f"{n_channels} channels, {rate} samples a second, {block} bytes of all channels")
    return coding, n_channels, rate, block // n_channels


def _samples(raw: bytes, size: int, coding: int, n_channels: int, width: int) -> NDArray[np.float32]:
    if coding == PCM and width == 3:  # each with a byte of zeros below
        padded = np.zeros((len(raw) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(raw, np.uint8, len(raw) // 3 * 3).reshape(-1, 3)
        raw, size, width = padded.tobytes(), size // 3 * 4, 4
    if (coding, width) not in READ_TYPES:
        raise ValueError(f"samples of {8 * width} bits" if coding else "samples before their format")
    n_read = len(raw) // (width * n_channels)
    n = n_read if size == UNKNOWN_SIZE else size // (width * n_channels)
    if n_read < n:
        raise ValueError(f"{n_read} samples, where {n} are announced")
    if not n:
        raise ValueError("no sample in it")
    values = np.frombuffer(raw, READ_TYPES[coding, width], n * n_channels).astype(np.float64)
    if coding == PCM:
        values = (values - 128) / 128 if width == 1 else values / 2.0 ** (8 * width - 1)
    elif not np.isfinite(values).all():
        raise ValueError(
            f"sample {int(np.flatnonzero(~np.isfinite(values))[0]) // n_channels + 1} is no finite number"
        )
    return values.reshape(n, n_channels).mean(1).astype(np.float32)
