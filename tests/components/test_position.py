import math

import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.learned import Learned
from zoo.components.position.none import NoPosition
from zoo.components.position.rotary import Rotary, RotarySpec
from zoo.components.position.sinusoidal import Sinusoidal, SinusoidalSpec


def test_sinusoids_are_the_papers_formula():
    encoded = Sinusoidal(d_model=8, base=10000.0, layout="interleaved").encode(torch.tensor([0, 1, 3, 70000]))
    for row, pos in enumerate([0, 1, 3, 70000]):
        for i in range(4):
            assert encoded[row, 2 * i].item() == pytest.approx(math.sin(pos / 10000 ** (2 * i / 8)), abs=1e-9)
            assert encoded[row, 2 * i + 1].item() == pytest.approx(
                math.cos(pos / 10000 ** (2 * i / 8)), abs=1e-9
            )


def test_first_sinusoids_by_hand():
    # D = 4: wavelengths 2π and 2π·100. Position 1: sin 1, cos 1, sin 0.01, cos 0.01.
    encoded = Sinusoidal(d_model=4, base=10000.0, layout="interleaved").encode(torch.tensor([1]))
    expected = [0.8414709848078965, 0.5403023058681398, 0.009999833334166664, 0.9999500004166653]
    assert_close(encoded[0], torch.tensor(expected, dtype=torch.float64))


def test_concatenated_layout_is_the_interleaved_one_reordered():
    positions = torch.arange(5)
    pairs = Sinusoidal(d_model=6, base=10000.0, layout="interleaved").encode(positions)
    halves = Sinusoidal(d_model=6, base=10000.0, layout="concatenated").encode(positions)
    assert_close(halves, torch.cat([pairs[:, 0::2], pairs[:, 1::2]], dim=1))


def test_learned_positions_add_their_rows_and_end_at_max_len():
    module = Learned(d_model=6, max_len=9)
    x = torch.randn(2, 3, 6)
    assert_close(module.embed(x, torch.tensor([4, 5, 6])), x + module.table.weight[4:7])
    with pytest.raises(ValueError, match=r"10 tokens is longer than max_len \(9\)"):
        module.embed(x[:, :1], torch.tensor([9]))


@pytest.mark.parametrize("pairing", ["half", "interleaved"])
def test_rotary_products_depend_on_distance_only(pairing):
    torch.manual_seed(0)
    rotary = Rotary(d_model=99, base=100.0, pairing=pairing)
    q, k = torch.randn(1, 1, 1, 6, dtype=torch.float64), torch.randn(1, 1, 1, 6, dtype=torch.float64)

    def product(i, j):
        return (rotary.rotate(q, torch.tensor([i])) * rotary.rotate(k, torch.tensor([j]))).sum()

    assert_close(product(7, 3), product(104, 100))
    assert (product(7, 3) - product(7, 4)).abs() > 1e-3


def test_rotary_turns_the_first_pair_by_one_radian_a_token():
    x = torch.tensor([1.0, 0.0, 0.0, 0.0]).view(1, 1, 1, 4)
    half = Rotary(d_model=4, base=10000.0, pairing="half").rotate(x, torch.tensor([2])).flatten()
    assert_close(half, torch.tensor([math.cos(2), 0.0, math.sin(2), 0.0]))
    pairs = Rotary(d_model=4, base=10000.0, pairing="interleaved").rotate(x, torch.tensor([2])).flatten()
    assert_close(pairs, torch.tensor([math.cos(2), math.sin(2), 0.0, 0.0]))


def test_rotary_takes_positions_of_each_row():
    rotary = Rotary(d_model=4, base=10000.0, pairing="half")
    x = torch.randn(2, 3, 5, 4)
    each = rotary.rotate(x, torch.stack([torch.arange(5), torch.arange(5) + 3]))
    assert_close(each[1:], rotary.rotate(x[1:], torch.arange(5) + 3))


def test_none_is_neutral():
    module = NoPosition(d_model=4)
    x = torch.randn(2, 3, 4)
    assert module.embed(x, torch.arange(3)) is x
    assert module.rotate(x, torch.arange(3)) is x
    assert module.bias(torch.arange(3), torch.arange(3)) is None


def test_odd_sizes_are_refused():
    with pytest.raises(ValueError, match=r"d_model \(7\) must be even"):
        SinusoidalSpec().check(d_model=7, d_k=7)
    with pytest.raises(ValueError, match=r"d_k \(5\) must be even"):
        RotarySpec().check(d_model=10, d_k=5)
