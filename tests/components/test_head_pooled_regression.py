import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.head.pooled_regression import PooledRegression, PooledRegressionSpec

B, T, D, N = 2, 5, 6, 3


def head(*, pool="mean", bias=True, dropout=0.0):
    torch.manual_seed(0)
    module = PooledRegression(d_model=D, embeddings={}, n_outputs=N, pool=pool, bias=bias, dropout=dropout)
    return module.eval()


@pytest.mark.parametrize(
    ("pool", "vector"),
    [
        ("first", lambda row: row[0]),
        ("mean", lambda row: row.mean(0)),
        ("max", lambda row: row.amax(0)),
    ],
)
def test_it_is_a_projection_of_one_vector_of_the_real_tokens(pool, vector):
    module, hidden = head(pool=pool), torch.randn(B, T, D)
    mask = torch.tensor([[True] * T, [False, True, True, False, False]])
    one = torch.stack([vector(row[real]) for row, real in zip(hidden, mask, strict=True)])
    assert_close(module(hidden, mask=mask), one @ module.output.weight.T + module.output.bias)
    assert head(bias=False).output.bias is None


def test_the_loss_is_the_squared_error_in_the_units_of_each_sequence():
    module, hidden, values = head(), torch.randn(7, T, D), torch.randn(7, N)
    scale = torch.rand(7) + 0.5
    wanted = sum((scale[i] * (module(hidden)[i, j] - values[i, j])) ** 2 for i in range(7) for j in range(N))
    sums = module.loss(hidden, values, mask=None, scale=scale)
    assert_close(sums.loss, wanted)
    assert sums.count == 7 * N
    with pytest.raises(ValueError, match=r"values must have the shape \[7, 3\], not \[7\]"):
        module.loss(hidden, values[:, 0], mask=None, scale=None)


def test_dropout_acts_in_training_only():
    module, hidden = head(dropout=0.5), torch.randn(B, T, D)
    assert torch.equal(module(hidden), module(hidden))
    module.train()
    assert not torch.equal(module(hidden), module(hidden))


@pytest.mark.parametrize("pool", ["mean", "attention"])
def test_as_many_numbers_are_given_as_the_spec_says(pool):
    spec = parse(PooledRegressionSpec, {"type": "pooled_regression", "n_outputs": N, "pool": pool})
    assert spec.n_parameters(d_model=D, embeddings={}) == sum(p.numel() for p in head(pool=pool).parameters())
