"""Length penalties against numbers worked out by hand."""

import pytest
import torch

from zoo.kinds import LENGTH_PENALTY


def penalty(name, **fields):
    return LENGTH_PENALTY.build(LENGTH_PENALTY.entry(name).spec(**fields))


@pytest.mark.parametrize(
    ("name", "fields", "length", "divisor"),
    [
        ("gnmt", {"alpha": 1.0}, 7, 2.0),  # (5 + 7) / 6
        ("gnmt", {"alpha": 0.5}, 19, 2.0),  # √(24 / 6)
        ("gnmt", {"alpha": 0.6}, 1, 1.0),
        ("gnmt", {}, 11, 1.8012),  # (16/6)^0.6 = e^(0.6 · 0.98083) = e^0.58850
        ("power", {"alpha": 1.0}, 7, 7.0),
        ("power", {"alpha": 0.5}, 9, 3.0),
        ("none", {}, 9, 1.0),
    ],
)
def test_the_divisor_is_the_formula(name, fields, length, divisor):
    assert penalty(name, **fields)(length) == pytest.approx(divisor, rel=1e-4)


@pytest.mark.parametrize("name", LENGTH_PENALTY.names())
def test_a_penalty_takes_tensors_and_does_not_shrink_with_length(name):
    for spec in LENGTH_PENALTY.examples(name):
        built = LENGTH_PENALTY.build(spec)
        lengths = torch.arange(1, 40)
        divisors = built(lengths.double())
        assert divisors.dtype == torch.float64
        assert (divisors.diff() >= 0).all()
        numbers = torch.tensor([float(built(n)) for n in lengths.tolist()], dtype=torch.float64)
        torch.testing.assert_close(divisors, numbers)
