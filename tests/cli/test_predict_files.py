"""zoo predict with files that are a row each: images, recordings, series; by path, in lines, in JSON lines."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import zoo as api
from zoo.cli.main import app
from zoo.data.wav import read_wav

FEW = (
    "--scale=tiny",
    "--quiet",
    "training.max_steps=3",
    "training.validate_every=3",
    "training.precision=fp32",
    "training.accelerator=cpu",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder, made = tmp_path_factory.mktemp("runs"), {}

    def run(preset: str) -> Path:
        if preset not in made:
            made[preset] = folder / preset
            result = CliRunner().invoke(app, ["train", preset, *FEW, "--out", str(made[preset])])
            assert result.exit_code == 0, result.output
        return made[preset]

    return run


def answers(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def picture(path: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(len(path)).integers(0, 256, shape, dtype=np.uint8)
    image.fromarray(pixels).save(path)
    return pixels


def test_images_by_path_by_line_by_field_and_as_numbers_are_one(zoo: Any, runs: Any) -> None:
    run = runs("vit_small_fashion")
    pixels = picture("a.png", (12, 12))
    picture("bb.png", (20, 31, 3))
    Path("bad.png").write_bytes(b"no image")
    result = zoo("predict", run, "a.png", "bad.png", "bb.png")
    first, bad, other = answers(result)
    assert [each["file"] for each in (first, bad, other)] == ["a.png", "bad.png", "bb.png"]
    assert result.stderr == f"bad.png: {bad['refused']}: no answer\n"
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    # Sums are rounded in another way in another batch.
    same = pytest.approx(first["probabilities"], abs=1e-5)
    (alone,) = answers(zoo("predict", run, "a.png"))
    assert (alone["probabilities"], "file" in alone) == (same, False)
    (by_line,) = answers(zoo("predict", run, input="a.png\n"))
    assert (by_line["probabilities"], by_line["file"]) == (same, "a.png")
    Path("deep").mkdir()
    Path("deep/rows.jsonl").write_text(
        json.dumps({"image": "../a.png"}) + "\n" + json.dumps({"image": pixels.tolist()}) + '\n{"image": 3}\n'
    )
    by_field, by_numbers, none = answers(zoo("predict", run, "deep/rows.jsonl"))
    assert (by_field["probabilities"], by_field["file"]) == (same, "../a.png")
    assert by_numbers["probabilities"] == same
    assert none == {"refused": "its field 'image': an image is whole numbers from 0 to 255, [height, width] or "
                    "[height, width, channels]"}  # fmt: skip
    found = api.predict(run, [Path("a.png"), "a.png", pixels, {"image": pixels}, {"image": "a.png"}])
    assert all(each["probabilities"] == same for each in found)
    (vector,) = answers(zoo("predict", run, "a.png", "--embed"))
    assert len(vector["vector"]) == api.open(run).spec.model.d_model  # type: ignore[attr-defined]


def test_recordings_by_path_and_a_broken_one(zoo: Any, runs: Any) -> None:
    run = runs("spoken_digits")
    for name, rate in (("a.wav", 4000), ("fast.wav", 8000)):
        with wave.open(name, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes((np.sin(np.arange(3000) * 0.3) * 9000).astype("<i2").tobytes())
    Path("bad.wav").write_bytes(b"RIFF")
    first, fast, bad = answers(zoo("predict", run, "a.wav", "fast.wav", "bad.wav"))
    assert first["label"] in first["probabilities"]
    assert fast["refused"].startswith("8000 samples a second, but task.sound.sample_rate is 4000")
    assert set(bad) == {"file", "refused"}
    waveform, rate = read_wav(Path("a.wav").read_bytes())
    found = api.predict(run, ["a.wav", {"audio": "a.wav"}, {"waveform": waveform, "rate": rate}, waveform])
    assert [each.get("label") for each in found] == [first["label"]] * 3 + [None]
    assert found[3] == {
        "refused": "its field 'waveform': it has no field 'rate': the samples a second, a whole number"
    }
    assert len(api.predict(run, ["a.wav"], embed=True)[0]["vector"]) == api.open(run).spec.model.d_model  # type: ignore[attr-defined]


def test_a_series_in_a_csv_file_is_forecast_from_its_end(zoo: Any, runs: Any) -> None:
    run = runs("patch_tst")
    series = np.random.default_rng(3).normal(size=(60, 3)).round(3)
    lines = [f"{i}," + ",".join(map(str, row)) for i, row in enumerate(series)]
    Path("a.csv").write_text("\n".join(["date,x,y,z", *lines]) + "\n")
    Path("short.csv").write_text("\n".join(["date,x,y,z", *lines[:20]]) + "\n")
    Path("bad.csv").write_text("date,x,y,z\n1,2,3,four\n")
    found, short, bad = answers(zoo("predict", run, "a.csv", "short.csv", "bad.csv"))
    expected = api.predict(run, [{"series": series.tolist()}, series])
    for each in expected:
        np.testing.assert_allclose(each["forecast"], found["forecast"], rtol=1e-4, atol=1e-5)
    assert short["refused"] == "20 values, but the model looks back at 48"
    assert bad["refused"] == "line 2: no number: 'four' in column z"
    assert len(api.predict(run, ["a.csv"], embed=True)[0]["vector"]) == api.open(run).spec.model.d_model  # type: ignore[attr-defined]


def test_lines_stay_lines_where_a_task_reads_text(zoo: Any, trained: Any) -> None:
    folder, _ = trained
    assert api.predict(folder, [Path("a.png")]) == [{"refused": "the task reads source, and this is a.png"}]


def test_why_a_file_is_refused_is_said_without_its_name(zoo: Any, runs: Any) -> None:
    Path("text.csv").write_text("date,a\n1,2\n2,words\n")
    Path("empty.csv").write_text("")
    result = zoo("predict", runs("patch_tst"), "text.csv", "empty.csv")
    first, second = answers(result)
    assert (first["file"], second["file"]) == ("text.csv", "empty.csv")
    assert first["refused"].startswith("line ")
    assert second["refused"] == "the file is empty"
    assert "empty.csv: the file is empty: no answer" in result.stderr
    Path("list.txt").write_text("text.csv\n\n")
    _, blank = answers(zoo("predict", runs("patch_tst"), "list.txt"))
    assert blank["refused"] == "an empty line, where the path of a file is asked for"
