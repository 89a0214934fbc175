import torch
from torch.testing import assert_close

from zoo.components.norm.layer_norm import LayerNorm
from zoo.components.norm.rms_norm import RMSNorm


def test_layer_norm_is_its_formula_with_the_biased_variance():
    torch.manual_seed(0)
    norm = LayerNorm(d_model=6, eps=1e-3, bias=True)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = torch.randn(2, 5, 6) * 3 + 1
    variance = ((x - x.mean(-1, keepdim=True)) ** 2).sum(-1, keepdim=True) / 6
    expected = (x - x.mean(-1, keepdim=True)) / (variance + 1e-3).sqrt() * norm.weight + norm.bias
    assert_close(norm(x), expected)


def test_layer_norm_without_bias_has_only_a_gain():
    assert [name for name, _ in LayerNorm(d_model=6, eps=1e-6, bias=False).named_parameters()] == ["weight"]


def test_rms_norm_is_its_formula_and_does_not_centre():
    torch.manual_seed(0)
    norm = RMSNorm(d_model=6, eps=1e-3)
    torch.nn.init.normal_(norm.weight)
    x = torch.randn(2, 5, 6) + 4
    assert_close(norm(x), x / ((x**2).mean(-1, keepdim=True) + 1e-3).sqrt() * norm.weight)
