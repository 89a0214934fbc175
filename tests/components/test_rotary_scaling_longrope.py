import pytest
import torch
from torch.testing import assert_close

from registry import check, parse
from zoo.kernels.rotary import turns
from zoo.kinds import ROTARY_SCALING

FACTORS = {"short": [1.0, 1.5, 2.0], "long": [2.0, 3.0, 5.0], "original_max_len": 9, "attention_factor": 1.25}
CPU = torch.device("cpu")


@pytest.mark.parametrize(("length", "chosen"), [(1, "short"), (9, "short"), (10, "long"), (90, "long")])
def test_the_length_chooses_the_factors(length, chosen):
    scaling = ROTARY_SCALING.build(parse(ROTARY_SCALING.entry("longrope").spec, FACTORS))
    speeds, growth = scaling(50.0, 6, length, CPU)
    assert_close(speeds, turns(50.0, 6, CPU) / torch.tensor(FACTORS[chosen], dtype=torch.float64))
    assert growth == 1.25


def test_each_pair_needs_a_factor():
    spec = parse(ROTARY_SCALING.entry("longrope").spec, FACTORS)
    assert not check(spec, "", size=6)
    (problem,) = check(spec, "", size=8)
    assert "short must have a factor for each of 4 pairs, not 3" in problem.message
