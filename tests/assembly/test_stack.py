"""Stacks: layers that differ, what they have in common, norms and dropout around them, layers left out."""

import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, check, dump, parse
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.assembly.stack import StackSpec
from zoo.components.norm.layer_norm import LayerNorm
from zoo.components.position.rotary import Rotary

ATTENTION = {"type": "multi_head", "n_heads": 3}
LAYER = {"self_attention": ATTENTION, "ffn": {"type": "mlp", "d_ff": 7}, "dropout": 0.25}


def stack(**data):
    return parse(StackSpec, data)


def decoder(**data):
    tokens = {"type": "tokens", "vocab_size": 23}
    head = {"type": "language_model", "predicts": "tokens"}
    spec = {"d_model": 12, "tokens": tokens, "decoder": {"position": "none", **data}, "head": head}
    return parse(DecoderOnlySpec, spec)


def test_what_layers_have_in_common_is_said_once():
    spec = stack(
        layer=LAYER,
        layers=[
            {"layer": {"attention_norm": "rms_norm"}},
            {"repeat": 2, "cycle": [{"self_attention": {"n_heads": 2}}, {"ffn": {"type": "glu", "d_ff": 5}}]},
            {"repeat": 3},
        ],
    )
    layers = spec.each_layer()
    assert len(layers) == 1 + 2 * 2 + 3
    assert [layer.self_attention.n_heads for layer in layers] == [3, 2, 3, 2, 3, 3, 3, 3]
    assert [layer.ffn.type for layer in layers] == ["mlp", "mlp", "glu", "mlp", "glu", "mlp", "mlp", "mlp"]
    assert layers[0].attention_norm.type == "rms_norm"
    assert {layer.attention_norm for layer in layers[1:]} == {None}
    assert {layer.dropout for layer in layers} == {0.25}
    assert layers[2].ffn == parse(type(layers[2].ffn), {"d_ff": 5})  # another type drops the base's keys


def test_a_change_of_a_part_said_by_its_name_keeps_the_name():
    spec = stack(layer={**LAYER, "norm": "rms_norm"}, layers=[{"layer": {"norm": {"eps": 0.5}}}])
    assert dump(spec.each_layer()[0].norm) | {"type": "rms_norm", "eps": 0.5} == dump(
        spec.each_layer()[0].norm
    )


def test_a_stack_of_different_layers_dumps_to_an_equal_one():
    spec = stack(layer=LAYER, layers=[{"repeat": 2}, {"cycle": [{}, {"dropout": 0.5}]}])
    assert parse(StackSpec, dump(spec)) == spec
    assert dump(spec)["layer"] is None


def test_the_last_layers_layout_and_the_first_ones_dropout_give_the_defaults():
    spec = stack(layer=LAYER, layers=[{}, {"cycle": [{"dropout": 0.0}, {"layout": "pre_norm"}]}])
    assert spec.input_dropout == 0.25
    assert spec.final_norm.type == "layer_norm"
    assert stack(layer=LAYER, n_layers=2).final_norm is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "give either n_layers and layer, or layers"),
        ({"layer": LAYER}, "n_layers goes with layer alone"),
        ({"n_layers": 2, "layer": LAYER, "layers": [{}]}, "n_layers goes with layer alone"),
        ({"layers": [{"repeat": 2}]}, "give either layer, or cycle"),
        ({"layer": LAYER, "layers": [{"layer": {}, "cycle": [{}]}]}, "give either layer, or cycle"),
        ({"layer": LAYER, "layers": [{"layer": {"ffn": {"d_fff": 3}}}]}, r"layers\.0\.layer\.ffn\.d_fff: unknown"),
        ({"layer": LAYER, "layers": 3}, "layers"),
        ({"layer": LAYER, "layers": []}, "layers"),
    ],
)  # fmt: skip
def test_a_stack_that_says_too_little_or_too_much_is_refused(data, message):
    with pytest.raises(SpecError, match=message):
        stack(**data)


