"""The slot of a layer that either a self-attention or a mixer fills."""

import pytest
import torch
from torch.testing import assert_close

import zoo
from registry import SpecError, check, dump, parse
from zoo.analysis.size import parts_of
from zoo.assembly.build import build, n_parameters
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.assembly.encoder_decoder import EncoderDecoderSpec
from zoo.assembly.encoder_only import EncoderOnlySpec
from zoo.assembly.layer import LayerSpec
from zoo.assembly.stack import StackSpec

FFN = {"type": "mlp", "d_ff": 7}
HEADS = {"type": "multi_head", "n_heads": 3}
LSTM = {"type": "lstm", "d_hidden": 5}
TOKENS = {"type": "tokens", "vocab_size": 23}


def decoder(**data):
    head = {"type": "language_model", "predicts": "tokens"}
    return parse(DecoderOnlySpec, {"d_model": 12, "tokens": TOKENS, "decoder": data, "head": head})


def refused(match, **data):
    with pytest.raises(SpecError, match=match):
        decoder(**data)


@pytest.mark.parametrize("parts", [{}, {"self_attention": HEADS, "mixer": LSTM}])
def test_a_layer_has_one_of_the_two(parts):
    with pytest.raises(SpecError, match="give either self_attention or mixer"):
        parse(LayerSpec, {**parts, "ffn": FFN})


def test_an_attention_is_no_mixer():
    refused("no mixer is registered as 'multi_head'", n_layers=1, layer={"mixer": HEADS, "ffn": FFN})


def test_a_mixer_given_over_what_layers_have_in_common_replaces_their_attention_and_back():
    layer = {"self_attention": HEADS, "ffn": FFN}
    spec = parse(
        StackSpec,
        {"layer": layer, "layers": [{}, {"cycle": [{"mixer": LSTM}, {"self_attention": {"n_heads": 2}}]}]},
    )
    assert [layer.mixing.type for layer in spec.each_layer()] == ["multi_head", "lstm", "multi_head"]
    assert spec.each_layer()[1].self_attention is None
    assert spec.each_layer()[2].self_attention.n_heads == 2
    assert parse(StackSpec, dump(spec)) == spec
    back = {"layer": {"mixer": LSTM, "ffn": FFN}, "layers": [{"layer": {"self_attention": HEADS}}]}
    assert parse(StackSpec, back).each_layer()[0].mixer is None


def test_a_decoder_like_an_encoder_may_mix_otherwise():
    data = {
        "d_model": 12,
        "source": TOKENS,
        "target": {"share": "source"},
        "encoder": {"n_layers": 1, "layer": {"self_attention": HEADS, "ffn": FFN}},
        "decoder": {"like": "encoder", "layer": {"mixer": LSTM}, "cross_attention": HEADS},
        "head": {"type": "language_model", "predicts": "target"},
    }
    spec = parse(EncoderDecoderSpec, data)
    assert spec.encoder.layer.mixing.type == "multi_head"
    assert (spec.decoder.layer.mixing.type, spec.decoder.layer.self_attention) == ("lstm", None)
    del data["decoder"]["cross_attention"]
    with pytest.raises(SpecError, match=r"cross_attention: missing: a decoder's layers must attend"):
        parse(EncoderDecoderSpec, data)


def test_an_override_replaces_what_a_preset_has():
    spec = zoo.load("quickstart", "model.encoder.layer.mixer={type: gru, d_hidden: 9}").model
    for stack in (spec.encoder, spec.decoder):  # which is like the encoder
        assert (stack.layer.mixing.type, stack.layer.self_attention) == ("gru", None)
    with pytest.raises(SpecError, match="give either self_attention or mixer"):
        zoo.load("char_gpt", "model.decoder.layer.mixer=lstm", "model.decoder.layer.self_attention.n_heads=2")


def test_parameters_are_counted_by_formula_and_repeats():
    spec = decoder(n_layers=3, layer={"mixer": LSTM, "ffn": FFN})
    parts = {part.path: part.n_parameters for part in parts_of(spec)}
    one = 4 * 5 * (12 + 1) + 4 * 5 * (5 + 1) + 12 * (5 + 1)
    assert parts["model.decoder.layer.mixer"] == 3 * one
    assert sum(parts.values()) == n_parameters(build(spec, device="meta"))


