import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.head.regression import Regression, RegressionSpec

B, T, D, N = 2, 5, 6, 3


def head(*, bias=True, dropout=0.0):
    torch.manual_seed(0)
    return Regression(d_model=D, embeddings={}, n_outputs=N, bias=bias, dropout=dropout).eval()


def test_each_place_is_projected_to_the_numbers():
    module, hidden = head(), torch.randn(B, T, D)
    expected = hidden @ module.output.weight.T + module.output.bias
    assert_close(module(hidden), expected)
    assert_close(module(hidden, mask=torch.rand(B, T) > 0.5), expected)
    assert head(bias=False).output.bias is None


def test_the_loss_is_the_squared_error_of_the_chosen_places_and_every_number_counts():
    module, hidden, values = head(), torch.randn(7, D), torch.randn(7, N)
    sums = module.loss(hidden, values, scale=None)
    loss, nll, count = sums.loss, sums.nll, sums.count
    wanted = sum((module(hidden)[i, j] - values[i, j]) ** 2 for i in range(7) for j in range(N))
    assert_close(loss, wanted)
    assert_close(nll, wanted.detach())
    assert loss.requires_grad
    assert not nll.requires_grad
    assert count == 7 * N
    with pytest.raises(ValueError, match=r"values must have the shape \[7, 3\], not \[7\]"):
        module.loss(hidden, values[:, 0], scale=None)


def test_the_error_is_in_units_of_the_scale():
    module, hidden, values, scale = head(), torch.randn(7, D), torch.randn(7, N), torch.rand(7) + 0.5
    sums = module.loss(hidden, values, scale=scale)
    wanted = sum((module(hidden)[i] * scale[i] - values[i] * scale[i]).square().sum() for i in range(7))
    assert_close(sums.loss, wanted)
    assert sums.count == 7 * N
    with pytest.raises(ValueError, match=r"values must have the shape \[7, 3\], not \[7, 1\]"):
        module.loss(hidden, values[:, :1], scale=scale)


def test_dropout_acts_in_training_only():
    module, hidden = head(dropout=0.5), torch.randn(B, T, D)
    assert torch.equal(module(hidden), module(hidden))
    module.train()
    assert not torch.equal(module(hidden), module(hidden))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_it_works_in_every_precision(dtype):
    hidden, values = torch.randn(7, D), torch.randn(7, N)
    with torch.autocast("cpu", torch.bfloat16):
        assert head()(hidden).dtype == torch.bfloat16
        assert head().loss(hidden, values, scale=None).loss.dtype == torch.float32
    assert head().to(dtype).loss(hidden.to(dtype), values, scale=None).loss.dtype == torch.float32
    assert head().to("meta")(hidden.to("meta")).shape == (7, N)


def test_as_many_numbers_are_given_as_the_spec_says():
    spec = parse(RegressionSpec, {"type": "regression", "n_outputs": N})
    assert spec.n_parameters(d_model=D, embeddings={}) == sum(p.numel() for p in head().parameters())
