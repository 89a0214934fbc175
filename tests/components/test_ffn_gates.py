"""Networks behind a gate of their own, and gates within bounds."""

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.kinds import FFN

D = 6


def ffn(**data):
    torch.manual_seed(0)
    return FFN.build(parse(FFN.entry(data["type"]).spec, data), d_model=D).double()


@pytest.fixture
def x():
    return torch.randn(2, 5, D, dtype=torch.float64)


def test_a_gate_lets_through_a_share_of_what_its_network_gives(x):
    module = ffn(type="gated", ffn={"type": "mlp", "d_ff": 7})
    share = 1 / (1 + torch.exp(-x @ module.gate.weight.T))  # [B, T, 1]
    assert_close(module(x), share * module.ffn(x))


def test_a_network_that_gives_nothing_has_no_gate():
    spec = parse(FFN.entry("gated").spec, {"ffn": "none"})
    with pytest.raises(ValueError, match="leaves its gate nothing to learn"):
        spec.check(d_model=D)


def test_a_clamped_gate_bounds_both_halves_and_adds_one_to_the_gated(x):
    module = ffn(type="clamped_glu", d_ff=4, limit=0.3, slope=2.0)
    gate, gated = module.gate(3 * x), module.inner(3 * x)
    assert (gate > 0.3).any()
    assert (gated < -0.3).any()
    gate, gated = torch.minimum(gate, torch.tensor(0.3)), torch.clip(gated, -0.3, 0.3)
    expected = (gated + 1) * gate / (1 + torch.exp(-2 * gate))
    assert_close(module(3 * x), module.outer(expected))


def test_a_routers_bias_sends_tokens_to_another_expert(x):
    module = ffn(
        type="mixture_of_experts", n_experts=3, top_k=1, expert={"type": "mlp", "d_ff": 4}, router_bias=True
    )
    torch.nn.init.zeros_(module.router.weight)
    module.router.bias.data = torch.tensor([0.0, 0.0, 9.0], dtype=torch.float64)
    assert_close(module(x), module.experts[2](x))
