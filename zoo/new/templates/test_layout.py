"""The laws of every layout, and what is special in this one."""

from collections.abc import Callable

import torch
from zoo.conformance import parametrize_with_laws
from zoo.kinds import NORM

from my_part import MyPart


@parametrize_with_laws(["layout/my_part"])
def test_laws(law: Callable[[], None]) -> None:
    law()


def test_gains_of_zero_leave_the_residual_alone() -> None:
    norm = NORM.entry("layer_norm").spec()
    part, x = MyPart(d_model=6, norms=(norm, norm), dropout=0.0), torch.randn(2, 3, 6)
    with torch.no_grad():
        part.gains.zero_()
    torch.testing.assert_close(part(x, [torch.exp, torch.sin]), x)
