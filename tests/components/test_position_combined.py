import pytest
import torch
from torch.testing import assert_close

from registry import check, parse
from zoo.components.heads import has_hook
from zoo.components.position.combined import CombinedSpec
from zoo.kinds import POSITION
from zoo.masks import Mask

D, H, K = 12, 3, 4
CONTEXT = {"d_model": D, "n_heads": H}


def spec(embedded, scored):
    return parse(CombinedSpec, {"embedded": embedded, "scored": scored})


def test_each_hook_is_that_of_its_own_encoding():
    torch.manual_seed(0)
    module = POSITION.build(spec({"type": "learned", "max_len": 9}, {"type": "relative_buckets"}), **CONTEXT)
    x, q, mask = torch.randn(2, 5, D), torch.randn(2, H, 5, K), Mask()
    assert_close(module.embed(x, mask=mask), x + module.embedded.table.weight[:5])
    assert_close(module.rotate(q, mask=mask), q)
    assert_close(module.bias(q, q, scale=1.0, mask=mask), module.scored.bias(q, q, scale=1.0, mask=mask))
    assert module.max_len == 9


@pytest.mark.parametrize(
    ("embedded", "scored", "said"),
    [
        ("rotary", "relative_buckets", "embedded rotary adds nothing"),
        ("learned", "none", "scored none neither turns nor biases"),
        ("learned", "sinusoidal", "scored sinusoidal neither turns"),
    ],
)
def test_an_encoding_in_the_place_of_another_sort_is_refused(embedded, scored, said):
    (problem,) = check(spec(embedded, scored), "", **CONTEXT, d_k=K, role="self")
    assert said in problem.message


@pytest.mark.parametrize(
    ("scored", "turns"), [("relative_buckets", False), ("alibi", False), ("rotary", True)]
)
def test_it_turns_where_what_is_scored_does(scored, turns):
    given = spec({"type": "learned", "max_len": 9}, {"type": scored})
    assert POSITION.build(given, **CONTEXT).turns == has_hook(given, "rotate") == turns
    assert has_hook(given, "bias") is not turns
    assert has_hook(given, "embed")
