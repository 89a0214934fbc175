import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.kinds import FFN

D = 6
FIELDS = {
    "n_experts": 6, "n_groups": 3, "top_groups": 2, "top_k": 3, "expert": {"type": "mlp", "d_ff": 4}, "balance": 0.0,
}  # fmt: skip


def experts(**changes):
    torch.manual_seed(0)
    spec = parse(FFN.entry("grouped_experts").spec, {**FIELDS, **changes})
    return FFN.build(spec, d_model=D).double()


@pytest.mark.parametrize("score", ["softmax", "sigmoid"])
@pytest.mark.parametrize("n_best", [1, 2])
@pytest.mark.parametrize("corrected", [False, True])
def test_a_token_looks_among_the_experts_of_its_best_groups(score, n_best, corrected):
    module = experts(score=score, n_best=n_best, corrected=corrected, normalised=False, factor=2.5)
    if corrected:
        module.correction.copy_(torch.randn(6))
    for row in torch.randn(7, D, dtype=torch.float64):
        logits = module.router(row)
        scores = logits.softmax(0) if score == "softmax" else logits.sigmoid()
        ranks = (scores + module.correction if corrected else scores).tolist()
        groups = [ranks[2 * g : 2 * g + 2] for g in range(3)]
        order = sorted(range(3), key=lambda g: -sum(sorted(groups[g])[-n_best:]))
        reach = [e for g in order[:2] for e in (2 * g, 2 * g + 1)]
        chosen = sorted(reach, key=lambda e: -ranks[e])[:3]
        expected = 2.5 * sum(scores[e] * module.experts[e](row[None, None]) for e in chosen)
        assert_close(module(row[None, None]), expected)


def test_normalised_weights_sum_to_the_factor():
    weights, _, _ = experts(score="sigmoid", factor=2.5).route(torch.randn(7, D, dtype=torch.float64))
    assert_close(weights.sum(1), torch.full((7,), 2.5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"n_groups": 4}, r"n_groups \(4\) must divide n_experts \(6\)"),
        ({"top_groups": 4}, r"top_groups \(4\) must not be above n_groups \(3\)"),
        ({"n_best": 3}, r"n_best \(3\) must not be above a group's 2 experts"),
        ({"top_k": 5}, r"top_k \(5\) must not be above the 4 experts in reach"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, said):
    spec = parse(FFN.entry("grouped_experts").spec, {**FIELDS, **changes})
    with pytest.raises(ValueError, match=said):
        spec.check(d_model=D)
