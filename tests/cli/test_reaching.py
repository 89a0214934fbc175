"""reach: gradient norms of several specs and runs, as a table, JSON and a figure."""

from __future__ import annotations

import json
import re

import pytest

import zoo as library
from zoo.drawing import pixels
from zoo.training.randomness import seed_all

FEW = ("--length", "11", "--rows", "2", "--directions", "3", "--device", "cpu")


def plain(found):
    return json.loads(json.dumps(found.as_dict()))


def test_specs_stand_side_by_side_each_with_new_weights_of_its_seed(zoo, tmp_path):
    words = ("char_gpt", "char_gpt", "model.decoder.layer.mixer=rnn", "training.seed=7", "--scale", "tiny")
    result = zoo("reach", *words, *FEW, "--json", "-o", "a.svg")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert [each["spec"] for each in found] == ["char_gpt", " ".join(words[1:4])]
    assert [each["weights"] for each in found] == ["new, by seed 1", "new, by seed 7"]
    run = library.load(*words[1:4], scale="tiny")
    seed_all(7, 0, 0)
    said = library.reach(run, library.build(run), length=11, rows=2, directions=3)
    assert found[1] == {"spec": found[1]["spec"], "weights": "new, by seed 7", **plain(said)}
    drawn = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "a.svg").read_text(encoding="utf-8"))
    assert f"{' '.join(words[1:4])}: {said.factor_text} a token" in drawn


def test_a_table_has_a_column_a_model_and_a_row_a_distance(zoo):
    words = ("char_gpt", "seq2seq_lstm", "model.position=none", "--scale", "tiny")
    lines = zoo("reach", *words, *FEW).stdout.splitlines()
    assert lines[2:4] == [
        "char_gpt: weights new, by seed 1",
        "[2] seq2seq_lstm model.position=none: weights new, by seed 1",
    ]
    assert [line.split()[0] for line in lines[4:12]] == [
        *("distance", "0", "1", "2", "4", "8", "10", "a"),
    ]
    run = library.load("char_gpt", scale="tiny")
    seed_all(1, 0, 0)
    said = library.reach(run, library.build(run), length=11, rows=2, directions=3)
    assert lines[9].split()[1] == f"{said.median[8]:.2e}"
    assert lines[11].split()[2:4] == said.factor_text.split()
    assert lines[12].startswith("of an encoder-decoder: at its source")


def test_a_run_is_measured_with_its_trained_weights(zoo, trained):
    folder, _ = trained
    (found,) = json.loads(zoo("reach", folder, *FEW, "--json").stdout)
    used = library.open(folder)
    said = library.reach(used.run, used.model, length=11, rows=2, directions=3)
    assert found == {"spec": found["spec"], "weights": f"of {used.checkpoint}", **plain(said)}
    refused = zoo("reach", folder, "model.d_model=8", *FEW)
    assert refused.exit_code == 2
    assert "the model is trained; only generation and task may change" in refused.stderr


def test_a_folder_of_a_presets_name_is_not_taken_for_a_run(zoo, tmp_path):
    (tmp_path / "char_gpt").mkdir()
    result = zoo("reach", "char_gpt", "--scale", "tiny", *FEW, "--json")
    assert json.loads(result.stdout)[0]["weights"] == "new, by seed 1"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no SPEC"),
        (
            ["char_gpt", "--length", "65"],
            "char_gpt: model.position.max_len: 64 positions end before a length",
        ),
        (["vit_small_fashion"], "vit_small_fashion: model.inputs: image_patches reads no tokens"),
        (["char_gpt", "--length", "0"], "--length: must be at least 1, got 0"),
        (
            ["char_gpt", "-o", "a.gif"],
            "--output a.gif: the name of a file is needed that ends in .svg or .png",
        ),
        (["char_gpt", "-o", "a.png"], "--output a.png: PNG needs matplotlib"),
        (["char_gpt", "--device", "tpu"], "no device is called 'tpu'"),
    ],
)
def test_what_it_cannot_do_is_refused(zoo, monkeypatch, words, message):
    monkeypatch.setattr(pixels, "can_draw", lambda: False)
    result = zoo("reach", *words, "--scale", "tiny")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
