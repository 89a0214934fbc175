import math

import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, parse
from zoo.components.attention.multi_head import MultiHeadAttentionSpec
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds import ATTENTION, Position
from zoo.masks import Mask

B, T, S, D = 2, 5, 7, 12


def attention(d_model=D, **fields):
    torch.manual_seed(0)
    spec = parse(MultiHeadAttentionSpec, {"type": "multi_head", "n_heads": 3, "bias": True, **fields})
    return ATTENTION.build(spec, d_model=d_model).double()


def randomised(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def by_loops(module, query, memory, allowed, soft_cap=None):
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
                        if soft_cap is not None:
                            score = soft_cap * math.tanh(score / soft_cap)
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
        {"n_heads": 1},
        {"scale": 3.0, "soft_cap": 0.7},
    ],
)
@pytest.mark.parametrize("causal", [True, False])
@torch.no_grad()
def test_self_attention_equals_the_formula(sizes, causal):
    module = attention(**sizes)
    x = torch.randn(B, T, D, dtype=torch.float64)
    expected = by_loops(module, x, x, lambda b, i, j: j <= i or not causal, sizes.get("soft_cap"))
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


@pytest.mark.parametrize(
    "bias", [True, False, (), ("key",), ("query", "value", "output"), ["output", "query"]]
)
def test_the_projections_named_add_a_bias(bias):
    module = attention(bias=bias)
    names = {name.removesuffix(".bias") for name, _ in module.named_parameters() if name.endswith(".bias")}
    assert names == ({"query", "key", "value", "output"} if bias is True else set(bias or ()))


def test_a_bias_for_no_projection_is_refused():
    with pytest.raises(SpecError, match=r"bias\.1.*'query', 'key', 'value' or 'output'"):
        parse(MultiHeadAttentionSpec, {"type": "multi_head", "bias": ["key", "keys"]})


class Turning(Position):
    """Rolls the features by one and adds a bias that it remembers the arguments of."""

    def __init__(self):
        super().__init__()
        self.seen = None

    def rotate(self, x, *, mask):
        return x.roll(1, -1) * (1 + mask.query_positions(x.shape[2], x.device))[:, None]

    def bias(self, q, k, *, scale, mask):
        self.seen = q, k, scale
        return (q.mean(-1)[..., None] * k.mean(-1).repeat_interleave(3, 1)[:, :, None]).tanh()


@torch.no_grad()
def test_positions_turn_after_the_norm_and_bias_after_the_cap():
    module = randomised(attention(n_heads=6, n_kv_heads=2, d_k=5, qk_norm="rms_norm", soft_cap=0.8))
    x, position = torch.randn(B, T, D, dtype=torch.float64), Turning()
    got = module(x, mask=Mask(causal=True), position=position, cache=None)

    def normed(x, norm, n_heads):
        x = x.view(B, T, n_heads, 5)
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight

    steps = 1 + torch.arange(T, dtype=torch.float64)[:, None, None]
    q = normed(module.query(x), module.query_norm, 6).roll(1, -1) * steps
    k = (normed(module.key(x), module.key_norm, 2).roll(1, -1) * steps).repeat_interleave(3, 2)
    v = module.value(x).view(B, T, 2, 5).repeat_interleave(3, 2)
    scores = 0.8 * torch.tanh(torch.einsum("bihk,bjhk->bhij", q, k) * 5**-0.5 / 0.8)
    scores = scores + (q.mean(-1)[:, :, None] * k.mean(-1)[:, None]).tanh().permute(0, 3, 1, 2)
    scores = scores.masked_fill(torch.ones(T, T).triu(1).bool(), -torch.inf)
    expected = torch.einsum("bhij,bjhk->bihk", scores.softmax(-1), v).flatten(2)
    assert_close(got, module.output(expected))
    assert position.seen[2] == 5**-0.5


@torch.no_grad()
def test_a_bias_meets_all_the_keys_that_the_cache_holds():
    module, position, cache = attention(n_heads=6, n_kv_heads=2), Turning(), KeyValueCache()
    x = torch.randn(B, T, D, dtype=torch.float64)
    full = module(x, mask=Mask(causal=True), position=position, cache=None)
    q, k, _ = position.seen
    for t in range(T):
        mask = Mask(causal=True, offset=t)
        step = module(x[:, t : t + 1], mask=mask, position=position, cache=cache)
        assert_close(step, full[:, t : t + 1])
        assert_close(position.seen[0], q[:, :, t : t + 1])
        assert_close(position.seen[1], k[:, :, : t + 1])


