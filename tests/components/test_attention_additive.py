import math

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.attention.additive import AdditiveAttentionSpec
from zoo.kernels import common
from zoo.kernels.additive import additive_scores
from zoo.kernels.cache import MemoryCache
from zoo.kinds import ATTENTION, POSITION, Position
from zoo.masks import Mask

B, T, S, D = 2, 5, 7, 12


def attention(**fields):
    torch.manual_seed(0)
    spec = parse(AdditiveAttentionSpec, {"type": "additive", "d_v": 4, "bias": True, **fields})
    return ATTENTION.build(spec, d_model=D).double()


def by_loops(module, query, memory, allowed, bias=lambda i, j: 0.0):
    """Section A.1.2 for each head, a pair of tokens at a time."""
    (H, K), Kv = module.energy.shape, module.d_v
    q, k, v = module.query(query), module.key(memory), module.value(memory)
    rows = []
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            for h in range(H):
                own, total, out = slice(K * h, K * h + K), 0.0, torch.zeros(Kv, dtype=torch.float64)
                for j in range(memory.shape[1]):
                    if allowed(b, i, j):
                        score = module.energy[h] @ (q[b, i, own] + k[b, j, own]).tanh() + bias(i, j)
                        total = total + score.exp()
                        out = out + score.exp() * v[b, j, Kv * h : Kv * h + Kv]
                rows.append(out / total)
    return module.output(torch.stack(rows).view(*query.shape[:2], -1))


@pytest.mark.parametrize("most_scores", [1, 400, 1 << 19])
@pytest.mark.parametrize("sizes", [{}, {"n_heads": 3, "d_k": 5}])
def test_it_equals_the_formula_and_so_do_its_gradients(sizes, most_scores, monkeypatch):
    monkeypatch.setattr(common, "_CPU_SCORES", most_scores)
    module, x = attention(**sizes), torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    keys = torch.arange(T) < torch.tensor([[5], [3]])
    got = module(x, mask=Mask(causal=True, keys=keys), position=None, cache=None)
    expected = by_loops(module, x, x, lambda b, i, j: bool(keys[b, j]) and j <= i)
    upstream = torch.randn_like(got)
    assert_close(got, expected)
    inputs = [x, *module.parameters()]
    for ours, theirs in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (got, expected)), strict=True
    ):
        assert_close(ours, theirs)


@torch.no_grad()
def test_rows_of_a_beam_share_one_memory():
    module, n, cache = attention(n_heads=2), 3, MemoryCache()
    rows, memory = torch.randn(B * n, 2, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    keys = torch.arange(S) < torch.tensor([[7], [4]])
    copies = memory.repeat_interleave(n, 0)
    expected = by_loops(module, rows, copies, lambda b, i, j: bool(keys[b // n, j]))
    assert_close(module(rows, memory, mask=Mask(keys=keys), position=None, cache=cache), expected)
    assert_close(module(rows, None, mask=Mask(keys=keys), position=None, cache=cache), expected)


class Distance(Position):
    def bias(self, q, k, *, scale, mask):
        assert scale == 1.0
        far = mask.query_positions(q.shape[2], q.device)[:, None] - mask.key_positions(k.shape[2], q.device)
        return -0.3 * far[None, None].to(q.dtype)


@torch.no_grad()
def test_positions_may_bias_the_scores():
    module, x = attention(), torch.randn(B, T, D, dtype=torch.float64)
    expected = by_loops(module, x, x, lambda b, i, j: True, lambda i, j: -0.3 * (i - j))
    assert_close(module(x, mask=Mask(), position=Distance(), cache=None), expected)


def test_no_hidden_layer_of_all_pairs_is_made_or_kept(monkeypatch):
    monkeypatch.setattr(common, "_CPU_SCORES", 2000)
    length, K, sizes = 60, 16, []
    tanh_ = torch.Tensor.tanh_
    monkeypatch.setattr(torch.Tensor, "tanh_", lambda x: sizes.append(x.numel()) or tanh_(x))
    q, k = (torch.randn(1, 1, length, K, requires_grad=True) for _ in range(2))
    additive_scores(q, k, torch.randn(1, K)).sum().backward()
    assert max(sizes) <= 2000
    assert sum(sizes) == 2 * length * length * K


def test_weights_are_dropped_in_training_only():
    module, x = attention(n_heads=3, dropout=0.5), torch.randn(1, 40, D, dtype=torch.float64)
    with torch.no_grad():
        module.output.weight.zero_()[:, :].fill_diagonal_(1.0)
        module.value.weight.zero_()
        module.value.bias.fill_(1.0)  # so that the output is the sum of the weights
        module.output.bias.zero_()
        kept = module.train()(x, mask=Mask(), position=None, cache=None)
        assert kept.std() > 0.05
        assert math.isclose(kept.mean().item(), 1.0, abs_tol=0.1)
        all_of_them = module.eval()(x, mask=Mask(), position=None, cache=None)
        assert_close(all_of_them, torch.ones_like(all_of_them))


def test_narrow_weights_and_autocast_lose_little():
    module, x = attention(), torch.randn(B, T, D)
    exact = module(x.double(), mask=Mask(causal=True), position=None, cache=None)
    for dtype in (torch.float32, torch.bfloat16):
        module.to(dtype)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            got = module(x.to(dtype), mask=Mask(causal=True), position=None, cache=None)
        assert got.dtype == torch.bfloat16
        assert_close(got.double(), exact, rtol=0, atol=0.02)


def test_positions_that_turn_are_refused_and_others_taken():
    spec = AdditiveAttentionSpec()
    for name in ("sinusoidal", "alibi", "none"):
        spec.check(d_model=D, role="self", position=POSITION.examples(name)[0])
    spec.check(d_model=D, role="cross", position=None)
    with pytest.raises(
        ValueError, match=r"turning both by rotary positions tells no distance: use .*sinusoidal"
    ):
        spec.check(d_model=D, role="self", position=POSITION.examples("rotary")[0])
