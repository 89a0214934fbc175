"""Log-mel spectrograms: what Whisper hears."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-10
RANGE = 8.0
"""What lies so many powers of ten below the loudest place is raised to that."""


def log_mel(
    samples: NDArray[np.float32], *, rate: int, n_mels: int, window: int, hop: int
) -> NDArray[np.float32]:
    """samples [L] -> [N, n_mels], N = max(1, ⌊L / hop⌋): bands of the power around each hop-th sample.

    Powers of ten, no more than 8 below the greatest, plus 4, divided by 4.
    Source: Radford et al. 2022 (Whisper), section 2.2, and the authors' code; the bands are those of Slaney's Auditory
        Toolbox (1998), each with area 1.
    """
    half = window // 2
    n = max(1, len(samples) // hop)
    padded = np.pad(samples, half, mode="reflect" if len(samples) > 1 else "edge")
    padded = np.pad(padded, (0, max(0, (n - 1) * hop + window - len(padded))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][:n]  # [N, window]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2  # [N, window // 2 + 1]
    logs = np.log10(np.maximum(power @ mel_bands(rate, n_mels, window), FLOOR))
    return ((np.maximum(logs, logs.max() - RANGE) + 4) / 4).astype(np.float32)


def silence(spectrogram: NDArray[np.float32]) -> float:
    """What silence would be in a spectrogram of `log_mel`."""
    return float(max(spectrogram.max() - RANGE / 4, (np.log10(FLOOR) + 4) / 4))


@cache
def mel_bands(rate: int, n_mels: int, window: int) -> NDArray[np.float64]:
    """How much each frequency counts in each band [window // 2 + 1, n_mels]: triangles, evenly spread in mel."""
    edges = _hertz(np.linspace(0, _mel(rate / 2), n_mels + 2))
    frequencies = np.fft.rfftfreq(window, 1 / rate)[:, None]
    rising = (frequencies - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies) / np.diff(edges)[1:]
    bands = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(bands * 2 / (edges[2:] - edges[:-2]))


# Slaney's scale: linear below 1000 Hz, which is 15 mel, logarithmic above.
def _mel(hertz: float) -> float:
    return hertz * 0.015 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel / 0.015, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))
