"""What stands in another preset: `{like: PRESET.path}`, in a file, a scale and an override."""

from __future__ import annotations

import pytest

import presets


def test_a_part_may_be_like_one_of_another_preset():
    data = {
        "model": {"decoder": {"like": "transformer_base.model.encoder", "layer": {"dropout": 0.3}}, "x": 1}
    }
    base = presets.read("transformer_base").data["model"]["encoder"]
    document = presets.read(data)
    assert document.data["model"]["decoder"] == {**base, "layer": {**base["layer"], "dropout": 0.3}}
    assert document.locate("model.decoder.layer.ffn.d_ff").startswith("presets/transformer_base.yaml:")
    assert data["model"]["decoder"]["like"] == "transformer_base.model.encoder"


def test_an_override_and_a_scale_may_say_that_a_part_is_like_one_of_another_preset():
    data = {
        "model": {"ffn": "glu"},
        "scales": {"s": {"model.ffn": {"like": "transformer_base.model.encoder.layer.ffn"}}},
    }
    ffn = presets.read("transformer_base").data["model"]["encoder"]["layer"]["ffn"]
    assert presets.read(data, scale="s").data["model"]["ffn"] == ffn
    override = "model.ffn={like: transformer_base.model.encoder.layer.ffn, d_ff: 5}"
    document = presets.read(data, overrides=["model.ffn.activation=gelu", override])
    assert document.data["model"]["ffn"] == {**ffn, "d_ff": 5, "activation": "gelu"}
    assert document.locate("model.ffn.type").startswith("presets/transformer_base.yaml:")
    assert document.locate("model.ffn.activation") == "override 'model.ffn.activation=gelu'"
    with pytest.raises(
        presets.PresetError, match=r"^override 'model\.x=\{like: no\.x\}': like: no preset is named 'no'"
    ):
        presets.read(data, overrides=["model.x={like: no.x}"])


def test_another_type_keeps_nothing_of_what_it_is_like():
    ffn = {"like": "transformer_base.model.encoder.layer.ffn", "type": "glu", "d_ff": 5}
    assert presets.read({"model": {"ffn": ffn}}).data == {"model": {"ffn": {"type": "glu", "d_ff": 5}}}


def test_a_part_of_the_same_model_is_left_to_the_model():
    decoder = {"like": "encoder", "cross_attention": {"type": "multi_head"}}
    assert presets.read({"model": {"decoder": decoder}}).data == {"model": {"decoder": decoder}}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("transformer_bse.model.encoder", "like: no preset is named 'transformer_bse'; did you mean"),
        ("transformer_base.model.encodr", "like: .* 'model.encodr' in the preset .*; did you mean 'encoder'"),
        ("transformer_base.model.d_model", "like: 'model.d_model' in the preset .* is no part; write a path"),
        ("transformer_base.model.encoder.layer.ffn.d_ff.x", "like: there is no part at"),
        ("transformer_base", "like: transformer_base is a whole preset; name a part of it"),
        ("3", "like: must be text, not 3; write a path such as bert_base.model.encoder"),
    ],
)  # fmt: skip
def test_a_part_like_none_there_is_refused_with_its_line(tmp_path, reference, message):
    file = tmp_path / "mine.yaml"
    file.write_text(f"model:\n  decoder:\n    like: {reference}\n")
    with pytest.raises(presets.PresetError, match=rf"mine\.yaml:3: {message}"):
        presets.read(file)
