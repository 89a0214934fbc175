import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.alibi import Alibi, AlibiSpec
from zoo.masks import Mask

B, T, S, K = 2, 5, 7, 4
CPU = torch.device("cpu")


def bias(n_heads, mask):
    q, k = torch.randn(B, n_heads, T, K, dtype=torch.float64), torch.randn(B, 1, S, K, dtype=torch.float64)
    return Alibi(d_model=12, n_heads=n_heads).bias(q, k, scale=0.3, mask=mask)


def test_slopes_of_eight_heads_are_the_papers():
    slopes = Alibi(d_model=8, n_heads=8).slopes(CPU)
    assert slopes.tolist() == [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 128, 1 / 256]


def test_slopes_between_powers_of_two_by_hand():
    # 3 heads: those of 2 heads, 2^-4 and 2^-8, then the first of 4 heads, 2^-2.
    assert Alibi(d_model=8, n_heads=3).slopes(CPU).tolist() == [2**-4, 2**-8, 2**-2]


@pytest.mark.parametrize("n_heads", [*range(1, 21), 112])
def test_slopes_are_those_of_bloom_for_any_number_of_heads(n_heads):
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    theirs = bloom._get_alibi_slopes(n_heads, CPU)
    ours = Alibi(d_model=8, n_heads=n_heads).slopes(CPU)
    assert_close(ours.float(), theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("is_causal", [False, True])
def test_bias_is_minus_slope_times_distance_on_both_sides(is_causal):
    ours = bias(3, Mask(causal=is_causal, offset=2))
    slopes = [2**-4, 2**-8, 2**-2]
    expected = torch.tensor([[[-m * abs(t + 2 - s) for s in range(S)] for t in range(T)] for m in slopes])
    assert_close(ours, expected.double()[None])


def test_weights_are_those_of_bloom_with_padding_on_the_left():
    bloom = pytest.importorskip("transformers.models.bloom.modeling_bloom")
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0, :2] = False
    torch.manual_seed(0)
    scores = torch.randn(B, 6, T, T, dtype=torch.float64)
    hidden = torch.zeros(B, 1, T, T, dtype=torch.float64)
    hidden.masked_fill_(torch.ones(T, T).triu(1).bool() | ~keys[:, None, None], -1e9)
    theirs = bloom.build_alibi_tensor(keys.long(), 6, torch.float64).view(B, 6, 1, T)
    q = torch.randn(B, 6, T, K, dtype=torch.float64)
    ours = Alibi(d_model=12, n_heads=6).bias(q, q, scale=1.0, mask=Mask(causal=True, keys=keys))
    weights = [(scores + hidden + b).softmax(-1) for b in (ours, theirs)]
    real = keys[:, None, :, None].expand(B, 6, T, T)
    assert_close(weights[0][real], weights[1][real], rtol=1e-6, atol=1e-8)


def test_it_learns_nothing_and_is_made_for_its_heads():
    assert Alibi(d_model=12, n_heads=3).state_dict() == {}
    assert AlibiSpec.is_per_head
