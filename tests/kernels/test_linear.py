import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from zoo.kernels.linear import Linear, linear, prefers_onednn


def case(shape, dtype=torch.float32, n_out=11):
    torch.manual_seed(0)
    x = torch.randn(*shape, dtype=dtype, requires_grad=True)
    weight = torch.randn(n_out, shape[-1], dtype=dtype, requires_grad=True)
    bias = torch.randn(n_out, dtype=dtype, requires_grad=True)
    return x, weight, bias


@pytest.mark.parametrize("shape", [(7, 5), (2, 3, 5), (2, 1, 4, 5), (1, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("with_bias", [True, False])
def test_value_and_gradients_equal_torchs(shape, dtype, with_bias):
    x, weight, bias = case(shape, dtype)
    inputs, b = ((x, weight, bias), bias) if with_bias else ((x, weight), None)
    ours, theirs = linear(x, weight, b), F.linear(x, weight, b)
    upstream = torch.randn_like(theirs)
    assert_close(ours, theirs)
    for a, c in zip(
        torch.autograd.grad(ours, inputs, upstream),
        torch.autograd.grad(theirs, inputs, upstream),
        strict=True,
    ):
        assert_close(a, c)


def test_it_is_float32_and_no_less():
    x, weight, _ = case((300, 1000), n_out=200)
    exact = F.linear(x.double(), weight.double())
    assert (linear(x, weight).double() - exact).abs().max() < 2e-4  # bfloat16 would be off by 0.3


def test_a_transposed_view_and_an_empty_batch_work():
    x, weight, bias = case((5, 7))
    assert_close(linear(x.t(), torch.randn(3, 5)).shape, torch.Size([7, 3]))
    assert linear(x[:0], weight, bias).shape == (0, 11)
    turned = torch.randn(6, 4).t()
    assert_close(linear(turned, torch.ones(2, 6)), F.linear(turned, torch.ones(2, 6)))


def test_autocast_still_lowers_it():
    x, weight, bias = case((7, 5))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16


def test_only_float32_on_the_cpu_goes_another_way():
    x, weight, _ = case((7, 5))
    assert not prefers_onednn(x.double(), weight.double())
    assert not prefers_onednn(x.to("meta"), weight.to("meta"))


def test_frozen_weights_get_no_gradient():
    x, _, _ = case((7, 5))
    layer = Linear(5, 11)
    layer.requires_grad_(False)
    layer(x).sum().backward()
    assert layer.weight.grad is None
    assert_close(x.grad, layer.weight.sum(0).expand(7, 5))