def test_positions_that_only_mixers_would_read_are_a_mistake_and_those_added_are_none():
    layer = {"mixer": LSTM, "ffn": FFN}
    refused(r"position: nothing uses rotary positions", n_layers=1, layer=layer, position="rotary")
    refused(
        r"layer\.position: nothing uses alibi positions: this layer never reads them",
        n_layers=1,
        layer={**layer, "position": "alibi"},
    )
    assert not check(decoder(n_layers=1, layer=layer, position="learned"), "model")


def test_positions_of_a_stack_have_the_heads_of_the_layers_that_read_them():
    layer = {"mixer": LSTM, "ffn": FFN}
    spec = decoder(layers=[{"repeat": 2, "layer": layer}, {"layer": {"self_attention": HEADS, "ffn": FFN}}],
                   position="alibi")  # fmt: skip
    assert spec.decoder.n_heads == 3
    model = build(spec).double().eval()
    tokens = torch.randint(4, 23, (2, 6))
    with torch.no_grad():
        full, cache = model.decode(tokens), model.new_cache()
        steps = [model.decode(tokens[:, i : i + 1], cache=cache) for i in range(6)]
    assert_close(torch.cat(steps, 1), full)


def test_limits_of_positions_that_a_mixer_does_not_read_are_not_its_own():
    attention = {"type": "multi_head", "n_heads": 3, "d_k": 4}
    data = {
        "d_model": 11,
        "inputs": TOKENS,
        "encoder": {
            "position": "rotary",
            "layers": [
                {"layer": {"mixer": "lstm", "ffn": FFN}},
                {"layer": {"self_attention": attention, "ffn": FFN}},
            ],
        },
        "head": "none",
    }
    assert not check(parse(EncoderOnlySpec, data), "model")


def test_the_norm_of_an_attention_is_needless_where_there_is_a_mixer():
    layer = {"mixer": LSTM, "ffn": FFN, "attention_norm": "rms_norm"}
    refused(r"attention_norm: nothing uses it: there is no self-attention", n_layers=1, layer=layer)


@pytest.mark.parametrize("mixer", ["seeded_lstm", "attentive_gru", "attended"])
def test_what_reads_a_memory_is_refused_where_there_is_none_and_needs_no_cross_attention(mixer):
    layer = {"mixer": mixer, "ffn": FFN}
    refused(r"layer\.mixer: there is no memory here for it to read", n_layers=1, layer=layer)
    data = {
        "d_model": 12,
        "source": TOKENS,
        "target": {"share": "source"},
        "encoder": {"n_layers": 1, "layer": {"mixer": "lstm", "ffn": FFN}},
        "decoder": {"n_layers": 1, "layer": layer},
        "head": {"type": "language_model", "predicts": "target"},
    }
    assert not check(parse(EncoderDecoderSpec, data), "model")
    data["decoder"] = {"n_layers": 1, "layer": {"mixer": "lstm", "ffn": FFN, "cross_attention": "none"}}
    with pytest.raises(SpecError, match="no layer reads the encoder"):
        parse(EncoderDecoderSpec, data)


def test_an_encoder_may_read_in_one_direction_and_both():
    for keys, seen in (({}, False), ({"direction": "both"}, True)):
        layer = {"mixer": {**LSTM, **keys}, "ffn": FFN}
        data = {"d_model": 12, "inputs": TOKENS, "encoder": {"n_layers": 1, "layer": layer}, "head": "none"}
        model = build(parse(EncoderOnlySpec, data)).eval()
        tokens = torch.randint(4, 23, (2, 6))
        changed = tokens.clone()
        changed[:, 5] = (changed[:, 5] + 1) % 19 + 4
        assert torch.equal(model(tokens)[:, :5], model(changed)[:, :5]) != seen


@pytest.mark.parametrize("mixer", ["lstm", "gru", "rnn"])
def test_rows_of_a_whole_cache_are_reordered(mixer):
    model = build(decoder(n_layers=2, layer={"mixer": mixer, "ffn": FFN})).double().eval()
    tokens, rows = torch.randint(4, 23, (3, 6)), torch.tensor([2, 2, 0, 1])
    with torch.no_grad():
        cache = model.new_cache()
        model.decode(tokens[:, :4], cache=cache)
        cache.reorder(rows)
        step = model.decode(tokens[rows, 4:], cache=cache)
    assert_close(step, model.decode(tokens[rows])[:, 4:])
