import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.components.attention.chunked import ChunkedAttentionSpec
from zoo.components.position.learned import Learned
from zoo.kernels.attention import choose
from zoo.kinds import ATTENTION, POSITION
from zoo.masks import Mask

B, T, D, C = 2, 11, 12, 4


def pair(chunk_size=C, **fields):
    torch.manual_seed(0)
    spec = parse(ChunkedAttentionSpec, {"type": "chunked", "n_heads": 3, "chunk_size": chunk_size, **fields})
    own = ATTENTION.build(spec, d_model=D).double()
    kind = parse(
        ATTENTION.entry("multi_head").spec, {"type": "multi_head", "n_heads": 3, "kernel": "eager", **fields}
    )
    full = ATTENTION.build(kind, d_model=D).double()
    full.load_state_dict(own.state_dict())
    return own, full


def run(module, x, mask, position=None):
    return module(x, mask=mask, position=position, cache=None)


def by_chunks(full, x, causal):
    """Each chunk by itself."""
    return torch.cat([run(full, chunk, Mask(causal=causal)) for chunk in x.split(C, dim=1)], dim=1)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("fields", [{}, {"n_kv_heads": 1, "soft_cap": 0.4, "qk_norm": "rms_norm"}])
@pytest.mark.parametrize("length", [3, 4, 11])
def test_it_is_full_attention_of_each_chunk_by_itself(causal, fields, length):
    own, full = pair(**fields)
    x = torch.randn(B, length, D, dtype=torch.float64)
    assert_close(run(own, x, Mask(causal=causal)), by_chunks(full, x, causal))


def test_chunks_begin_with_the_first_real_token():
    own, full = pair()
    x = torch.randn(B, T, D, dtype=torch.float64)
    keys = torch.arange(T).expand(B, T) >= torch.tensor([[3], [0]])
    out = run(own, x, Mask(causal=True, keys=keys))
    assert_close(out[:1, 3:], by_chunks(full, x[:1, 3:], causal=True))
    assert_close(out[1:], by_chunks(full, x[1:], causal=True))


@pytest.mark.parametrize("first_id", [0, -5])
def test_chunks_begin_anew_with_each_document(first_id):
    own, full = pair()
    x = torch.randn(1, T, D, dtype=torch.float64)
    documents = torch.tensor([[first_id] * 5 + [1] * 6])
    out = run(own, x, Mask(causal=True, documents=documents))
    expected = [by_chunks(full, x[:, part], causal=True) for part in (slice(0, 5), slice(5, T))]
    assert_close(out, torch.cat(expected, dim=1))


def test_long_sequences_go_to_the_kernel_of_windows():
    own, full = pair(chunk_size=20)
    x = torch.randn(1, 150, D, dtype=torch.float64)
    q = torch.randn(1, 3, 150, 4)
    mask = own.narrowed(Mask(causal=True), q)
    assert choose(q, q, q, mask=mask, bias=None, dropout=0.0) == "blocked"
    whole = torch.arange(150)[None] // 20
    assert_close(run(own, x, Mask(causal=True)), run(full, x, Mask(causal=True, documents=whole)))


class _ByPlace(Learned):
    def rotate(self, x, *, mask):
        return x * (1 + mask.place_positions(x.shape[2], x.device))[:, None]


def test_positions_are_those_of_the_whole_sequence():
    own, full = pair()
    x = torch.randn(1, T, D, dtype=torch.float64)
    position = _ByPlace(d_model=D, n_heads=3, max_len=T, offset=0, counts_padding=False)
    out = run(own, x, Mask(causal=True), position)
    chunks = Mask(causal=True).in_chunks(C, T, x.device)
    q, k, v = full.project(x, None, mask=Mask(causal=True), position=position, cache=None)
    scores = q @ k.transpose(2, 3) * full.scale
    weights = scores.masked_fill(~chunks.dense(T, T, x.device), -torch.inf).softmax(-1)
    assert_close(out, full.output((weights @ v).transpose(1, 2).flatten(2)))


def test_across_two_sequences_it_is_refused():
    with pytest.raises(ValueError, match="one axis"):
        ChunkedAttentionSpec(chunk_size=2).check(d_model=64, role="cross", position=None)


def test_chunks_are_of_places_whatever_positions_are_given():
    own, full = pair()
    x = torch.randn(B, T, D, dtype=torch.float64)
    given = torch.arange(2 * T).view(B, T).flip(1)
    assert_close(run(own, x, Mask(causal=True, positions=given)), by_chunks(full, x, causal=True))


def test_a_sequence_of_one_chunk_keeps_its_mask():
    mask = Mask(causal=True)
    assert mask.in_chunks(T, T, torch.device("cpu")) is mask


def test_rotary_positions_turn_as_without_chunks():
    own, full = pair()
    rotary = POSITION.build(POSITION.entry("rotary").spec(base=50.0), d_model=D, n_heads=3)
    x = torch.randn(1, C, D, dtype=torch.float64)
    assert_close(run(own, x, Mask(causal=True), rotary), run(full, x, Mask(causal=True), rotary))
