import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, parse
from zoo.components.attention import relative
from zoo.components.attention.relative import RelativeAttentionSpec
from zoo.kernels.cache import KeyValueCache
from zoo.kinds import ATTENTION, POSITION, Position
from zoo.masks import Mask

B, T, D, H = 2, 9, 12, 3


def attention(d_model=D, **fields):
    torch.manual_seed(0)
    data = {"type": "relative", "n_heads": H, "d_k": 5, "d_v": 4, "radius": 2, "bias": True, **fields}
    return ATTENTION.build(parse(RelativeAttentionSpec, data), d_model=d_model).double()


def by_pairs(module, x, allowed, bias=0.0):
    """Equations 1 to 5, with the vectors of each pair written out: [T, S, K]."""
    q, k, v = (f(x).view(B, T, H, -1) for f in (module.query, module.key, module.value))
    places = torch.arange(T)
    before, after = module.radius if isinstance(module.radius, tuple) else (module.radius, module.radius)
    rows = (places - places[:, None]).clamp(-before, after) + before
    keys, values = module.key_table.weight[rows], module.value_table.weight[rows]  # [T, S, K], [T, S, Kv]
    scores = torch.einsum("bihk,bjhk->bhij", q, k) + torch.einsum("bihk,ijk->bhij", q, keys)
    scores = (scores * module.scale + bias).masked_fill(~allowed, -torch.inf)
    weights = scores.softmax(-1)
    out = torch.einsum("bhij,bjhk->bihk", weights, v) + torch.einsum("bhij,ijk->bihk", weights, values)
    return module.output(out.flatten(2))


@pytest.mark.parametrize("radius", [0, 2, 50, (3, 1), (0, 4), (2, 0)])
@pytest.mark.parametrize("causal", [True, False])
def test_it_equals_the_formula_and_so_do_its_gradients(causal, radius):
    module = attention(radius=radius, scale=0.8)
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    keys = torch.arange(T) < torch.tensor([[9], [6]])
    allowed = keys[:, None, None] & (torch.ones(T, T).tril().bool() if causal else True)
    got = module(x, mask=Mask(causal=causal, keys=keys), position=None, cache=None)
    expected = by_pairs(module, x, allowed)
    upstream = torch.randn_like(got)
    assert_close(got, expected)
    inputs = [x, *module.parameters()]
    for ours, theirs in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (got, expected)), strict=True
    ):
        assert_close(ours, theirs)


@torch.no_grad()
@pytest.mark.parametrize("radius", [2, (3, 0)])
def test_in_steps_it_gives_what_it_gives_at_once(radius):
    module, cache = attention(radius=radius), KeyValueCache()
    x, steps, start = torch.randn(B, T, D, dtype=torch.float64), [], 0
    for size in (1, 5, 3):
        mask = Mask(causal=True, offset=start)
        steps.append(module(x[:, start : start + size], mask=mask, position=None, cache=cache))
        start += size
    assert_close(torch.cat(steps, 1), module(x, mask=Mask(causal=True), position=None, cache=None))


class Distance(Position):
    def bias(self, q, k, *, scale, mask):
        far = mask.query_positions(q.shape[2], q.device)[:, None] - mask.key_positions(k.shape[2], q.device)
        return -scale * far[None, None].to(q.dtype)


@torch.no_grad()
def test_positions_of_the_stack_still_bias_the_scores():
    module, x, places = attention(scale=0.8), torch.randn(B, T, D, dtype=torch.float64), torch.arange(T)
    expected = by_pairs(module, x, torch.ones(T, T).bool(), -0.8 * (places[:, None] - places))
    assert_close(module(x, mask=Mask(), position=Distance(), cache=None), expected)


@torch.no_grad()
def test_its_term_of_the_keys_is_that_of_the_positions_named_shaw():
    module, x = attention(d_model=15, radius=3, d_v=None), torch.randn(B, T, 15, dtype=torch.float64)
    module.value_table.weight.zero_()
    plain = ATTENTION.entry("multi_head").spec.model_validate({"n_heads": H, "bias": True})
    plain = ATTENTION.build(plain, d_model=15).double()
    plain.load_state_dict(module.state_dict(), strict=False)
    shaw = POSITION.build(
        POSITION.entry("shaw").spec.model_validate({"radius": 3}), d_model=15, n_heads=H
    ).double()
    shaw.table.load_state_dict(module.key_table.state_dict())
    got = module(x, mask=Mask(causal=True), position=None, cache=None)
    assert_close(got, plain(x, mask=Mask(causal=True), position=shaw, cache=None))


