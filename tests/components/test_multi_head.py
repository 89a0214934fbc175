import math

import pytest
import torch
from torch.testing import assert_close

from zoo.components.attention.multi_head import MultiHeadAttention, MultiHeadAttentionSpec
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.masks import Mask

B, T, S, D = 2, 5, 7, 12


def attention(n_heads=3, n_kv_heads=None, d_k=None, d_v=None, bias=True, scale=None, kernel="auto"):
    torch.manual_seed(0)
    return MultiHeadAttention(
        d_model=D, n_heads=n_heads, n_kv_heads=n_kv_heads, d_k=d_k, d_v=d_v, bias=bias, scale=scale,
        dropout=0.0, kernel=kernel,
    ).double()  # fmt: skip


def by_loops(module, query, memory, allowed):
    """Equation 1 and section 3.2.2, one head and one position at a time."""
    H, G = module.n_heads, module.n_kv_heads
    q, k, v = module.query(query), module.key(memory), module.value(memory)
    K, Kv = q.shape[-1] // H, v.shape[-1] // G
    rows = []
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            heads = []
            for h in range(H):
                g = h * G // H
                exps, total = {}, 0.0
                for j in range(memory.shape[1]):
                    if allowed(b, i, j):
                        score = (
                            q[b, i, h * K : (h + 1) * K] * k[b, j, g * K : (g + 1) * K]
                        ).sum() * module.scale
                        exps[j] = math.exp(score)
                        total += exps[j]
                head = sum(
                    (e / total * v[b, j, g * Kv : (g + 1) * Kv] for j, e in exps.items()),
                    torch.zeros(Kv, dtype=torch.float64),
                )
                heads.append(head)
            rows.append(torch.cat(heads))
    return module.output(torch.stack(rows).view(*query.shape[:2], -1))


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"n_heads": 6, "n_kv_heads": 2},
        {"n_heads": 4, "n_kv_heads": 1, "d_k": 5, "d_v": 7},
        {"scale": 1.0, "bias": False},
    ],
)
@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_self_attention_equals_the_formula(sizes, causal):
    module = attention(**sizes)
    x = torch.randn(B, T, D, dtype=torch.float64)
    expected = by_loops(module, x, x, lambda b, i, j: j <= i or not causal)
    assert_close(module(x, mask=Mask(causal=causal), position=None, cache=None), expected)


@torch.no_grad()
def test_cross_attention_equals_the_formula_and_skips_padding():
    module = attention(n_heads=6, n_kv_heads=3)
    x, memory = torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    keys = torch.ones(B, S, dtype=torch.bool)
    keys[1, 4:] = False
    expected = by_loops(module, x, memory, lambda b, i, j: bool(keys[b, j]))
    assert_close(module(x, memory, mask=Mask(keys=keys), position=None, cache=None), expected)


@torch.no_grad()
def test_rows_of_a_beam_share_one_memory():
    module, n = attention(), 3
    rows, memory = torch.randn(B * n, 1, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    keys = torch.ones(B, S, dtype=torch.bool)
    keys[0, 5:] = False
    cache = MemoryCache()
    first = module(rows, memory, mask=Mask(keys=keys), position=None, cache=cache)
    again = module(rows, None, mask=Mask(keys=keys), position=None, cache=cache)
    copied = module(
        rows,
        memory.repeat_interleave(n, 0),
        mask=Mask(keys=keys.repeat_interleave(n, 0)),
        position=None,
        cache=None,
    )
    assert cache.keys.shape[0] == B
    assert_close(first, copied)
    assert_close(again, copied)


@torch.no_grad()
def test_token_by_token_equals_all_at_once():
    module = attention(n_heads=6, n_kv_heads=2)
    x = torch.randn(B, T, D, dtype=torch.float64)
    cache, steps = KeyValueCache(), []
    for t in range(T):
        steps.append(module(x[:, t : t + 1], mask=Mask(causal=True, offset=t), position=None, cache=cache))
    assert_close(torch.cat(steps, 1), module(x, mask=Mask(causal=True), position=None, cache=None))


def test_the_papers_attention_has_four_square_matrices():
    module = attention(bias=False)
    assert sum(p.numel() for p in module.parameters()) == 4 * D * D


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_heads": 5}, r"n_heads \(5\) must divide d_model \(12\)"),
        ({"n_heads": 6, "n_kv_heads": 4}, r"n_kv_heads \(4\) must divide n_heads \(6\)"),
    ],
)
def test_heads_that_do_not_fit_are_refused(fields, message):
    spec = MultiHeadAttentionSpec(**fields)
    with pytest.raises(ValueError, match=message):
        spec.check(d_model=D, role="self")