def test_a_decoder_like_an_encoder_of_different_layers_attends_in_each():
    tokens = {"type": "tokens", "vocab_size": 23}
    spec = parse(
        EncoderDecoderSpec,
        {
            "d_model": 12,
            "source": tokens,
            "target": {"share": "source"},
            "encoder": {"layer": LAYER, "layers": [{}, {"cycle": [{"dropout": 0.5}, {}]}]},
            "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
            "head": {"type": "language_model", "predicts": "target"},
        },
    )
    assert [layer.cross_attention.n_heads for layer in spec.decoder.each_layer()] == [2, 2, 2]
    assert [layer.dropout for layer in spec.decoder.each_layer()] == [0.25, 0.5, 0.25]
    assert not check(spec, "model")


def test_heads_that_differ_where_positions_have_something_for_each_are_refused():
    spec = decoder(layer=LAYER, layers=[{}, {"layer": {"self_attention": {"n_heads": 2}}}])
    assert not check(spec, "model")
    layers = [{}, {"layer": {"self_attention": {"n_heads": 2}}}]
    message = r"decoder\.layers\.1\.layer\.self_attention: n_heads \(2\) must be the first layer's \(3\)"
    with pytest.raises(SpecError, match=message):
        decoder(layer=LAYER, layers=layers, position="relative_buckets")


def test_the_input_norm_stands_after_the_positions_and_its_dropout_after_the_norm():
    spec = decoder(
        n_layers=1,
        layer={**LAYER, "dropout": 0.0},
        position={"type": "learned", "max_len": 9},
        input_norm="layer_norm",
        input_dropout=0.5,
    )
    model = build(spec).train()
    tokens = torch.tensor([[5, 9, 4], [8, 4, 4]])
    seen = []
    model.decoder.layers[0].register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
    model(tokens)
    wanted = model.decoder.input_norm(
        model.tokens(tokens, mask=None, types=None)[0] + model.decoder.position.table.weight[:3]
    )
    kept = seen[0] != 0
    assert 0.2 < kept.float().mean() < 0.8
    assert_close(seen[0][kept], 2 * wanted[kept], rtol=1e-4, atol=1e-5)


def test_the_attention_norm_is_that_of_the_first_sublayer_alone():
    spec = decoder(n_layers=1, layer={**LAYER, "layout": "pre_norm", "attention_norm": "rms_norm"})
    norms = build(spec).decoder.layers[0].layout.norms
    assert [isinstance(norm, LayerNorm) for norm in norms] == [False, True]


def test_output_dropout_follows_the_final_norm():
    spec = decoder(n_layers=1, layer={**LAYER, "dropout": 0.0}, output_dropout=0.5)
    model = build(spec)
    tokens = torch.randint(5, 23, (2, 9))
    whole, dropped = model.eval().decode(tokens), model.train().decode(tokens)
    kept = dropped != 0
    assert 0.3 < kept.float().mean() < 0.7
    assert_close(dropped[kept], 2 * whole[kept], rtol=1e-4, atol=1e-5)


def test_layer_drop_leaves_out_whole_layers_in_training_only():
    model = build(decoder(n_layers=40, layer={**LAYER, "dropout": 0.0}, layer_drop=0.5))
    calls = []
    for layer in model.decoder.layers:
        layer.register_forward_hook(lambda *given: calls.append(1))
    model.train()(torch.randint(5, 23, (2, 3)))
    assert 8 < len(calls) < 32
    calls.clear()
    model.eval()(torch.randint(5, 23, (2, 3)))
    assert len(calls) == 40


def test_a_layer_may_have_positions_of_its_own():
    spec = decoder(layer=LAYER, layers=[{}, {"layer": {"position": {"type": "rotary", "base": 50.0}}}])
    model = build(spec)
    assert model.decoder.layers[0].position is None
    assert isinstance(model.decoder.layers[1].position, Rotary)


def test_a_layer_refuses_positions_that_only_add_to_the_embeddings():
    with pytest.raises(
        SpecError, match=r"layers\.1\.layer\.position: adds .* set it for the stack or the model"
    ):
        decoder(layer=LAYER, layers=[{}, {"layer": {"position": "sinusoidal"}}])
