"""The laws of every initialization, and what is special in this one."""

from collections.abc import Callable

import torch
from torch import nn
from zoo.conformance import parametrize_with_laws

from my_part import MyPart


@parametrize_with_laws(["initialization/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_a_linear_map_keeps_lengths_times_the_gain() -> None:
    linear, x = nn.Linear(5, 7), torch.randn(3, 5)
    MyPart(gain=2.0)(linear)
    torch.testing.assert_close(linear(x).norm(dim=-1), 2 * x.norm(dim=-1))
