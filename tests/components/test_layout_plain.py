"""Layouts without norms: sublayers one after the other, and residual sums that keep their variance."""

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.assembly.stack import StackSpec
from zoo.kinds import LAYOUT

FFN = {"type": "mlp", "d_ff": 7}


def made(name, dropout=0.0):
    return LAYOUT.build(LAYOUT.entry(name).spec(), d_model=5, norms=(), dropout=dropout)


def test_plain_sublayers_stand_one_after_the_other():
    x = torch.randn(2, 3, 5)
    assert_close(made("plain")(x, [torch.sin, torch.tanh]), x.sin().tanh())


def test_scaled_residuals_halve_the_variance_of_each_sum():
    x = torch.randn(2, 3, 5)
    once = (x + x.sin()) / 2**0.5
    assert_close(made("scaled_residual")(x, [torch.sin, torch.tanh]), (once + once.tanh()) / 2**0.5)
    x, other = torch.randn(2, 40_000).unbind()
    out = made("scaled_residual")(x[None, None], [lambda _: other[None, None]])
    assert out.var().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    ("name", "values"), [("plain", [0.0, 2.0]), ("scaled_residual", [0.5**0.5, 3 * 0.5**0.5])]
)
def test_what_sublayers_give_is_dropped_in_training(name, values):
    module = made(name, dropout=0.5).train()
    out = module(torch.ones(1, 200, 5), [torch.clone])
    assert_close(out.unique(), torch.tensor(values))
    assert 0.4 < (out == out.max()).double().mean() < 0.6


@pytest.mark.parametrize("layout", ["plain", "scaled_residual"])
def test_a_stack_without_norms_ends_with_none_and_refuses_those_that_nothing_uses(layout):
    layer = {"layout": layout, "mixer": "lstm", "ffn": FFN}
    spec = parse(StackSpec, {"n_layers": 1, "layer": layer})
    assert spec.final_norm is None
    problems = spec.layer.problems("layer", d_model=12, has_memory=False)
    assert problems == []
    spec = parse(StackSpec, {"n_layers": 1, "layer": {**layer, "norm": "rms_norm"}})
    (problem,) = spec.layer.problems("layer", d_model=12, has_memory=False)
    assert problem.message == "nothing uses it: the layout has no norms"


def test_a_gain_on_the_branches_of_a_layout_without_norms_has_none_either():
    layout = {"type": "layer_scale", "layout": "scaled_residual"}
    spec = parse(StackSpec, {"n_layers": 1, "layer": {"layout": layout, "mixer": "lstm", "ffn": FFN}})
    assert spec.final_norm is None


def test_a_plain_layer_without_a_sublayer_is_refused():
    layer = {"layout": "plain", "self_attention": "none", "ffn": "none"}
    spec = parse(StackSpec, {"n_layers": 1, "layer": layer})
    (problem,) = spec.layer.problems("layer", d_model=12, has_memory=False)
    assert "does nothing" in problem.message
