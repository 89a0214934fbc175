import torch
import torch.nn.functional as F
from torch.testing import assert_close

from zoo.components.ffn.glu import GLU
from zoo.components.ffn.mlp import MLP

D, D_FF = 6, 11


def test_mlp_is_equation_2():
    torch.manual_seed(0)
    mlp = MLP(d_model=D, d_ff=D_FF, activation="relu", bias=True, dropout=0.0)
    x = torch.randn(2, 5, D)
    expected = (x @ mlp.inner.weight.T + mlp.inner.bias).clamp(min=0) @ mlp.outer.weight.T + mlp.outer.bias
    assert_close(mlp(x), expected)
    assert sum(p.numel() for p in mlp.parameters()) == 2 * D * D_FF + D_FF + D


def test_the_two_gelus_are_the_exact_one_and_its_tanh_approximation():
    x = torch.randn(2, 5, D)
    for activation in ("gelu", "gelu_tanh"):
        torch.manual_seed(0)
        mlp = MLP(d_model=D, d_ff=D_FF, activation=activation, bias=False, dropout=0.0)
        z = x @ mlp.inner.weight.T
        exact = z * 0.5 * (1 + torch.erf(z / 2**0.5))
        tanh = 0.5 * z * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (z + 0.044715 * z**3)))
        assert_close(mlp(x), (exact if activation == "gelu" else tanh) @ mlp.outer.weight.T)


def test_glu_gates_with_its_first_matrix():
    torch.manual_seed(0)
    x = torch.randn(2, 5, D)
    for activation, function in (("silu", F.silu), ("sigmoid", torch.sigmoid), ("identity", lambda z: z)):
        glu = GLU(d_model=D, d_ff=D_FF, activation=activation, bias=False, dropout=0.0)
        expected = (function(x @ glu.gate.weight.T) * (x @ glu.inner.weight.T)) @ glu.outer.weight.T
        assert_close(glu(x), expected)


def test_dropout_acts_in_training_only():
    torch.manual_seed(0)
    mlp = MLP(d_model=D, d_ff=D_FF, activation="relu", bias=True, dropout=0.5)
    x = torch.randn(2, 5, D)
    assert not torch.equal(mlp(x), mlp(x))
    mlp.eval()
    assert torch.equal(mlp(x), mlp(x))
