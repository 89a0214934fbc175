import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.attention.global_local import GlobalLocalAttentionSpec
from zoo.kernels import blocked
from zoo.kernels.cache import KeyValueCache
from zoo.kinds import ATTENTION, POSITION, Position
from zoo.masks import Mask

B, D, H = 3, 12, 3
PLACES = [[0, 7, 18, 31], [4], []]  # of the global tokens in each sentence


def attention(**fields):
    torch.manual_seed(0)
    data = {"type": "global_local", "n_heads": H, "radius": 4, "bias": True, **fields}
    return ATTENTION.build(parse(GlobalLocalAttentionSpec, data), d_model=D).double()


def tokens_at(places, length):
    tokens = torch.zeros(len(places), length, dtype=torch.bool)
    for row, columns in zip(tokens, places, strict=True):
        row[columns] = True
    return tokens


def by_rows(module, x, mask, tokens, position=None):
    """One query at a time: a global one by the global projections over all, another by the others over what is near
    or global; then what the rest of the mask allows."""
    length, rows = x.shape[1], []
    others = Mask(causal=mask.causal, keys=mask.keys, documents=mask.documents)
    allowed = others.dense(length, length, x.device)
    allowed = (torch.ones(1, 1, 1, 1) > 0 if allowed is None else allowed).expand(len(x), 1, length, length)
    kinds = []
    for suffix in ("", "_global"):
        q, k, v = (
            getattr(module, name + suffix)(x).view(*x.shape[:2], H, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        bias = torch.zeros(1, 1, length, length)
        if position is not None:
            q, k = position.rotate(q, mask=mask), position.rotate_keys(k, mask=mask)
            given = position.bias(q, k, scale=module.scale, mask=mask)
            bias = bias if given is None else given
        kinds.append((q, k, v, bias.expand(len(x), H, -1, -1)))
    for b in range(len(x)):
        for i in range(length):
            q, k, v, bias = kinds[int(tokens[b, i])]
            near = (torch.arange(length) - i).abs() <= module.radius
            seen = allowed[b, 0, i] & (near | tokens[b] | tokens[b, i])
            scores = (q[b, :, i, None] * k[b][:, seen]).sum(-1) * module.scale + bias[b, :, i, seen]
            rows.append((scores.softmax(-1)[..., None] * v[b][:, seen]).sum(1).flatten())
    return module.output(torch.stack(rows).view(*x.shape[:2], -1))


def assert_by_rows(module, mask, length, tokens, position=None):
    x = torch.randn(B, length, D, dtype=torch.float64, requires_grad=True)
    got = module(x, mask=mask, position=position, cache=None)
    expected = by_rows(module, x, mask, tokens, position)
    real = torch.ones(B, length, dtype=torch.bool) if mask.keys is None else mask.keys
    upstream = torch.randn_like(got) * real[..., None]
    assert_close(got[real], expected[real])
    inputs = [x, *module.parameters()]
    for ours, theirs in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (got, expected)), strict=True
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("length", [33, 161])  # by plain products, and by blocks
def test_it_equals_the_description_and_so_do_its_gradients(length, causal, monkeypatch):
    made = []
    attend_in_blocks = blocked.attention
    monkeypatch.setattr(
        blocked, "attention", lambda *given, **named: made.append(1) or attend_in_blocks(*given, **named)
    )
    tokens = tokens_at(PLACES, length)
    keys = torch.arange(length) >= torch.tensor([[0], [3], [0]])
    keys[2, length - 9 :] = False
    assert_by_rows(attention(), Mask(causal=causal, keys=keys, global_tokens=tokens), length, tokens)
    assert made == ([1] if length == 161 else [])


def test_documents_are_kept_apart_from_global_tokens_too():
    tokens, documents = tokens_at(PLACES, 33), (torch.arange(33) // 11).expand(B, 33)
    assert_by_rows(attention(), Mask(global_tokens=tokens, documents=documents), 33, tokens)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("starts", [None, [0, 5, 2]])
def test_the_first_real_tokens_are_global_beside_those_that_the_mask_names(starts, named):
    keys = None if starts is None else torch.arange(33) >= torch.tensor(starts)[:, None]
    first = [[start, start + 1] for start in starts or [0] * B]
    tokens = tokens_at(first, 33)
    given = tokens_at(PLACES, 33) if named else None
    mask = Mask(keys=keys, global_tokens=given)
    assert_by_rows(attention(n_global=2), mask, 33, tokens if given is None else tokens | given)


@pytest.mark.parametrize("name", ["rotary", "alibi", "shaw"])
def test_positions_turn_and_bias_both_kinds(name):
    position = POSITION.build(POSITION.examples(name)[0], d_model=D, n_heads=H).double()
    tokens = tokens_at(PLACES, 33)
    assert_by_rows(attention(), Mask(global_tokens=tokens), 33, tokens, position)


@torch.no_grad()
def test_in_steps_it_gives_what_it_gives_at_once():
    module, cache, length = attention(n_global=1), KeyValueCache(), 35
    x, tokens = torch.randn(B, length, D, dtype=torch.float64), tokens_at(PLACES, length)
    keys, steps, start = torch.arange(length) >= torch.tensor([[0], [3], [1]]), [], 0
    documents = (torch.arange(length) // 20).expand(B, length)
    for size in (2, 1, 1, 1, 20, 10):
        stop = start + size
        mask = Mask(True, None, keys[:, :stop], tokens[:, :stop], documents[:, :stop], offset=start)
        steps.append(module(x[:, start:stop], mask=mask, position=None, cache=cache))
        start = stop
    whole = module(x, mask=Mask(True, None, keys, tokens, documents), position=None, cache=None)
    assert_close(torch.cat(steps, 1), whole)


@torch.no_grad()
def test_a_cache_begun_without_global_tokens_serves_one_that_comes_later():
    module, cache = attention(), KeyValueCache()
    x, tokens = torch.randn(B, 9, D, dtype=torch.float64), tokens_at([[8]] * B, 9)
    module(x[:, :8], mask=Mask(causal=True), position=None, cache=cache)
    last = module(
        x[:, 8:], mask=Mask(causal=True, global_tokens=tokens, offset=8), position=None, cache=cache
    )
    assert_close(last, by_rows(module, x, Mask(causal=True), tokens)[:, 8:])


def test_without_global_tokens_it_is_restricted_attention():
    module, x = attention(), torch.randn(B, 33, D, dtype=torch.float64)
    spec = ATTENTION.entry("restricted").spec.model_validate({"n_heads": H, "radius": 4, "bias": True})
    restricted = ATTENTION.build(spec, d_model=D).double()
    restricted.load_state_dict(module.state_dict(), strict=False)
    for mask in (Mask(), Mask(global_tokens=tokens_at([[], [], []], 33))):
        got = module(x, mask=mask, position=None, cache=None)
        assert_close(got, restricted(x, mask=Mask(), position=None, cache=None))


@pytest.mark.parametrize("length", [40, 160])
def test_it_equals_longformers_and_so_do_its_gradients(length):
    longformer = pytest.importorskip("transformers.models.longformer.modeling_longformer")
    configuration = longformer.LongformerConfig(
        hidden_size=D, num_attention_heads=H, attention_window=[8], num_hidden_layers=1
    )
    theirs = longformer.LongformerSelfAttention(
        configuration, 0
    ).eval()  # in float64 its gradients are no numbers
    ours = attention().float()
    state = {name: p for name, p in ours.state_dict().items() if not name.startswith("output")}
    theirs.load_state_dict(state)
    given = torch.ones(B, length, dtype=torch.int64)
    for row, columns in zip(given, PLACES, strict=True):
        row[columns] = 2
    given[0, length - 7 :] = 0
    given[2, length - 3 :] = 0
    x = torch.randn(B, length, D, requires_grad=True)
    expected = theirs(
        x,
        attention_mask=(given - 1) * 10000.0,
        is_index_masked=given == 0,
        is_index_global_attn=given == 2,
        is_global_attn=True,
    )[0]
    mask = Mask(keys=given > 0, global_tokens=given == 2)
    got = ours(x, mask=mask, position=None, cache=None)
    expected = ours.output(expected)
    upstream = torch.randn_like(got) * (given > 0)[..., None]
    assert_close(got[given > 0], expected[given > 0], rtol=0, atol=1e-6)
    pairs = {name: (p, theirs.get_parameter(name)) for name, p in ours.named_parameters() if name in state}
    ours_first = torch.autograd.grad(got, [x, *(own for own, _ in pairs.values())], upstream)
    theirs_first = torch.autograd.grad(expected, [x, *(other for _, other in pairs.values())], upstream)
    for own, other in zip(ours_first, theirs_first, strict=True):
        assert_close(own, other, rtol=1e-5, atol=1e-5)


def test_weights_are_dropped_in_training_only():
    module, x = attention(dropout=0.5), torch.randn(B, 33, D, dtype=torch.float64)
    mask = Mask(global_tokens=tokens_at(PLACES, 33))
    with torch.no_grad():
        for value in (module.value, module.value_global):
            value.weight.zero_()
            value.bias.fill_(1.0)  # so that each output is a sum of weights
        even = module.output(torch.ones(D, dtype=torch.float64)).expand(B, 33, D)
        dropped = (module.train()(x, mask=mask, position=None, cache=None) - even).abs().amax(-1)
        assert (dropped > 1e-3).all()
        assert_close(module.eval()(x, mask=mask, position=None, cache=None), even)


def test_narrow_weights_and_autocast_lose_little():
    module, x = attention(n_global=2), torch.randn(B, 33, D)
    exact = module(x.double(), mask=Mask(), position=None, cache=None)
    for dtype in (torch.float32, torch.bfloat16):
        module.to(dtype)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            got = module(x.to(dtype), mask=Mask(), position=None, cache=None)
        assert got.dtype == torch.bfloat16
        assert_close(got.double(), exact, rtol=0, atol=0.03)


def test_across_two_sequences_it_is_refused():
    with pytest.raises(ValueError, match="one axis; use it for self-attention"):
        GlobalLocalAttentionSpec(n_heads=H, radius=2).check(d_model=D, role="cross", position=None)


class Widening(Position):
    def rotate(self, x, *, mask):
        return x.float()


def test_positions_that_widen_queries_under_autocast_do_no_harm():
    module, x = attention(n_global=2).float(), torch.randn(B, 33, D)
    exact = module(x, mask=Mask(), position=None, cache=None)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        got = module(x, mask=Mask(), position=Widening(), cache=None)
    assert_close(got.float(), exact, rtol=0, atol=0.03)
