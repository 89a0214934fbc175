import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.attention.disentangled import DisentangledAttentionSpec
from zoo.kernels.cache import KeyValueCache
from zoo.kinds import ATTENTION, POSITION, Position
from zoo.masks import Mask

B, T, D, H = 3, 11, 12, 3
TERMS = [(), ("c2p",), ("p2c",), ("c2p", "p2c")]


def attention(**fields):
    torch.manual_seed(0)
    data = {"type": "disentangled", "n_heads": H, "bias": True, **fields}
    module = ATTENTION.build(parse(DisentangledAttentionSpec, data), d_model=D).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return module


def relative(**fields):
    spec = parse(
        POSITION.entry("relative_embeddings").spec, {"type": "relative_embeddings", "span": 4, **fields}
    )
    return POSITION.build(spec, d_model=D, n_heads=H).double()


class Table(Position):
    """The least that the attention reads: distances clipped to ±2, five vectors."""

    def __init__(self):
        super().__init__()
        self.table = torch.nn.Parameter(torch.randn(5, D, dtype=torch.float64))

    def vectors(self):
        return self.table

    def buckets(self, mask, T, S, device):
        return (mask.query_positions(T, device)[:, None] - mask.key_positions(S, device)).clamp(-2, 2) + 2


def by_pairs(module, x, table, terms, share_key, allowed):
    """Equation 4 with the scale of section 3.1 for the terms given: each pair with vectors of its own."""

    def heads(x, projection):
        return projection(x).view(*x.shape[:-1], H, -1)

    places = torch.arange(x.shape[1])
    vectors = table[(places[:, None] - places).clamp(-2, 2) + 2]  # [T, S, D]
    q, k, v = heads(x, module.query), heads(x, module.key), heads(x, module.value)
    scores = torch.einsum("bihk,bjhk->bhij", q, k)
    if "c2p" in terms:
        keys = heads(vectors, module.key if share_key else module.position_key)
        scores = scores + torch.einsum("bihk,ijhk->bhij", q, keys)
    if "p2c" in terms:
        queries = heads(vectors, module.query if share_key else module.position_query)
        scores = scores + torch.einsum("bjhk,ijhk->bhij", k, queries)
    scores = (scores / (q.shape[-1] * (1 + len(terms))) ** 0.5).masked_fill(~allowed, -torch.inf)
    return module.output(torch.einsum("bhij,bjhk->bihk", scores.softmax(-1), v).flatten(2))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("share_key", [False, True])
@pytest.mark.parametrize("terms", TERMS)
def test_it_equals_the_formula_and_so_do_its_gradients(terms, share_key, causal):
    module, position = attention(position_terms=terms, share_key=share_key, d_k=5, d_v=7), Table()
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    keys = torch.arange(T) < torch.tensor([[11], [6], [8]])
    allowed = keys[:, None, None] & (torch.ones(T, T).tril().bool() if causal else True)
    got = module(x, mask=Mask(causal=causal, keys=keys), position=position, cache=None)
    expected = by_pairs(module, x, position.table, terms, share_key, allowed)
    upstream = torch.randn_like(got)
    assert_close(got, expected)
    inputs = [x, *module.parameters(), *([position.table] if terms else [])]
    for ours, theirs in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (got, expected)), strict=True
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize("terms", TERMS)
@torch.no_grad()
def test_in_steps_it_gives_what_it_gives_at_once(terms):
    module, position, cache = attention(position_terms=terms), relative(max_distance=9), KeyValueCache()
    x, steps, start = torch.randn(B, T, D, dtype=torch.float64), [], 0
    for size in (1, 7, 3):
        mask = Mask(causal=True, offset=start)
        steps.append(module(x[:, start : start + size], mask=mask, position=position, cache=cache))
        start += size
    assert_close(torch.cat(steps, 1), module(x, mask=Mask(causal=True), position=position, cache=None))


@pytest.mark.parametrize("position_buckets", [-1, 4])
@pytest.mark.parametrize("share_key", [False, True])
@pytest.mark.parametrize("terms", TERMS)
def test_it_equals_that_of_deberta_v2_and_so_do_its_gradients(terms, share_key, position_buckets):
    deberta = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    farthest = 6 if position_buckets < 0 else 9
    configuration = deberta.DebertaV2Config(
        hidden_size=D, num_attention_heads=H, relative_attention=True, pos_att_type=list(terms),
        share_att_key=share_key, position_buckets=position_buckets, max_relative_positions=farthest,
    )  # fmt: skip
    theirs = deberta.DisentangledSelfAttention(configuration).double().eval()
    ours = attention(position_terms=terms, share_key=share_key)
    position = relative(**({"span": 6} if position_buckets < 0 else {"span": 4, "max_distance": 9}))
    names = {
        "query_proj": "query", "key_proj": "key", "value_proj": "value",
        "pos_key_proj": "position_key", "pos_query_proj": "position_query",
    }  # fmt: skip
    pairs = {
        name: (ours.get_parameter(f"{names[name.split('.')[0]]}.{name.split('.')[1]}"), parameter)
        for name, parameter in theirs.named_parameters()
    }
    assert len(pairs) == len(list(ours.parameters())) - 2  # all but output's
    theirs.load_state_dict({name: own for name, (own, _) in pairs.items()})
    x = torch.randn(B, T, D, dtype=torch.float64, requires_grad=True)
    keys = torch.arange(T) < torch.tensor([[11], [6], [8]])
    expected = theirs(
        x,
        keys[:, None, None, :] & keys[:, None, :, None],
        relative_pos=deberta.build_relative_position(x, x, position_buckets, farthest),
        rel_embeddings=position.vectors(),
    )[0]
    got = ours(x, mask=Mask(keys=keys), position=position, cache=None)
    expected = ours.output(expected)
    assert_close(got[keys], expected[keys], rtol=1e-6, atol=1e-6)  # its scale is in float32
    upstream = torch.randn_like(got) * keys[..., None]
    shared = [x, *([position.table.weight] if terms else [])]
    ours_first = torch.autograd.grad(got, [*shared, *(own for own, _ in pairs.values())], upstream)
    theirs_first = torch.autograd.grad(expected, [*shared, *(other for _, other in pairs.values())], upstream)
    for own, other in zip(ours_first, theirs_first, strict=True):
        assert_close(own, other, rtol=1e-5, atol=1e-6)


