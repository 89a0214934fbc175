import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, parse
from zoo.kinds import LAYOUT, NORM

D = 6


def spec(**data):
    return parse(LAYOUT.entry("scaled_branch").spec, data)


def test_each_sublayer_is_added_times_the_factor():
    norms = [NORM.entry("layer_norm").spec()] * 2
    layout = LAYOUT.build(spec(factor=0.25), d_model=D, norms=norms, dropout=0.0)
    x = torch.randn(2, 5, D)
    first = x + 0.25 * layout.inner.norms[0](x).sin()
    expected = first + 0.25 * layout.inner.norms[1](first).square()
    assert_close(layout(x, [torch.sin, torch.square]), expected)


def test_a_layout_that_normalises_branches_undoes_a_factor():
    with pytest.raises(SpecError, match="undoes a factor"):
        spec(factor=0.25, layout="sandwich")
    assert spec(factor=0.25).layout.type == "pre_norm"


@pytest.mark.parametrize("layout", ["pre_norm", "post_norm"])
def test_a_drawing_shows_the_factor_behind_each_sublayer(layout):
    wiring = spec(factor=0.25, layout=layout).wiring
    assert wiring[wiring.index("sublayer") + 1] == "× 0.25"
