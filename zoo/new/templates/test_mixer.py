"""The laws of every mixer, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws
from zoo.masks import Mask

from my_part import MyPart


@parametrize_with_laws(["mixer/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_each_output_is_the_mean_so_far() -> None:
    part, x = MyPart(d_model=6), torch.randn(2, 4, 6)
    means = torch.stack([part.inner(x)[:, : t + 1].mean(1) for t in range(4)], dim=1)
    out = part(x, mask=Mask(causal=True), position=None, cache=None)
    torch.testing.assert_close(out, part.outer(means))
