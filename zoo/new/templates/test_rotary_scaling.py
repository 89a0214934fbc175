"""What this scaling of rotary positions promises."""

import torch
from torch.testing import assert_close
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING

from my_part import MyPart, MyPartSpec


def test_the_fastest_pair_keeps_its_speed_and_the_slowest_is_divided_by_the_factor() -> (
    None
):
    plain = turns(10_000.0, 8, torch.device("cpu"))
    speeds, growth = MyPart(factor=3.0)(10_000.0, 8, 5, torch.device("cpu"))
    assert growth == 1.0
    assert_close(speeds[0], plain[0])
    assert_close(speeds[-1], plain[-1] / 3)


def test_it_is_built_by_its_name() -> None:
    assert isinstance(ROTARY_SCALING.build(MyPartSpec()), MyPart)
