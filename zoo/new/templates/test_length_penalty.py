"""What this length penalty promises."""

import torch
from zoo.kinds import LENGTH_PENALTY

from my_part import MyPartSpec


def test_numbers_and_tensors_are_divided_alike_and_never_by_more_than_enough() -> None:
    penalty = LENGTH_PENALTY.build(MyPartSpec(enough=8.0))
    lengths = torch.tensor([1.0, 8.0, 1000.0], dtype=torch.float64)
    found = penalty(lengths)
    assert found.tolist() == [penalty(float(length)) for length in lengths]
    assert penalty(8.0) == 4.0
    assert found[0] < found[1] < found[2] < 8.0