def test_the_papers_attention_has_four_square_matrices():
    module = attention(bias=False)
    assert sum(p.numel() for p in module.parameters()) == 4 * D * D


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_heads": 5}, r"n_heads \(5\) must divide d_model \(12\)"),
        ({"n_heads": 6, "n_kv_heads": 4}, r"n_kv_heads \(4\) must divide n_heads \(6\)"),
        ({"n_heads": 6, "soft_cap": 30.0, "kernel": "sdpa"}, "the sdpa kernel caps no scores"),
    ],
)
def test_fields_that_do_not_fit_are_refused(fields, message):
    spec = MultiHeadAttentionSpec(**fields)
    with pytest.raises(ValueError, match=message):
        spec.check(d_model=D, role="self", position=None)


@pytest.mark.parametrize(
    ("family", "config", "fields"),
    [
        ("qwen2", {}, {"bias": ("query", "key", "value")}),
        ("qwen3", {"rms_norm_eps": 0.03}, {"qk_norm": {"type": "rms_norm", "eps": 0.03}, "bias": False}),
        (
            "gemma2",
            {"attn_logit_softcapping": 0.6, "query_pre_attn_scalar": 3},
            {"soft_cap": 0.6, "scale": 3.0**-0.5, "bias": False},
        ),
    ],
)
@torch.no_grad()
def test_it_gives_what_published_families_give(family, config, fields):
    transformers = pytest.importorskip("transformers")
    configuration = transformers.AutoConfig.for_model(
        family, hidden_size=D, num_attention_heads=6, num_key_value_heads=2, head_dim=4, num_hidden_layers=1,
        attn_implementation="eager", layer_types=["full_attention"], **config,
    )  # fmt: skip
    modeling = __import__(f"transformers.models.{family}.modeling_{family}", fromlist=["_"])
    theirs = randomised(
        getattr(modeling, f"{family.capitalize()}Attention")(configuration, 0).double().eval()
    )
    ours = attention(n_heads=6, n_kv_heads=2, d_k=4, **fields)
    names = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "o_proj": "output"}
    names |= {"q_norm": "query_norm", "k_norm": "key_norm"}
    state = {f"{names[n.split('.')[0]]}.{n.split('.')[1]}": p for n, p in theirs.state_dict().items()}
    ours.load_state_dict(state)
    x = torch.randn(B, T, D, dtype=torch.float64)
    hidden = torch.zeros(1, 1, T, T, dtype=torch.float64).masked_fill(torch.ones(T, T).triu(1).bool(), -1e9)
    still = torch.ones(B, T, 4, dtype=torch.float64), torch.zeros(B, T, 4, dtype=torch.float64)  # cos and sin
    expected = theirs(x, position_embeddings=still, attention_mask=hidden)[0]
    assert_close(ours(x, mask=Mask(causal=True), position=None, cache=None), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("over", ["head", "each_head", "all"])
def test_queries_and_keys_are_normalised_over_what_is_said(over):
    fields = {"n_heads": 4, "n_kv_heads": 2, "d_k": 3, "qk_norm": "rms_norm", "qk_norm_over": over}
    module = randomised(attention(**fields))
    x = torch.randn(2, 5, 12, dtype=torch.float64)
    q, k, _ = module.project(x, None, mask=Mask(), position=None, cache=None)
    for got, projection, norm, n in (
        (q, module.query, module.query_norm, 4),
        (k, module.key, module.key_norm, 2),
    ):
        raw = projection(x).view(2, 5, n, 3)
        mean = raw.square().mean((2, 3) if over == "all" else 3, keepdim=True)
        gains = torch.stack([each.weight for each in norm]) if over == "each_head" else norm.weight
        gains = gains.view(n, 3) if over == "all" else gains
        assert_close(got.transpose(1, 2), raw / (mean + 1e-6).sqrt() * gains)


def test_what_a_norm_is_over_needs_a_norm():
    spec = parse(MultiHeadAttentionSpec, {"n_heads": 4, "qk_norm_over": "all"})
    with pytest.raises(ValueError, match="but no qk_norm"):
        spec.check(d_model=12, role="self", position=None)
