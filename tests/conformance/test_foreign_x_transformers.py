"""Attentions of x-transformers keep the laws that apply to them; what they break is said, and is so."""

import pytest
from torch import nn

from zoo.conformance import parametrize_with_laws, plain_part, trials

library = pytest.importorskip(
    "x_transformers.x_transformers", reason="needs x-transformers: pip install '.[peers]'"
)
pytestmark = pytest.mark.slow  # only then it is there in .ci/run

ROUNDED = 1e-6
"""By which they may differ: their softmax is of float32, whatever is asked."""
OVERFLOWN = (
    "what hides a key is the lowest number of float64, which is minus infinity in a softmax of float32"
)
MORE_THAN_THERE_ARE = "it asks for the two largest scores of one"


def run(module: nn.Module, query, memory, allowed):
    return module(query, None if memory is query else memory, attn_mask=allowed[:, None])


def attention(name, **options):
    return plain_part(
        "attention",
        lambda d_model: library.Attention(d_model, dim_head=4, heads=3, **options),
        run=run,
        name=name,
    )


PARTS = [
    attention("eager"),
    attention("fused", flash=True),
    attention("one_head_of_keys", one_kv_head=True, flash=True),
    attention("normed_queries_and_keys", qk_norm=True),
    attention("largest_two", sparse_topk=2),
]


@parametrize_with_laws(
    PARTS,
    expected_failures={
        "attention/eager: rows_with_nothing_to_attend_stay_finite": OVERFLOWN,
        "attention/largest_two: one_row_of_one_place_is_enough": MORE_THAN_THERE_ARE,
    },
)
def test_law(law, monkeypatch):
    monkeypatch.setattr(trials, "TOLERANCE", ROUNDED)
    law()
