"""The laws of every attention, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws
from zoo.masks import Mask

from my_part import MyPart


@parametrize_with_laws(["attention/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_a_head_of_no_temperature_takes_the_mean() -> None:
    part = MyPart(d_model=12, n_heads=3)
    x = torch.randn(2, 5, 12)
    with torch.no_grad():
        part.log_temperature.fill_(
            -100.0
        )  # exp(-100) is almost 0: all scores are equal
    values = part.inner(x)[..., 24:]
    mean = part.outer(values.mean(1, keepdim=True).expand(2, 5, 12))
    torch.testing.assert_close(part(x, mask=Mask(), position=None, cache=None), mean)
