import torch
from torch.testing import assert_close

from zoo.components.layout.post_norm import PostNorm
from zoo.components.layout.pre_norm import PreNorm
from zoo.components.norm.layer_norm import LayerNormSpec

D = 6


def randomised(module):
    for norm in module.norms:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    return module


def test_post_norm_normalises_each_sum():
    layout = randomised(PostNorm(d_model=D, norm=LayerNormSpec(), n_sublayers=2, dropout=0.0))
    x = torch.randn(2, 5, D)
    first = layout.norms[0](x + x.sin())
    assert_close(layout(x, [torch.sin, torch.exp]), layout.norms[1](first + first.exp()))


def test_pre_norm_normalises_each_branch():
    layout = randomised(PreNorm(d_model=D, norm=LayerNormSpec(), n_sublayers=2, dropout=0.0))
    x = torch.randn(2, 5, D)
    first = x + layout.norms[0](x).sin()
    assert_close(layout(x, [torch.sin, torch.exp]), first + layout.norms[1](first).exp())


def test_dropout_falls_on_the_branch_and_spares_the_residual():
    torch.manual_seed(0)
    layout = PreNorm(d_model=D, norm=LayerNormSpec(), n_sublayers=1, dropout=0.5)
    x = torch.randn(40, 50, D)
    out = layout(x, [torch.ones_like])
    assert set((out - x).round(decimals=3).unique().tolist()) == {0.0, 2.0}
