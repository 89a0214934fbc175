"""What the corpora of recordings have in common."""

from __future__ import annotations

from pathlib import Path

from zoo.data.bad_lines import BadLines
from zoo.data.wav import read_wav
from zoo.kinds import Row


def recording(data: bytes, where: str, file: str, bad_lines: BadLines) -> Row | None:
    """What a wav file holds: waveform, rate and the file's name; a bad one is reported at `where`."""
    try:
        waveform, rate = read_wav(data)
    except ValueError as error:
        bad_lines.report(where, "no readable wav file", str(error))
        return None
    return {"waveform": waveform, "rate": rate, "file": file}


def wav_files(folder: Path) -> list[Path]:
    """The wav files below a folder, in the order of their paths."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".wav" and path.is_file())
