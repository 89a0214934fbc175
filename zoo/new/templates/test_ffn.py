"""The laws of every feed-forward network, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws

from my_part import MyPart


@parametrize_with_laws(["ffn/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_twice_the_hidden_values_are_four_times_the_output() -> None:
    part, x = MyPart(d_model=6, d_ff=5), torch.randn(2, 3, 6)
    with torch.no_grad():
        part.inner.bias.zero_()
        part.outer.bias.zero_()
    torch.testing.assert_close(part(2 * x), 4 * part(x))
