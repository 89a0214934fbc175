"""draw: one architecture or two, as a list and as a picture."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest


def test_an_architecture_is_listed_from_the_output_down(zoo):
    assert zoo("draw", "transformer_base").stdout.splitlines() == [
        "transformer_base: d_model 512, 63,045,632 parameters",
        "  head: language_model  tied yes, predicts target",
        "  decoder",
        "    6 ×",
        "      layout: post_norm  fork → sublayer → add → norm",
        "        ffn: mlp  d_ff 2,048, activation relu, norm layer_norm",
        "        cross_attention: multi_head  cross-attention, n_heads 8",
        "        self_attention: multi_head  causal self-attention, n_heads 8",
        "    + position: sinusoidal",
        "    target: tokens  vocab_size 37,000, shared with source",
        "  encoder",
        "    6 ×",
        "      layout: post_norm  fork → sublayer → add → norm",
        "        ffn: mlp  d_ff 2,048, activation relu, norm layer_norm",
        "        self_attention: multi_head  self-attention, n_heads 8",
        "    + position: sinusoidal",
        "    source: tokens  vocab_size 37,000",
    ]


def test_what_differs_is_starred_in_both_and_drawn_broad(zoo, tmp_path):
    words = ("gpt2", "model.decoder.layer.ffn=glu", "--scale", "tiny")
    listed = zoo("draw", *words).stdout
    assert listed.count(" *") == 2
    assert "ffn: glu *" in listed
    result = zoo("draw", *words, "--json", "-o", "both.svg")
    assert result.exit_code == 0, result.stderr
    assert [each["title"] for each in json.loads(result.stdout)] == [
        "gpt2",
        "gpt2 model.decoder.layer.ffn=glu",
    ]
    root = ET.fromstring((tmp_path / "both.svg").read_text(encoding="utf-8"))
    boxes = [each for each in root.iter() if each.get("class") == "box"]
    assert [each.get("stroke-width") for each in boxes].count("3") == 2


def test_what_differs_and_is_not_drawn_is_named(zoo):
    listed = zoo("draw", "gpt2", "model.decoder.layer.dropout=0.5", "--scale", "tiny").stdout
    assert listed.count("  not drawn, but different: decoder.layer.dropout, decoder.input_dropout") == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("gpt2", "gpt2", "gpt2"), "draw takes one SPEC or two, not 3"),
        (("gpt2", "-o", "a.jpg"), "--output a.jpg: the name of a file is needed that ends in .svg or .png"),
        ((), "there is no SPEC; name a preset, a file or a run folder"),
    ],
)
def test_what_cannot_be_drawn_is_said(zoo, words, message):
    result = zoo("draw", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_mask_is_told_in_signs_as_json_and_as_a_picture(zoo, tmp_path):
    words = ("draw", "attention/restricted", "n_heads=2", "radius=1", "--mask", "--length", "3")
    assert zoo(*words).stdout.splitlines() == [
        "attention/restricted; a row a query, a column a key: ■ seen, · hidden",
        "",
        "restricted, self-attention",
        "     0  ■■·",
        "     1  ■■■",
        "     2  ·■■",
        "7 of 9 pairs are seen (78%).",
        "",
        "restricted, causal self-attention",
        "     0  ■··",
        "     1  ■■·",
        "     2  ·■■",
        "5 of 9 pairs are seen (56%).",
    ]
    result = zoo(*words, "--json", "-o", "mask.svg", "--theme", "dark")
    found = json.loads(result.stdout)
    assert found[1]["allowed"] == [[True, False, False], [True, True, False], [False, True, True]]
    root = ET.fromstring((tmp_path / "mask.svg").read_text(encoding="utf-8"))
    drawn = [each for each in root.iter() if each.get("class") == "cells"]
    assert [sum(path.get("d").count("M") for path in each) for each in drawn] == [7, 5]


def test_a_position_is_told_in_bars_and_as_json(zoo):
    words = ("draw", "position/sinusoidal", "d_model=6", "base=100", "--length", "2")
    lines = zoo(*words).stdout.splitlines()
    assert lines[0] == "position/sinusoidal: d_model 6, n_heads 4, 2 positions"
    assert lines[3] == "     0  ▁█▁█▁█"
    assert zoo(*words[:-1], "64").stdout.endswith("█ 1; one row in 2\n")
    found = json.loads(zoo(*words, "--json").stdout)
    assert found["added"][0] == [0, 1, 0, 1, 0, 1]
    assert found["angles"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("position/sinusoidl",), "did you mean 'sinusoidal' or 'sinusoidal_2d'?"),
        (("position/rotary", "bas=3"), "bas: unknown key; did you mean 'base'?"),
        (("position/rotary", "d_model=x"), "d_model=x: a whole number from 1 to 65,536 is needed"),
        (("position/rotary", "--mask"), "of a position is drawn what it does, without --mask"),
        (("attention/restricted", "radius=3"), "of an attention is drawn its mask: add --mask"),
        (("ffn/mlp",), "of components, draw knows positions and, by --mask, attentions"),
        (("gpt2", "--layer", "1"), "--layer is of --mask, which is not given"),
        (("gpt2", "--length", "3"), "--length is of --mask, or of a position"),
        (("gpt2", "--mask", "--length", "501"), "a mask is drawn of up to 500 tokens"),
        (("gpt2", "--mask", "--scale", "tiny", "--layer", "9"), "there is no layer 9: there are 0 to"),
        (("gpt2", "--theme", "blue"), "--theme is auto, light or dark, not 'blue'"),
        (("position/rotary", "d_model=60000", "--length", "90"), "are too many cells to draw"),
    ],
)
def test_what_no_picture_can_be_made_of_is_said(zoo, words, message):
    result = zoo("draw", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_position_of_causal_stacks_alone_is_drawn_as_in_one(zoo):
    words = ("draw", "position/xpos", "d_model=16", "--length", "3")
    assert zoo(*words).stdout == zoo(*words, "--causal").stdout != ""
