"""Recurrent mixers against loops from their formulas, torch's modules over packed sequences, and their sizes."""

import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from torch.testing import assert_close

from registry import SpecError, check, parse
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.kinds import MIXER
from zoo.masks import Mask

B, T, D, H = 3, 6, 5, 4
CELLS = [("rnn", {}), ("rnn", {"activation": "relu"}), ("lstm", {}), ("gru", {})]
TORCHS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}


def made(name, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry(name).spec, {"type": name, **keys})
    return MIXER.build(spec, d_model=D).double(), spec


def run(module, x, **mask):
    return module(x, mask=Mask(**mask), position=None, cache=None)


def by_formula(name, keys, weights, x):
    """One row [T, D], token by token, from the equations in the modules' docstrings."""
    W, b, U, b2 = weights
    sigmoid, h, c, out = torch.sigmoid, x.new_zeros(H), x.new_zeros(H), []
    for token in x:
        own, state = W @ token + b, U @ h + b2
        if name == "lstm":
            i, f, g, o = (own + state).view(4, H)
            c = sigmoid(f) * c + sigmoid(i) * g.tanh()
            h = sigmoid(o) * c.tanh()
        elif name == "gru":
            (r, z, n), (r2, z2, n2) = own.view(3, H), state.view(3, H)
            r, z = sigmoid(r + r2), sigmoid(z + z2)
            h = (1 - z) * (n + r * n2).tanh() + z * h
        else:
            h = (own + state).relu() if keys.get("activation") == "relu" else (own + state).tanh()
        out.append(h)
    return torch.stack(out)


@pytest.mark.parametrize(("name", "keys"), CELLS)
def test_a_recurrence_is_its_formula(name, keys):
    module, _ = made(name, d_hidden=H, **keys)
    cell, x = module.forwards, torch.randn(T, D, dtype=torch.float64)
    weights = (cell.input.weight, cell.input.bias, cell.recurrent.weight, cell.recurrent.bias)
    wanted = module.output(by_formula(name, keys, weights, x))
    assert_close(run(module, x[None])[0], wanted)


@pytest.mark.parametrize(("name", "keys"), CELLS)
def test_two_directions_are_torchs_module_over_packed_sequences(name, keys):
    module, _ = made(name, d_hidden=H, direction="both", **keys)
    further = {"nonlinearity": keys["activation"]} if keys else {}
    theirs = TORCHS[name](D, H, batch_first=True, bidirectional=True, **further).double()
    with torch.no_grad():
        for cell, suffix in ((module.forwards, ""), (module.backwards, "_reverse")):
            for ours, place in ((cell.input, "ih"), (cell.recurrent, "hh")):
                for kind in ("weight", "bias"):
                    getattr(ours, kind).copy_(getattr(theirs, f"{kind}_{place}_l0{suffix}"))
    x, lengths = torch.randn(B, T, D, dtype=torch.float64), torch.tensor([4, 6, 1])
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    hidden, _ = pad_packed_sequence(theirs(packed)[0], batch_first=True, total_length=T)
    keys = torch.arange(T) < lengths[:, None]
    assert_close(run(module, x, keys=keys)[keys], module.output(hidden)[keys])


@pytest.mark.parametrize("name", TORCHS)
def test_the_state_is_that_of_torchs_module(name):
    module, _ = made(name, d_hidden=H)
    x, cache = torch.randn(B, T, D, dtype=torch.float64), module.new_cache()
    keys = torch.arange(T) >= torch.tensor([[2], [0], [5]])
    with torch.no_grad():
        module(x, mask=Mask(causal=True, keys=keys), position=None, cache=cache)
        for row in range(B):
            _, alone = module.forwards(x[row : row + 1, keys[row]])
            for ours, theirs in zip(cache.state, alone, strict=True):
                assert_close(ours[row : row + 1], theirs)


@pytest.mark.parametrize("name", TORCHS)
def test_two_directions_are_refused_where_later_tokens_are_hidden(name):
    _, spec = made(name, direction="both")
    message = str(check(spec, "", d_model=D, role="causal", position=None)[0])
    assert "direction is both" in message
    assert "make it forwards" in message
    assert not check(spec, "", d_model=D, role="self", position=None)


def test_a_decoder_of_two_directions_is_refused_when_its_spec_is_read():
    layer = {"mixer": {"type": "gru", "direction": "both"}, "ffn": {"type": "mlp", "d_ff": 7}}
    data = {
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {"n_layers": 1, "layer": layer},
        "head": {"type": "language_model", "predicts": "tokens"},
    }
    with pytest.raises(SpecError, match=r"decoder\.layer\.mixer: direction is both"):
        parse(DecoderOnlySpec, data)


def test_what_a_layer_is_set_by_reaches_the_matrices_and_biases():
    torch.manual_seed(3)
    data = {
        "d_model": 12,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {
            "n_layers": 2,
            "layer": {"mixer": {"type": "lstm", "d_hidden": 50}, "ffn": {"type": "mlp", "d_ff": 7}},
        },
        "head": {"type": "language_model", "predicts": "tokens"},
        "initialization": {"type": "normal", "std": 0.5, "residual_scaling": True},
    }
    mixer = build(parse(DecoderOnlySpec, data)).decoder.layers[1].mixer
    assert mixer.forwards.recurrent.weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert mixer.forwards.input.weight.std().item() == pytest.approx(0.5, rel=0.1)
    assert mixer.output.weight.std().item() == pytest.approx(0.5 / 2, rel=0.1)  # 4 branches
    assert not mixer.forwards.input.bias.any()
    assert not mixer.forwards.recurrent.bias.any()


def test_a_long_sequence_is_not_forgotten_by_the_kernel():
    """The first token changes the last output, and the last output sends a gradient back to it."""
    module, _ = made("gru")
    x = torch.randn(1, 60, D, dtype=torch.float64, requires_grad=True)
    run(module, x)[0, -1].sum().backward()
    assert x.grad[0, 0].any()
