"""Norms of gradients: those of the whole Jacobian, and those that can be worked out by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

import zoo
from registry import SpecError
from zoo.analysis.reach import Reach, _probes, jacobian_norms, reach
from zoo.analysis.reach_chart import reach_chart
from zoo.drawing.shapes import Path, Words
from zoo.masks import Mask

VOCABULARY = 11


def spec_of(architecture, layer, *, d_model=6, n_layers=1, position="none"):
    """A model of alike layers."""
    stack = {"n_layers": n_layers, "layer": {"ffn": "none", "dropout": 0.0, **layer}}
    tokens = {"type": "tokens", "vocab_size": VOCABULARY, "scale": "none"}
    slots = {
        "decoder_only": {"tokens": tokens, "decoder": stack},
        "encoder_only": {"inputs": tokens, "encoder": stack},
    }[architecture]
    head = {"type": "language_model", "predicts": "tokens"} if "tokens" in slots else "none"
    model = {"type": architecture, "d_model": d_model, "position": position, "head": head, **slots}
    return zoo.load({"model": model}).model


def built(spec, seed=0):
    torch.manual_seed(seed)
    return zoo.build(spec)


def linear_recurrence(architecture, a, direction="forwards"):
    """A relu recurrence h = x + a·h of inputs above 0, for which the relu is no bend."""
    mixer = {"type": "rnn", "activation": "relu", "bias": False, "direction": direction}
    spec = spec_of(architecture, {"mixer": mixer, "layout": "plain"})
    model = built(spec)
    with torch.no_grad():
        for slot in model.slots.values():
            slot.weight.copy_(torch.rand(VOCABULARY, 6) + 0.1)
        for name, weight in model.named_parameters():
            if name.endswith("input.weight"):
                weight.copy_(torch.eye(6))
            elif name.endswith("recurrent.weight"):
                weight.copy_(a * torch.eye(6))
    return spec, model


@pytest.mark.parametrize("architecture", ["decoder_only", "encoder_only"])
@pytest.mark.parametrize("direction", ["forwards", "backwards"])
@pytest.mark.parametrize("directions", [1, 3, 100])
def test_a_linear_recurrence_by_a_times_the_identity_has_the_powers_of_a(architecture, direction, directions):
    if architecture == "decoder_only" and direction == "backwards":
        return
    found = reach(*linear_recurrence(architecture, 0.5, direction), length=9, rows=3, directions=directions)
    expected = [0.5**k for k in range(9)]
    for norms in (found.median, found.low, found.high):
        assert norms == pytest.approx(expected, rel=1e-6)
    assert found.factor == pytest.approx(0.5)
    assert found.directions == min(directions, 6)


def test_norms_too_small_to_be_squared_are_told():
    found = reach(*linear_recurrence("decoder_only", 2.0**-10), length=12, rows=1, directions=2)
    assert found.median[11] == pytest.approx(2.0**-110, rel=1e-6, abs=0)  # of float32 the least is 2 ** -149


LAYERS = {
    "attention": ({"self_attention": {"type": "multi_head", "n_heads": 3}, "layout": "pre_norm"}, "rotary"),
    "lstm": ({"mixer": "lstm", "layout": "post_norm"}, "none"),
    "convolution": ({"mixer": {"type": "convolution", "width": 3}, "layout": "pre_norm"}, "sinusoidal"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_in_all_directions_the_norm_is_that_of_the_whole_jacobian(name):
    layer, position = LAYERS[name]
    spec = spec_of("decoder_only", layer, d_model=12, n_layers=2, position=position)
    model = built(spec)
    seen = []
    model.tokens.register_forward_hook(lambda module, given, output: seen.append(output[0]))
    found = reach(spec, model, length=5, rows=2, directions=12)
    x = seen[0].detach()  # before it is cut off from the embedding

    norms = []
    for row in x:
        jacobian = torch.autograd.functional.jacobian(
            lambda x: model.decoder(x[None], mask=Mask(causal=True))[0, -1], row
        )  # [D, N, D]
        norms.append([float(jacobian[:, 4 - k].norm()) / 12**0.5 for k in range(5)])
    assert list(found.low) == pytest.approx([min(each) for each in zip(*norms, strict=True)], rel=1e-4)
    assert list(found.high) == pytest.approx([max(each) for each in zip(*norms, strict=True)], rel=1e-4)
    assert list(found.median) == pytest.approx([sum(each) / 2 for each in zip(*norms, strict=True)], rel=1e-4)


def test_directions_have_length_one_and_are_at_right_angles():
    probes = _probes(5, 7, torch.Generator().manual_seed(3))
    torch.testing.assert_close(probes @ probes.T, torch.eye(5, dtype=torch.float64))
    assert len(_probes(9, 7, torch.Generator())) == 7


def test_few_directions_give_the_same_square_in_the_mean():
    layer, position = LAYERS["lstm"]
    model = built(spec_of("decoder_only", layer, position=position)).eval()
    x = torch.randn(1, 4, 6, requires_grad=True)
    h = model.decoder(x, mask=Mask(causal=True))[:, -1]
    whole = jacobian_norms(x, h, torch.eye(6)) ** 2
    drawn = [_probes(2, 6, torch.Generator().manual_seed(i)).float() for i in range(400)]
    mean = torch.stack([jacobian_norms(x, h, each) ** 2 for each in drawn]).mean(dim=0)
    torch.testing.assert_close(mean, whole, rtol=0.1, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_nothing_that_is_to_come_is_reached_by_a_decoder(name):
    layer, position = LAYERS[name]
    model = built(spec_of("decoder_only", layer, d_model=12, position=position)).eval()
    x = torch.randn(2, 7, 12, requires_grad=True)
    norms = jacobian_norms(x, model.decoder(x, mask=Mask(causal=True))[:, 3], torch.eye(12))
    assert (norms[:, 4:] == 0).all()
    assert (norms[:, 2:4] > 0).all()  # what even a convolution of width 3 sees


@pytest.mark.parametrize("architecture", ["decoder_only", "encoder_only"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_restricted_attention_reaches_its_radius_in_each_layer_and_no_farther(architecture, n_layers):
    attention = {"type": "restricted", "n_heads": 3, "radius": 2}
    spec = spec_of(architecture, {"self_attention": attention, "layout": "pre_norm"}, n_layers=n_layers)
    found = reach(spec, built(spec), length=9, rows=2, directions=2)
    assert all(norm > 0 for norm in found.low[: 2 * n_layers + 1])
    assert found.high[2 * n_layers + 1 :] == (0,) * (8 - 2 * n_layers)


def test_attention_is_flat_where_a_simple_recurrence_falls_exponentially():
    def of(*overrides):
        spec = zoo.load("char_gpt", *overrides, scale="tiny").model
        return reach(spec, built(spec), length=48, rows=2, directions=4)

    attention, recurrence = of(), of("model.decoder.layer.mixer=rnn")
    assert attention.factor == pytest.approx(1, abs=0.03)
    assert max(attention.median[1:]) < 5 * min(attention.median[1:])
    assert recurrence.factor < 0.6
    assert recurrence.median[40] < 1e-9 * recurrence.median[1]


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        ((), "start"),
        (("model.encoder.layer.mixer.direction=forwards", "model.decoder.layer.mixer.start=last"), "end"),
    ],
)
def test_distances_in_a_source_are_counted_from_what_is_read_last(changes, end):
    spec = zoo.load("seq2seq_lstm", *changes, scale="tiny").model
    found = reach(spec, built(spec), length=17, rows=2, directions=4)
    assert found.counted_from == end
    assert found.factor < 0.9
    assert found.median[0] > 10 * found.median[16] > 0


def test_a_decoder_that_attends_to_its_source_reaches_all_of_it_alike():
    spec = zoo.load("multi30k_small", scale="tiny").model
    found = reach(spec, built(spec), length=17, rows=2, directions=4)
    assert found.factor == pytest.approx(1, abs=0.05)


def test_measuring_leaves_the_model_and_the_random_numbers_as_they_were():
    spec = zoo.load("char_gpt", "model.decoder.layer.dropout=0.5", scale="tiny").model
    model = built(spec)
    state = torch.get_rng_state()
    first, again = (reach(spec, model, length=6, rows=2, directions=2) for _ in range(2))
    assert first == again
    assert first != reach(spec, model, length=6, rows=2, directions=2, seed=1)
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(weight.grad is None for weight in model.parameters())
    assert not model.tokens._forward_hooks


@pytest.mark.parametrize(
    ("name", "length", "message"),
    [
        ("vit_base", 5, "model.inputs: image_patches reads no tokens"),
        ("whisper_tiny", 5, "model.source: mel_frames reads no tokens"),
        (
            "char_gpt",
            65,
            "model.position.max_len: 64 positions end before a length of 65; take .* 64 at most",
        ),
    ],
)
def test_what_has_no_such_distances_is_refused(name, length, message):
    spec = zoo.load(name, scale="tiny").model
    with pytest.raises(SpecError, match=message):
        reach(spec, zoo.build(spec, device="meta"), length=length)


@pytest.mark.parametrize("name", ["length", "rows", "directions"])
def test_counts_below_one_are_refused(name):
    spec = zoo.load("char_gpt", scale="tiny").model
    with pytest.raises(ValueError, match=rf"{name} \(0\)"):
        reach(spec, zoo.build(spec, device="meta"), **{name: 0})


def test_the_factor_is_that_of_the_distances_from_1_where_there_is_a_gradient():
    norms = (100.0, 0.5, 0.25, 0.0, 0.0625)
    assert Reach(1, 5, 1, norms, norms, norms, None).factor == pytest.approx(0.5)
    few = Reach(1, 3, 1, (100.0, 0.5, 0.0), (100.0, 0.5, 0.0), (100.0, 0.5, 0.0), None)
    assert (few.factor, few.factor_text) == (None, "")


def words(drawing):
    return " ".join(each.text for each in drawing.shapes if isinstance(each, Words))


def test_a_figure_has_each_models_medians_and_its_factor():
    norms = tuple(0.5**k for k in range(30))
    nothing = Reach(2, 30, 4, (3.0,) + 29 * (0.0,), (3.0,) + 29 * (0.0,), (3.0,) + 29 * (0.0,), None)
    drawing = reach_chart({"a": Reach(2, 30, 4, norms, norms, norms, None), "b": nothing})
    assert drawing.names == ("a: × 0.500 a token", "b")
    lines = [each.points for each in drawing.shapes if isinstance(each, Path) and each.style == "line"]
    assert [len(each) for each in lines[:2]] == [30, 1]  # the other's is 0 behind its first
    falls = [b[1] - a[1] for a, b in pairwise(lines[0])]
    assert falls == pytest.approx([falls[0]] * 29)  # a straight line, for the axis is logarithmic
    assert falls[0] > 0
    assert "Of an encoder-decoder" not in words(drawing)
    source = Reach(2, 30, 4, norms, norms, norms, "end")
    assert "Of an encoder-decoder: from the vector" in words(reach_chart({"a": source}))