def test_no_vector_of_each_pair_is_made():
    module, length, sizes = attention(d_model=48, d_k=16, d_v=16).float(), 40, []
    keep = torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x)
    with keep:
        module(torch.randn(1, length, 48), mask=Mask(), position=None, cache=None)
    assert max(sizes) == H * length * length  # scores of each head, not length² · 16 of vectors


def test_weights_are_dropped_in_training_only():
    module, x = attention(dropout=0.5), torch.randn(1, 40, D, dtype=torch.float64)
    with torch.no_grad():
        module.value.weight.zero_()
        module.value.bias.fill_(1.0)
        module.value_table.weight.fill_(-1.0)  # the two terms cancel where both drop the same weights
        cancelled = module.train()(x, mask=Mask(), position=None, cache=None)
        assert_close(cancelled, module.output.bias.expand_as(cancelled))
        module.value_table.weight.zero_()
        assert module(x, mask=Mask(), position=None, cache=None).std(1).max() > 0.05
        assert module.eval()(x, mask=Mask(), position=None, cache=None).std(1).max() < 1e-12


def test_narrow_weights_and_autocast_lose_little():
    module, x = attention(), torch.randn(B, T, D)
    exact = module(x.double(), mask=Mask(causal=True), position=None, cache=None)
    for dtype in (torch.float32, torch.bfloat16):
        module.to(dtype)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            got = module(x.to(dtype), mask=Mask(causal=True), position=None, cache=None)
        assert got.dtype == torch.bfloat16
        assert_close(got.double(), exact, rtol=0, atol=0.03)


def test_across_two_sequences_it_is_refused():
    with pytest.raises(ValueError, match="one axis; use it for self-attention"):
        RelativeAttentionSpec(n_heads=H).check(d_model=D, role="cross", position=None)


@torch.no_grad()
def test_layers_of_two_radii_share_a_mask():
    x, mask = torch.randn(B, T, D, dtype=torch.float64), Mask()
    for module in (attention(radius=1), attention(radius=3)):
        expected = by_pairs(module, x, torch.ones(T, T).bool())
        assert_close(module(x, mask=mask, position=None, cache=None), expected)


def test_autocast_around_the_scores_lowers_none_of_them(monkeypatch):
    module, dtypes, softmax = attention().float(), [], relative.masked_softmax
    monkeypatch.setattr(
        relative, "masked_softmax", lambda *given: dtypes.append(given[0].dtype) or softmax(*given)
    )
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        module(torch.randn(B, T, D), mask=Mask(), position=None, cache=None)
    assert dtypes == [torch.float32]


def test_a_side_that_a_causal_stack_never_sees_has_no_vectors_or_is_refused():
    spec = parse(RelativeAttentionSpec, {"n_heads": H, "d_k": 5, "d_v": 4, "radius": [3, 0]})
    spec.check(d_model=D, role="causal", position=None)
    both = parse(RelativeAttentionSpec, {"n_heads": H, "d_k": 5, "d_v": 4, "radius": 3})
    both.check(d_model=D, role="causal", position=None)
    assert both.n_parameters(d_model=D) - spec.n_parameters(d_model=D) == 3 * (5 + 4)
    wide = parse(RelativeAttentionSpec, {"n_heads": H, "radius": [3, 2]})
    wide.check(d_model=D, role="self", position=None)
    with pytest.raises(
        ValueError, match=r"radius \(\[3, 2\]\) tells keys after a query apart.*give \[3, 0\]"
    ):
        wide.check(d_model=D, role="causal", position=None)


def test_a_pair_of_equal_sides_is_one_number():
    torch.manual_seed(3)
    x = torch.randn(B, T, D, dtype=torch.float64)
    pair, one = (
        attention(radius=radius)(x, mask=Mask(), position=None, cache=None) for radius in ((2, 2), 2)
    )
    assert torch.equal(pair, one)


@pytest.mark.parametrize(
    ("radius", "message"),
    [
        ([3], r"a list of two, \[before, after\], got \[3\]"),
        ([3, -1], "at least 0, got -1"),
        ("x", "must be an integer or a list"),
    ],
)
def test_what_is_no_radius_is_refused(radius, message):
    with pytest.raises(SpecError, match=message):
        parse(RelativeAttentionSpec, {"radius": radius})
