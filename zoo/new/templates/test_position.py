"""The laws of every positional encoding, and what is special in this one."""

import math
from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws
from zoo.masks import Mask

from my_part import MyPart


@parametrize_with_laws(["position/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_three_keys_away_costs_log_of_four() -> None:
    part, q = MyPart(d_model=6, n_heads=3), torch.randn(2, 3, 5, 2)
    bias = part.bias(q, q, scale=1.0, mask=Mask())
    assert bias.shape == (1, 3, 5, 5)
    expected = torch.full((3,), -math.log(2) * math.log(4))  # softplus(0) is log 2
    torch.testing.assert_close(bias[0, :, 4, 1], expected)
    torch.testing.assert_close(bias[0, :, 2, 2], torch.zeros(3))
