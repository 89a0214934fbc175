import math

import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.sinusoidal import Sinusoidal, SinusoidalSpec, sinusoids
from zoo.masks import Mask


def module(d_model=8, **changed):
    fields = {
        "base": 10000.0,
        "layout": "interleaved",
        "counts_padding": False,
        "offset": 0,
        "max_len": None,
    } | changed
    return Sinusoidal(d_model=d_model, n_heads=1, **fields)


def test_sinusoids_are_the_papers_formula():
    encoded = sinusoids(torch.tensor([0, 1, 3, 70000]), 8, 10000.0, "interleaved")
    for row, pos in enumerate([0, 1, 3, 70000]):
        for i in range(4):
            assert encoded[row, 2 * i].item() == pytest.approx(math.sin(pos / 10000 ** (2 * i / 8)), abs=1e-9)
            assert encoded[row, 2 * i + 1].item() == pytest.approx(
                math.cos(pos / 10000 ** (2 * i / 8)), abs=1e-9
            )


def test_first_sinusoids_by_hand():
    # D = 4: wavelengths 2π and 2π·100. Position 1: sin 1, cos 1, sin 0.01, cos 0.01.
    encoded = sinusoids(torch.tensor([1]), 4, 10000.0, "interleaved")
    expected = [0.8414709848078965, 0.5403023058681398, 0.009999833334166664, 0.9999500004166653]
    assert_close(encoded[0], torch.tensor(expected, dtype=torch.float64))


def test_concatenated_layout_is_that_of_marian():
    marian = pytest.importorskip("transformers.models.marian.modeling_marian")
    theirs = marian.MarianSinusoidalPositionalEmbedding(9, 14).create_weight()
    x = torch.zeros(1, 9, 14)
    assert_close(module(14, layout="concatenated").embed(x, mask=Mask())[0], theirs, rtol=1e-6, atol=1e-7)


def test_inclusive_layout_is_that_of_whisper():
    whisper = pytest.importorskip("transformers.models.whisper.modeling_whisper")
    theirs = whisper.sinusoids(9, 14)
    x = torch.zeros(1, 9, 14)
    ours = module(14, layout="concatenated_inclusive").embed(x, mask=Mask())
    assert_close(ours[0], theirs, rtol=1e-6, atol=2e-6)


def test_inclusive_layout_ends_at_the_base():
    encoded = sinusoids(torch.tensor([1]), 6, 50.0, "concatenated_inclusive")[0]
    angles = [1.0, 50.0**-0.5, 50.0**-1]
    expected = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    assert_close(encoded, torch.tensor(expected, dtype=torch.float64))


def test_they_are_added_from_the_position_of_the_first_query():
    x = torch.randn(2, 3, 8, dtype=torch.float64)
    ours = module().embed(x, mask=Mask(causal=True, offset=4))
    assert_close(ours, x + sinusoids(torch.tensor([4, 5, 6]), 8, 10000.0, "interleaved"))


def test_a_sequence_past_max_len_is_refused_in_one_piece_and_step_by_step():
    limited = module(max_len=5)
    x = torch.randn(1, 5, 8)
    assert_close(limited.embed(x, mask=Mask()), module().embed(x, mask=Mask()))
    with pytest.raises(ValueError, match=r"a sequence of 6 tokens is longer than max_len \(5\)"):
        limited.embed(torch.randn(1, 6, 8), mask=Mask())
    with pytest.raises(ValueError, match=r"a sequence of 6 tokens"):
        limited.embed(torch.randn(1, 1, 8), mask=Mask(causal=True, offset=5))


def test_sizes_without_pairs_are_refused():
    context = {"n_heads": 1, "role": "self"}
    with pytest.raises(ValueError, match=r"d_model \(7\) must be even"):
        SinusoidalSpec().check(d_model=7, d_k=7, **context)
    with pytest.raises(ValueError, match=r"d_model \(2\) must be at least 4"):
        SinusoidalSpec(layout="concatenated_inclusive").check(d_model=2, d_k=2, **context)
    SinusoidalSpec().check(d_model=2, d_k=2, **context)


def test_rows_that_count_for_themselves_are_given_what_they_get_alone():
    position = module(8)
    keys = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]).bool()
    x = torch.randn(3, 5, 8)
    whole = position.embed(x, mask=Mask(keys=keys))
    for row, start in enumerate((2, 0, 1)):
        assert torch.equal(
            whole[row : row + 1, start:], position.embed(x[row : row + 1, start:], mask=Mask())
        )
    late = position.embed(x[:, 4:], mask=Mask(keys=keys, offset=4))
    assert torch.equal(late, whole[:, 4:])


def test_with_an_offset_they_are_those_of_m2m_100():
    theirs = pytest.importorskip("transformers.models.m2m_100.modeling_m2m_100")
    table = theirs.M2M100SinusoidalPositionalEmbedding(20, 8, padding_idx=3)
    tokens = torch.tensor([[5, 7, 9, 3, 3], [8, 5, 6, 4, 9]])
    mask = Mask(keys=tokens != 3)
    ours = module(layout="concatenated_inclusive", offset=4).embed(torch.zeros(2, 5, 8), mask=mask)
    assert_close(ours[tokens != 3], table(tokens)[tokens != 3])
