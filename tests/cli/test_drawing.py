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
