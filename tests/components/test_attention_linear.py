import pytest
import torch
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from registry import parse
from zoo.components.attention.linear import LinearAttentionSpec, _features
from zoo.kernels import linear_attention
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kernels.linear_attention import attend_linearly
from zoo.kinds import ATTENTION, POSITION
from zoo.masks import Mask

B, T, S, D = 2, 9, 7, 12


def attention(**fields):
    torch.manual_seed(0)
    spec = parse(
        LinearAttentionSpec, {"type": "linear", "n_heads": 3, "d_k": 5, "d_v": 4, "bias": True, **fields}
    )
    return ATTENTION.build(spec, d_model=D).double()


def by_loops(module, query, memory, allowed):
    """Equation 5 with the features of equation 7, a pair of tokens at a time."""
    q = torch.nn.functional.elu(module.query(query)) + 1
    k = torch.nn.functional.elu(module.key(memory)) + 1
    v = module.value(memory)
    rows = []
    for b in range(query.shape[0]):
        for i in range(query.shape[1]):
            for h in range(3):
                own, total, out = q[b, i, 5 * h : 5 * h + 5], 0.0, torch.zeros(4, dtype=torch.float64)
                for j in range(memory.shape[1]):
                    if allowed(b, i, j):
                        weight = own @ k[b, j, 5 * h : 5 * h + 5]
                        total += weight
                        out = out + weight * v[b, j, 4 * h : 4 * h + 4]
                rows.append(out / total if total else out)
    return module.output(torch.stack(rows).view(*query.shape[:2], -1))


@pytest.mark.parametrize("chunk", [1, 4, 64])
@pytest.mark.parametrize("causal", [True, False])
def test_it_equals_the_formula_and_so_do_its_gradients(causal, chunk, monkeypatch):
    monkeypatch.setattr(linear_attention, "CHUNK", chunk)
    module, x = attention(), torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    keys = torch.ones(B, T, dtype=torch.bool)
    keys[0, :3] = False
    keys[1, 5:] = False
    got = module(x, mask=Mask(causal=causal, keys=keys), position=None, cache=None)
    expected = by_loops(module, x, x, lambda b, i, j: bool(keys[b, j]) and (j <= i or not causal))
    upstream = torch.randn_like(got)
    assert_close(got, expected)
    inputs = [x, *module.parameters()]
    for ours, theirs in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (got, expected)), strict=True
    ):
        assert_close(ours, theirs)


@torch.no_grad()
def test_rows_of_a_beam_share_one_memory():
    module, n, cache = attention(), 3, MemoryCache()
    rows, memory = torch.randn(B * n, 2, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)
    keys = torch.arange(S) < torch.tensor([[7], [4]])
    expected = by_loops(module, rows, memory.repeat_interleave(n, 0), lambda b, i, j: bool(keys[b // n, j]))
    assert_close(module(rows, memory, mask=Mask(keys=keys), position=None, cache=cache), expected)
    assert_close(module(rows, None, mask=Mask(keys=keys), position=None, cache=cache), expected)
    assert cache.keys.shape[0] == B


@pytest.mark.parametrize("sizes", [[1] * T, [2, 6, 1]])
@torch.no_grad()
def test_in_steps_it_gives_what_it_gives_at_once(sizes, monkeypatch):
    monkeypatch.setattr(linear_attention, "CHUNK", 4)
    module, x, cache = attention(), torch.randn(B, T, D, dtype=torch.float64), KeyValueCache()
    keys, steps, start = torch.arange(T) >= torch.tensor([[0], [3]]), [], 0  # the second starts with padding
    for size in sizes:
        stop = start + size
        mask = Mask(causal=True, keys=keys[:, :stop], offset=start)
        steps.append(module(x[:, start:stop], mask=mask, position=None, cache=cache))
        start = stop
    assert_close(torch.cat(steps, 1), module(x, mask=Mask(causal=True, keys=keys), position=None, cache=None))


@pytest.mark.parametrize("causal", [True, False])
def test_memory_kept_for_the_gradient_is_linear_in_the_length(causal):
    kept = []
    for length in (512, 1024, 2048):
        q = torch.rand(1, 2, length, 8, requires_grad=True)
        saved = {}

        def keep(tensor, saved=saved):
            saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            attend_linearly(q, q, q, mask=Mask(causal=causal))
        kept.append(sum(saved.values()))
    assert kept[2] / kept[1] < 2.1
    assert kept[1] / kept[0] < 2.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_narrow_weights_and_autocast_lose_little(dtype):
    module, x = attention().float(), torch.randn(B, T, D)
    exact = module.double()(x.double(), mask=Mask(causal=True), position=None, cache=None)
    module.to(dtype)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
        got = module(x.to(dtype), mask=Mask(causal=True), position=None, cache=None)
    assert got.dtype == torch.bfloat16
    assert_close(got.double(), exact, rtol=0, atol=0.02)


@pytest.mark.parametrize("causal", [True, False])
def test_autocast_around_the_sums_changes_nothing(causal):
    q, k, v = (torch.rand(B, 3, 20, size) for size in (5, 5, 4))
    with torch.autocast("cpu", torch.bfloat16):
        got = attend_linearly(q, k, v, mask=Mask(causal=causal))
    assert_close(got, attend_linearly(q, k, v, mask=Mask(causal=causal)), rtol=0, atol=0)


def test_a_step_with_a_cache_costs_no_product_of_keys_and_values():
    length, K, Kv = 400, 16, 12
    q, k, v = torch.rand(1, 1, 1, K), torch.rand(1, 1, length, K), torch.rand(1, 1, length, Kv)
    with FlopCounterMode(display=False) as counter:
        attend_linearly(q, k, v, mask=Mask(causal=True, offset=length - 1))
    assert counter.get_total_flops() <= 2.1 * length * (K + Kv + 1)


def test_small_features_keep_their_digits():
    low = torch.full((1, 1, 1, 1), -30.0)  # elu(-30) + 1 is 0 in float32
    keys = torch.cat([low, low + 1], 2)

    out = attend_linearly(_features(low), _features(keys), torch.tensor([[[[0.0], [1.0]]]]), mask=Mask())
    assert_close(out.item(), 0.7310585786300049, rtol=1e-6, atol=0)  # 1 / (1 + 1/e)


@pytest.mark.parametrize(
    ("mask", "name"), [(Mask(radius=2), "radius"), (Mask(documents=torch.zeros(B, T).long()), "documents")]
)
def test_rules_that_sums_cannot_keep_are_refused(mask, name):
    module = attention()
    with pytest.raises(ValueError, match=f"it cannot keep to the {name} of a mask"):
        module(torch.randn(B, T, D, dtype=torch.float64), mask=mask, position=None, cache=None)


@pytest.mark.parametrize("name", ["rotary", "alibi", "relative_buckets"])
def test_positions_that_turn_or_bias_scores_are_refused(name):
    position = POSITION.examples(name)[0]
    with pytest.raises(
        ValueError, match=f"no scores that {name} positions could turn or bias.*sinusoidal or learned"
    ):
        LinearAttentionSpec(n_heads=3).check(d_model=D, role="self", position=position)


@pytest.mark.parametrize("name", ["sinusoidal", "learned", "none"])
def test_positions_that_add_to_the_embeddings_are_taken(name):
    LinearAttentionSpec(n_heads=3).check(d_model=D, role="causal", position=POSITION.examples(name)[0])
    LinearAttentionSpec(n_heads=3).check(d_model=D, role="cross", position=None)
