import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.costs import cost
from zoo.kinds import FFN
from zoo.sizes import Batch

D, E = 6, 5


def experts(**changes):
    torch.manual_seed(0)
    fields = {"n_experts": E, "top_k": 2, "expert": {"type": "glu", "d_ff": 4}, **changes}
    return FFN.build(parse(FFN.entry("input_weighted_experts").spec, fields), d_model=D).double()


@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("shared", [None, {"type": "mlp", "d_ff": 3}])
def test_an_expert_is_given_the_token_times_its_score(normalised, shared):
    module = experts(normalised=normalised, shared_expert=shared)
    x = torch.randn(2, 7, D, dtype=torch.float64)
    expected = []
    for row in x.view(-1, D):
        logits = module.router(row)
        ranks = logits.tolist()
        chosen = sorted(range(E), key=lambda e: -ranks[e])[:2]
        total = sum(logits[e].sigmoid() for e in chosen) if normalised else 1.0
        outputs = [module.experts[e]((logits[e].sigmoid() / total * row)[None, None]) for e in chosen]
        if shared is not None:
            outputs.append(module.shared_expert(row[None, None]))
        expected.append(sum(outputs))
    assert_close(module(x), torch.cat(expected).view_as(x))


def test_large_logits_are_still_told_apart():
    module = experts(top_k=1)
    torch.nn.init.zeros_(module.router.weight)
    with torch.no_grad():
        module.router.weight[3, 0], module.router.weight[1, 0] = 101.0, 100.0  # both sigmoids are 1
    _, chosen, _ = module.route(torch.eye(D, dtype=torch.float64)[:1])
    assert chosen.item() == 3


def test_its_cost_has_no_product_of_outputs_and_weights():
    batch = Batch(14, 7)
    kinds = ("mixture_of_experts", "input_weighted_experts")
    fields = {"n_experts": E, "top_k": 2, "expert": {"type": "mlp", "d_ff": 4}}
    other, own = (
        cost(FFN, parse(FFN.entry(kind).spec, {"type": kind, **fields}), d_model=D, batch=batch)
        for kind in kinds
    )
    assert other.forward - own.forward == 2 * 14 * 2 * D
    assert own.formula == "2·T·D·E + k of mlp"
