"""Recordings: wav files, spectrograms, and the corpora that give them."""

from __future__ import annotations

import io
import struct
import tarfile
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import WhisperFeatureExtractor

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.data.spectrogram import log_mel, silence
from zoo.data.wav import read_wav
from zoo.errors import DataError
from zoo.kinds import CORPUS, Row


def wav(values: NDArray[Any], *, rate: int = 8000, n_channels: int = 1) -> bytes:
    """A file of samples of 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(n_channels)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(values.astype("<i2").tobytes())
    return file.getvalue()


SAMPLES = np.array([0, 16384, -32768, 3])


def test_samples_of_16_bits_are_between_minus_1_and_1() -> None:
    found, rate = read_wav(wav(SAMPLES, rate=11025))
    assert rate == 11025
    assert found.tolist() == [0, 0.5, -1, np.float32(3 / 32768)]


def test_channels_are_averaged() -> None:
    found, _ = read_wav(wav(SAMPLES, n_channels=2))
    assert found.tolist() == [0.25, np.float32((-32768 + 3) / 65536)]


@pytest.mark.parametrize(
    ("width", "raw", "expected"),
    [
        (1, bytes([128, 0, 192]), [0, -1, 0.5]),
        (3, bytes([0, 0, 64, 0, 0, 128]), [0.5, -1]),
        (4, bytes([0, 0, 0, 64]), [0.5]),
    ],
)
def test_other_widths_are_read(width: int, raw: bytes, expected: list[float]) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(width)
        writer.setframerate(8000)
        writer.writeframes(raw)
    assert read_wav(file.getvalue())[0].tolist() == expected


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"no wav file at all, but text", "does not begin as a wav file does"),
        (b"", "the file is empty"),
        (b"text, perhaps", "does not begin as a wav file does"),
        (b"RIFF", "ends early"),
        (wav(SAMPLES)[:-3], "samples, where 4 are announced"),
        (wav(SAMPLES[:0]), "no sample"),
    ],
)
def test_what_is_no_wav_file_is_said(data: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_wav(data)


def test_a_spectrogram_is_that_of_whisper() -> None:
    samples = np.random.default_rng(3).normal(0, 0.1, 16000).astype(np.float32)
    samples[5000:9000] += np.sin(np.arange(4000) / 7).astype(np.float32)
    reference = WhisperFeatureExtractor(feature_size=80)
    expected = reference(samples, sampling_rate=16000, return_tensors="np")["input_features"][0]  # [80, 3000]
    whole = np.pad(samples, (0, 3000 * 160 - len(samples)))
    found = log_mel(whole, rate=16000, n_mels=80, window=400, hop=160)
    assert found.shape == (3000, 80)
    np.testing.assert_allclose(found.T, expected, atol=2e-4)
    assert silence(found[:103]) == pytest.approx(float(expected[:, -1].max()), abs=2e-4)


def test_even_one_sample_has_a_frame() -> None:
    assert log_mel(np.ones(1, np.float32), rate=8000, n_mels=5, window=64, hop=32).shape == (1, 5)


def rows(corpus: Any, split: str = "train", policy: Any = "error") -> list[Row]:
    return list(corpus.rows(split, bad_lines=BadLines(policy)))


def built(name: str, **fields: Any) -> Any:
    return CORPUS.build(parse(CORPUS.entry(name).spec, fields))


def folder_of(tmp_path: Path) -> Path:
    folder = tmp_path / "sound"
    (folder / "deep").mkdir(parents=True)
    for name in ("7_anna_0.wav", "deep/3_ben_12.wav"):
        (folder / name).write_bytes(wav(SAMPLES))
    (folder / "notes.txt").write_text("no sound")
    return folder


def test_a_folder_and_an_archive_of_it_give_the_same(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    with tarfile.open(tmp_path / "sound.tar.gz", "w:gz") as archive:
        for path in sorted(folder.rglob("*.wav")):
            archive.add(path, path.relative_to(folder))
    corpus = built(
        "wav_folder",
        train=str(folder),
        dev=str(tmp_path / "sound.tar.gz"),
        pattern="{label}_{speaker}_{index}.wav",
    )
    one, other = rows(corpus), rows(corpus, "dev")
    assert [row["label"] for row in one] == [row["label"] for row in other] == ["7", "3"]
    for row, twin in zip(one, other, strict=True):
        assert row["rate"] == 8000
        np.testing.assert_array_equal(row["waveform"], twin["waveform"])
    before = corpus.fingerprint("train")
    (folder / "8_anna_1.wav").write_bytes(wav(SAMPLES))
    assert corpus.fingerprint("train") != before


def test_folders_by_class_are_the_default(tmp_path: Path) -> None:
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "a b.WAV").write_bytes(wav(SAMPLES))
    corpus = built("wav_folder", train=str(tmp_path), dev=str(tmp_path))
    assert [row["label"] for row in rows(corpus)] == ["yes"]


def test_bad_recordings_in_a_folder_are_named_or_counted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "1_anna_9.wav").write_bytes(b"no sound")
    corpus = built("wav_folder", train=str(folder), dev=str(folder), pattern="{label}_{speaker}_{index}.wav")
    with pytest.raises(DataError, match=r"1_anna_9\.wav: no readable wav file"):
        rows(corpus)
    assert len(rows(corpus, policy="skip")) == 2
    other = built("wav_folder", train=str(folder), dev=str(folder), pattern="{label}-{speaker}.wav")
    with pytest.raises(DataError, match=r"another name: not as \{label\}-\{speaker\}\.wav"):
        rows(other)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("x.tar", b"no archive", "no whole archive"),
        ("x.tar.gz", None, "no whole archive"),
        ("absent", b"", "cannot be read: No such"),
    ],
)
def test_what_is_no_archive_is_said(tmp_path: Path, name: str, content: bytes | None, fault: str) -> None:
    path = tmp_path / name
    if content is None:  # cut off
        noise = np.random.default_rng(1).integers(-9999, 9999, 30000)
        (tmp_path / "a.wav").write_bytes(wav(noise))
        with tarfile.open(path, "w:gz") as archive:
            archive.add(tmp_path / "a.wav", "x/a.wav")
        path.write_bytes(path.read_bytes()[:20000])
    elif name != "absent":
        path.write_bytes(content)
    with pytest.raises(DataError, match=fault):
        rows(built("wav_folder", train=str(path), dev=str(path)))


def test_a_folder_without_recordings_and_a_pattern_without_label_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no wav file in it"):
        rows(built("wav_folder", train=str(tmp_path), dev=str(tmp_path)))
    with pytest.raises(SpecError, match=r"must have \{label\} in it, once"):
        built("wav_folder", train="a", dev="a", pattern="{speaker}.wav")


def manifest(tmp_path: Path, text: str, **fields: Any) -> Any:
    folder_of(tmp_path)
    (tmp_path / "train.tsv").write_text(text, encoding="utf-8")
    given = {"train": str(tmp_path / "train.tsv"), "dev": str(tmp_path / "train.tsv")}
    return built("wav_manifest", **given, **(fields or {"text_column": "said"}))


def test_a_table_names_recordings_and_what_is_said(tmp_path: Path) -> None:
    corpus = manifest(tmp_path, "path\tsaid\nsound/7_anna_0.wav\tseven\nsound/deep/3_ben_12.wav\tthree\n")
    assert [row["text"] for row in rows(corpus)] == ["seven", "three"]
    assert rows(corpus)[0]["waveform"].shape == (4,)
    before = corpus.fingerprint("train")
    (tmp_path / "sound/7_anna_0.wav").write_bytes(wav(np.arange(9)))
    assert corpus.fingerprint("train") != before


def test_a_csv_table_may_quote(tmp_path: Path) -> None:
    text = 'label,path,said\n7,sound/7_anna_0.wav,"seven, I said"\n'
    corpus = manifest(tmp_path, text, separator="comma", text_column="said", label_column="label")
    (row,) = rows(corpus)
    assert (row["text"], row["label"]) == ("seven, I said", "7")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("sound/absent.wav\tx", r"train\.tsv:3: unreadable file: .*absent\.wav: No such file"),
        ("sound/notes.txt\tx", r"train\.tsv:3: no readable wav file"),
        ("sound/7_anna_0.wav", r"train\.tsv:3: missing column: column 2 is wanted, and there is 1"),
        ("sound/7_anna_0.wav\t ", r"train\.tsv:3: empty cell: nothing in column said"),
        ("a\0b\tx", r"train\.tsv:3: NUL"),
    ],
)
def test_bad_lines_of_a_table_are_named_or_counted(tmp_path: Path, line: str, fault: str) -> None:
    corpus = manifest(tmp_path, f"path\tsaid\nsound/7_anna_0.wav\tseven\n{line}\n")
    with pytest.raises(DataError, match=fault):
        rows(corpus)
    assert len(rows(corpus, policy="skip")) == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("file\tsaid\nx\ty\n", "train.tsv:1: no column path; there are file, said"),
        ("path\tsaid\n", "no line"),
    ],
)
def test_a_table_without_columns_or_lines_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        rows(manifest(tmp_path, text))


def test_a_table_of_nothing_is_refused() -> None:
    with pytest.raises(SpecError, match="text_column or label_column"):
        built("wav_manifest", train="a", dev="b")


def test_tones_are_the_same_for_the_same_seed_and_their_pitch_is_that_of_their_letter() -> None:
    corpus = built("tones", n_train=40, n_dev=3, n_test=3)
    one, other = rows(corpus), rows(built("tones", n_train=60))
    for row, twin in zip(one, other, strict=False):
        np.testing.assert_array_equal(row["waveform"], twin["waveform"])
        assert row["text"].split()[-1] == row["label"]
    hertz = dict(zip("cdefgab", (261.6, 293.7, 329.6, 349.2, 392.0, 440.0, 493.9), strict=True))
    for row in (row for row in one if len(row["text"]) == 1):
        spectrum = np.abs(np.fft.rfft(row["waveform"], 40000))
        assert spectrum.argmax() * row["rate"] / 40000 == pytest.approx(hertz[row["label"]], abs=4)


def riff(coding: int, raw: bytes, *, width: int, size: int | None = None, further: bytes = b"") -> bytes:
    """A file of one channel as other programs write it: a chunk that says nothing, an extensible header if asked."""
    fmt = struct.pack("<HHIIHH", coding, 1, 8000, 8000 * width, width, 8 * width) + further
    chunks = struct.pack("<4sI", b"fmt ", len(fmt)) + fmt + b"LIST" + struct.pack("<I", 3) + b"abc\0"
    data = struct.pack("<4sI", b"data", len(raw) if size is None else size) + raw
    return b"RIFF" + struct.pack("<I", 4 + len(chunks + data)) + b"WAVE" + chunks + data


EXTENDED = struct.pack("<HHI", 22, 16, 4) + struct.pack("<H", 1) + bytes(14)


def test_floats_extensible_headers_and_files_out_of_a_pipe_are_read() -> None:
    halves = np.array([0, 0.5, -1, 1.25])
    for width in (4, 8):
        found, rate = read_wav(riff(3, halves.astype(f"<f{width}").tobytes(), width=width))
        assert (found.tolist(), rate) == (halves.tolist(), 8000)
    raw = SAMPLES.astype("<i2").tobytes()
    expected = read_wav(wav(SAMPLES))[0].tolist()
    assert read_wav(riff(0xFFFE, raw, width=2, further=EXTENDED))[0].tolist() == expected
    assert read_wav(riff(1, raw, width=2, size=0xFFFFFFFF))[0].tolist() == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            riff(6, bytes(9), width=1),
            r"samples are coded as 6 \(A-law\); PCM \(1\) and floats \(3\) are read",
        ),
        (riff(3, bytes(6), width=2), "samples of 16 bits"),
        (riff(3, np.array([0, np.nan], "<f4").tobytes(), width=4), "sample 2 is no finite number"),
        (riff(1, bytes(9), width=2)[:-30], "the file ends early"),
    ],
    ids=["A-law", "halves", "nan", "cut"],
)
def test_what_is_no_number_is_said(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_wav(data)