def test_narrow_weights_and_autocast_lose_little():
    module, position, x = attention(), relative(), torch.randn(B, T, D)
    exact = module(x.double(), mask=Mask(), position=position, cache=None)
    for dtype in (torch.float32, torch.bfloat16):
        module.to(dtype), position.to(dtype)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float32):
            got = module(x.to(dtype), mask=Mask(), position=position, cache=None)
        assert got.dtype == torch.bfloat16
        assert_close(got.double(), exact, rtol=0, atol=0.05)


@pytest.mark.parametrize(
    ("fields", "role", "name", "message"),
    [
        (
            {},
            "self",
            "rotary",
            r"position_terms \(c2p, p2c\) read .*: give .*relative_embeddings, not rotary, or no",
        ),
        ({"position_terms": ("p2c",)}, "causal", None, r"position_terms \(p2c\) .* not none"),
        ({"position_terms": ("p2c", "p2c")}, "self", "relative_embeddings", "names one twice: p2c, p2c"),
        ({}, "cross", None, "one axis; use it for self-attention"),
    ],
)
def test_what_it_cannot_read_is_refused(fields, role, name, message):
    position = None if name is None else POSITION.examples(name)[0]
    spec = DisentangledAttentionSpec(n_heads=H, **fields)
    with pytest.raises(ValueError, match=message):
        spec.check(d_model=D, role=role, position=position)


def test_without_terms_it_takes_any_position_and_with_them_only_a_table():
    DisentangledAttentionSpec(n_heads=H, position_terms=()).check(
        d_model=D, role="self", position=POSITION.examples("rotary")[0]
    )
    table = POSITION.examples("relative_embeddings")[0]
    DisentangledAttentionSpec(n_heads=H).check(d_model=D, role="causal", position=table)
    module = attention()
    with pytest.raises(ValueError, match="need relative_embeddings as positions, not Position"):
        module(torch.randn(B, T, D, dtype=torch.float64), mask=Mask(), position=Position(), cache=None)


def test_weights_are_dropped_in_training_only():
    module, position, x = attention(dropout=0.5), relative(), torch.randn(1, 40, D, dtype=torch.float64)
    with torch.no_grad():
        module.value.weight.zero_()
        module.value.bias.fill_(1.0)  # so that each output is a sum of weights
        assert module.train()(x, mask=Mask(), position=position, cache=None).std(1).max() > 0.05
        assert module.eval()(x, mask=Mask(), position=position, cache=None).std(1).max() < 1e-12


def test_values_of_the_relative_vectors_are_dropped_in_training_only():
    module, position = attention(position_dropout=0.25, share_key=True), relative()
    seen = []
    module.key.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x = torch.randn(B, T, D, dtype=torch.float64)
    for training in (True, False):
        module.train(training)
        module(x, mask=Mask(), position=position, cache=None)
    contents, dropped, _, whole = seen  # contents, then vectors, in training and not
    assert torch.equal(contents, x)
    assert torch.equal(whole[0], position.vectors())
    is_zero = dropped == 0
    assert 0 < is_zero.double().mean() < 0.6
    assert_close(dropped, torch.where(is_zero, 0.0, whole / 0.75))


def test_the_matrices_of_positions_add_a_bias_where_those_of_contents_do():
    module = attention(bias=("query", "value", "output"))
    names = {name.removesuffix(".bias") for name, _ in module.named_parameters() if name.endswith(".bias")}
    assert names == {"query", "value", "output", "position_query"}


class Biased(Table):
    def bias(self, q, k, *, scale, mask):
        return scale * self.buckets(mask, q.shape[2], k.shape[2], q.device)[None, None].to(q.dtype)


@torch.no_grad()
def test_a_bias_of_the_positions_comes_on_top():
    module, position, x = attention(), Biased(), torch.randn(B, T, D, dtype=torch.float64)
    got = module(x, mask=Mask(), position=position, cache=None)
    places = torch.arange(T)
    rows = ((places[:, None] - places).clamp(-2, 2) + 2).to(x.dtype) * module.scale
    q, k, v = (f(x).view(B, T, H, -1).transpose(1, 2) for f in (module.query, module.key, module.value))
    scores = (q @ k.transpose(2, 3) + module._position_scores(q, k, Mask(), position)) * module.scale + rows
    assert_close(got, module.output((scores.softmax(-1) @ v).transpose(1, 2).flatten(2)))
