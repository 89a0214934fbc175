"""Block-sparse attention against the paper's definition: each query by itself, over the tokens it sees."""

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from tests.analysis.test_kept import saved_bytes
from zoo.components.attention.block_sparse import BlockSparseAttentionSpec
from zoo.kernels.block_sparse import drawn_blocks, log_counts
from zoo.kinds import ATTENTION, POSITION
from zoo.masks import Mask
from zoo.sizes import Batch

B, D, H = 2, 12, 3


def drawn(n_blocks, n_heads, n_random, seed):
    return drawn_blocks(torch.arange(1, n_blocks - 1), n_blocks, n_heads, n_random, seed)


def spec_of(**fields):
    return parse(BlockSparseAttentionSpec, {"type": "block_sparse", "n_heads": H, "bias": True, **fields})


def attention(**fields):
    torch.manual_seed(0)
    return ATTENTION.build(spec_of(**fields), d_model=D).double()


def tokens_seen(i, head, length, size, random):
    """The keys of query i, one after the other, each as often as it counts; random: [H, N - 2, n_random]."""
    n_blocks, own = -(-length // size), i // size
    if own in (0, n_blocks - 1):
        blocks = list(range(n_blocks))
    else:
        blocks = sorted({0, own - 1, own, own + 1, n_blocks - 1}) + random[head, own - 1].tolist()
    return [j for block in blocks for j in range(block * size, min((block + 1) * size, length))]


def by_rows(module, x, keys, random, position=None):
    length = x.shape[1]
    q, k, v = (
        part(x).view(B, length, H, -1).transpose(1, 2) for part in (module.query, module.key, module.value)
    )
    if position is not None:
        q, k = position.rotate(q, mask=Mask()), position.rotate(k, mask=Mask())
    out = torch.zeros(B, length, H, v.shape[3], dtype=x.dtype)
    for b in range(B):
        for i in range(length):
            for h in range(H):
                seen = [j for j in tokens_seen(i, h, length, module.block_size, random) if keys[b, j]]
                weights = (q[b, h, i] @ k[b, h, seen].T * module.scale).softmax(-1)
                out[b, i, h] = weights @ v[b, h, seen]
    return module.output(out.flatten(2))


@pytest.mark.parametrize("length", [27, 29, 30])  # the last block cut, or whole
@pytest.mark.parametrize("padded", ["none", "left", "right"])
@pytest.mark.parametrize("random", ["drawn", "first"])
def test_each_query_sees_its_blocks_and_so_do_its_gradients(length, padded, random):
    module = attention(block_size=3, n_random=1, random=random, d_v=5, seed=4 if random == "drawn" else 0)
    position = POSITION.build(POSITION.examples("rotary")[0], d_model=D, n_heads=H).double()
    n_blocks = -(-length // 3)
    blocks = drawn(n_blocks, H, 1, 4)
    blocks = blocks if random == "drawn" else torch.zeros_like(blocks)
    keys = torch.ones(B, length, dtype=torch.bool)
    if padded != "none":
        keys[1, slice(0, 5) if padded == "left" else slice(-5, None)] = False
    x = torch.randn(B, length, D, dtype=torch.float64, requires_grad=True)
    mask = Mask(keys=None if padded == "none" else keys)
    got, expected = (
        module(x, mask=mask, position=position, cache=None),
        by_rows(module, x, keys, blocks, position),
    )
    assert_close(got[keys], expected[keys])
    upstream = torch.randn_like(got) * keys[..., None]
    inputs = [x, *module.parameters()]
    for ours, theirs in zip(
        *(torch.autograd.grad(out, inputs, upstream) for out in (got, expected)), strict=True
    ):
        assert_close(ours, theirs)


def test_up_to_so_many_blocks_everything_sees_everything():
    module, x = attention(block_size=3, n_random=1), torch.randn(B, 22, D, dtype=torch.float64)
    full = ATTENTION.build(
        ATTENTION.examples("multi_head")[0].model_copy(update={"n_heads": H, "bias": True}), d_model=D
    )
    full.double().load_state_dict(module.state_dict())
    for length, is_full in ((21, True), (22, False)):
        given = x[:, :length]
        pair = [each(given, mask=Mask(), position=None, cache=None) for each in (module, full)]
        assert torch.allclose(*pair) == is_full


@pytest.mark.parametrize("n_blocks", [8, 9, 40])
def test_drawn_blocks_differ_from_each_other_and_from_those_that_are_met_anyway(n_blocks):
    found = drawn(n_blocks, 5, 2, 3)
    assert found.shape == (5, n_blocks - 2, 2)
    for row in found:
        for own, blocks in enumerate(row.tolist(), start=1):
            others = {0, own - 1, own, own + 1, n_blocks - 1}
            assert len({*blocks} - others) == 2
            assert all(0 <= block < n_blocks for block in blocks)


def test_drawn_blocks_are_spread_evenly_and_differ_by_head_and_seed():
    of_nine = drawn(20, 400, 3, 0)[:, 8]  # of 15 others, 3
    counts = torch.bincount(of_nine.flatten(), minlength=20)
    assert counts[[0, 8, 9, 10, 19]].sum() == 0
    free = counts[counts > 0]
    assert len(free) == 15
    assert ((free - 80).abs() < 45).all()  # five standard deviations
    assert not torch.equal(drawn(20, 2, 3, 0), drawn(20, 2, 3, 1))


@pytest.mark.parametrize("length", [20, 21, 22, 29])
@pytest.mark.parametrize("seed", [None, 4])
def test_how_often_a_key_counts_is_what_the_definition_says(length, seed):
    counts = log_counts(length, H, 3, 1, seed, device=torch.device("cpu")).exp().expand(1, H, -1, -1)
    blocks = drawn(-(-length // 3), H, 1, seed or 0)
    blocks = torch.zeros_like(blocks) if seed is None else blocks
    for head in range(H):
        for i in range(length):
            seen = [*range(length)] if length <= 21 else tokens_seen(i, head, length, 3, blocks)
            assert_close(counts[0, head, i], torch.bincount(torch.tensor(seen), minlength=length).float())


@pytest.mark.parametrize("random", ["drawn", "first"])
def test_an_exported_graph_holds_every_length(random):
    module = attention(block_size=3, n_random=1, random=random)

    class Run(torch.nn.Module):
        def forward(self, x, keys):
            return module(x, mask=Mask(keys=keys), position=None, cache=None)

    def given(length):
        keys = torch.ones(B, length, dtype=torch.bool)
        keys[1, -2:] = False
        return torch.randn(B, length, D, dtype=torch.float64), keys

    sizes = tuple({1: torch.export.Dim.AUTO} for _ in range(2))
    program = torch.export.export(Run(), given(17), dynamic_shapes=sizes).module()
    for length in (5, 21, 22, 40):
        x, keys = given(length)
        assert_close(program(x, keys)[keys], module(x, mask=Mask(keys=keys), position=None, cache=None)[keys])


def test_memory_of_a_step_is_linear_in_the_length_and_what_the_formula_says():
    module, spec = attention(block_size=4, n_random=1).float(), spec_of(block_size=4, n_random=1)
    kept = {}
    for length in (160, 320, 640):
        x = torch.randn(B, length, D)
        kept[length] = saved_bytes(module, lambda x=x: module(x, mask=Mask(), position=None, cache=None))
        said = spec.n_kept(d_model=D, role="self", position=None, batch=Batch(B * length, length))
        assert 4 * said == pytest.approx(kept[length], rel=0.1), length
    assert kept[640] / kept[320] == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Mask(causal=True), "to both sides"),
        (Mask(radius=2), "without a radius"),
        (Mask(documents=torch.zeros(B, 9, dtype=torch.int64)), "give each document a row of its own"),
    ],
)
def test_masks_that_it_does_not_know_are_refused(mask, message):
    with pytest.raises(ValueError, match=message):
        attention()(torch.randn(B, 9, D).double(), mask=mask, position=None, cache=None)


def test_what_cannot_be_is_refused_by_the_spec():
    with pytest.raises(ValueError, match="which a causal stack may not"):
        spec_of().check(d_model=D, role="causal", position=None)
    with pytest.raises(ValueError, match=r"seed is given \(3\), but random is first"):
        spec_of(random="first", seed=3).check(d_model=D, role="self", position=None)
