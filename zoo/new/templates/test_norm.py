"""The laws of every norm, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws

from my_part import MyPart


@parametrize_with_laws(["norm/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_absolute_values_are_one_in_the_mean() -> None:
    out = MyPart(d_model=6, eps=1e-9)(torch.randn(2, 3, 6))
    torch.testing.assert_close(out.abs().mean(-1), torch.ones(2, 3))
