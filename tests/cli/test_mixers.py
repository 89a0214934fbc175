"""Mixers by the command line: listed, described, checked, trained in place of an attention, writing."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from zoo.cli.main import app

LSTM = "model.decoder.layer.mixer={type: lstm}"
BEAM = "generation={type: beam, beam_size: 3, length_penalty: none, max_length: 9}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A character model with LSTMs in place of attention."""
    folder = tmp_path_factory.mktemp("lstm") / "run"
    words = [
        "char_gpt",
        "--scale=tiny",
        LSTM,
        "training.precision=fp32",
        "training.accelerator=cpu",
        "training.schedule.peak_lr=1e-2",
    ]
    result = CliRunner().invoke(app, ["train", *words, "--quiet", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder


def test_a_mixer_learns_in_place_of_an_attention(run: Path) -> None:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["kind"] == "train"]
    assert losses[-1] < 0.65 * math.log(69)  # of guessing among all characters


@pytest.mark.parametrize("search", ["generation={type: greedy, max_length: 9}", BEAM])
def test_prompts_of_several_lengths_are_continued_as_each_alone(zoo: Any, run: Path, search: str) -> None:
    prompts = ["The happy m\n", "A\n", "The dog o\n", "Th\n"]
    together = zoo("generate", run, search, input="".join(prompts))
    assert together.exit_code == 0, together.stderr
    alone = [zoo("generate", run, search, input=prompt).stdout for prompt in prompts]
    assert together.stdout == "".join(alone)
    assert len(set(alone)) > 1


def test_mixers_are_listed_described_and_checked(zoo: Any) -> None:
    listed = zoo("list", "mixer").stdout
    assert {"lstm", "convolution", "fourier", "attentive_gru"} <= {
        line.split()[0] for line in listed.splitlines()
    }
    described = zoo("describe", "mixer/lstm").stdout
    assert "d_hidden: an integer or null" in described
    assert zoo("check", "seq2seq_bahdanau").stdout.startswith("seq2seq_bahdanau: ok, 3,460,864 parameters")
    refused = zoo("show", "char_gpt", "model.decoder.layer.mixer=fourier")
    assert refused.exit_code == 2
    assert "model.decoder.layer.mixer: a Fourier transform sees the whole sequence" in refused.stderr
    shown = zoo("show", "char_gpt", LSTM).stdout
    assert "self_attention: null" in shown
    Path("shown.yaml").write_text(shown)
    assert zoo("check", "shown.yaml").exit_code == 0


def test_no_config_of_another_library_says_a_mixer(zoo: Any, run: Path) -> None:
    refused = zoo("export", run, "elsewhere")
    assert refused.exit_code == 2
    assert "model.decoder.layers.0.mixer is lstm, and a config of it gives null" in refused.stderr
