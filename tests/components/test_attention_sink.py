import math

import pytest
import torch
from torch.testing import assert_close

from zoo.components.heads import split
from zoo.kinds import ATTENTION
from zoo.masks import Mask

B, T, D, H = 2, 5, 12, 4


def attention(**changes):
    torch.manual_seed(0)
    spec = ATTENTION.entry("sink").spec(n_heads=H, **changes)
    module = ATTENTION.build(spec, d_model=D).double()
    torch.nn.init.normal_(module.sinks)
    return module


def run(module, x, mask):
    return module(x, mask=mask, position=None, cache=None)


@pytest.mark.parametrize("radius", [None, 1])
def test_a_sink_adds_its_exponential_to_the_sum_of_each_query(radius):
    module, x = attention(n_kv_heads=2, radius=radius), torch.randn(B, T, D, dtype=torch.float64)
    q, k, v = (split(part(x), n) for part, n in ((module.query, H), (module.key, 2), (module.value, 2)))
    expected = torch.zeros(B, T, D, dtype=torch.float64)
    for h in range(H):
        for i in range(T):
            seen = [j for j in range(i + 1) if radius is None or i - j <= radius]
            powers = torch.stack(
                [(q[:, h, i] * k[:, h // 2, j]).sum(-1) / math.sqrt(3) for j in seen], 1
            ).exp()
            shares = powers / (powers.sum(1, keepdim=True) + module.sinks[h].exp())  # [B, n]
            expected[:, i, 3 * h : 3 * h + 3] = (shares[:, :, None] * v[:, h // 2, seen]).sum(1)
    assert_close(run(module, x, Mask(causal=True)), module.output(expected))


def test_a_sink_far_below_is_none():
    sunk, plain = attention(), ATTENTION.entry("multi_head").spec(n_heads=H)
    torch.nn.init.constant_(sunk.sinks, -100.0)
    other = ATTENTION.build(plain, d_model=D).double()
    other.load_state_dict({k: v for k, v in sunk.state_dict().items() if k != "sinks"})
    x = torch.randn(B, T, D, dtype=torch.float64)
    assert_close(run(sunk, x, Mask()), run(other, x, Mask()))


def test_a_radius_across_two_sequences_is_refused():
    spec = ATTENTION.entry("sink").spec(n_heads=H, radius=2)
    with pytest.raises(ValueError, match="leave it out of cross-attention"):
        spec.check(d_model=D, role="cross", position=None)
