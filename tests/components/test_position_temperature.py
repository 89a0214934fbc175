import math

import pytest
import torch
from torch.testing import assert_close

from zoo.kinds import ATTENTION, POSITION
from zoo.masks import Mask

B, T, D, H = 2, 7, 12, 3


def temperature(**fields):
    return POSITION.build(POSITION.entry("temperature").spec(**fields), d_model=D, n_heads=H)


def test_queries_grow_with_the_logarithm_of_their_step():
    q = torch.randn(B, H, T, 4, dtype=torch.float64)
    module = temperature(step=3, strength=0.7)
    factors = [1 + 0.7 * math.log(1 + (i + 1) // 3) for i in range(T)]
    expected = q * torch.tensor(factors, dtype=torch.float64)[:, None]
    assert_close(module.rotate(q, mask=Mask()), expected)
    assert_close(module.rotate(q[:, :, 4:], mask=Mask(offset=4)), expected[:, :, 4:])
    assert module.rotate_keys(q, mask=Mask()) is q


def test_steps_begin_anew_with_each_document():
    q = torch.randn(1, H, T, 4, dtype=torch.float64)
    module = temperature(step=2, strength=1.0)
    out = module.rotate(q, mask=Mask(documents=torch.tensor([[4] * 4 + [2] * 3])))
    assert_close(out[:, :, 4:], module.rotate(q[:, :, 4:], mask=Mask()))


def test_a_part_of_a_query_alone_is_not_tempered():
    spec = ATTENTION.entry("latent").spec(n_heads=H)
    with pytest.raises(ValueError, match="temperature is for whole queries"):
        spec.check(d_model=D, role="causal", position=POSITION.entry("temperature").spec())
