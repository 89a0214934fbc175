import pytest
import torch
from torch.testing import assert_close

from registry import SpecError, check, parse
from zoo.components.norm.layer_norm import LayerNormSpec
from zoo.components.position.relative_embeddings import RelativeEmbeddings, RelativeEmbeddingsSpec
from zoo.masks import Mask

B, T, S, D = 2, 5, 7, 12
CPU = torch.device("cpu")


def module(span=4, max_distance=None, norm=None):
    torch.manual_seed(1)
    return RelativeEmbeddings(d_model=D, n_heads=3, span=span, max_distance=max_distance, norm=norm).double()


def test_vectors_are_the_table():
    table = module()
    assert torch.equal(table.vectors(), table.table.weight)
    assert list(table.vectors().shape) == [8, D]


def test_vectors_are_normalised_where_a_norm_is_given():
    normed = module(norm=LayerNormSpec(eps=1e-7))
    torch.nn.init.normal_(normed.norm.weight)
    weight = normed.table.weight
    deviation = (weight.var(-1, correction=0, keepdim=True) + 1e-7).sqrt()
    expected = (weight - weight.mean(-1, keepdim=True)) / deviation * normed.norm.weight
    assert_close(normed.vectors(), expected)


def test_buckets_are_clipped_distances_from_query_to_key():
    buckets = module(span=3).buckets(Mask(offset=2), T, S, CPU)
    expected = [[max(0, min(5, t + 2 - s + 3)) for s in range(S)] for t in range(T)]
    assert buckets.tolist() == expected
    assert buckets.dtype == torch.int64


@pytest.mark.parametrize(("span", "max_distance"), [(256, 512), (4, 9), (7, 300), (32, 57), (6, 6)])
def test_logarithmic_buckets_are_those_of_deberta(span, max_distance):
    deberta = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    n = 1100
    sequence = torch.zeros(1, n, 1)
    theirs = deberta.build_relative_position(sequence, sequence, span, max_distance)[0]
    ours = module(span, max_distance).buckets(Mask(), n, n, CPU)
    assert torch.equal(ours, (theirs + span).clamp(0, 2 * span - 1))


def test_buckets_are_worked_out_once_a_batch():
    table, mask = module(), Mask()
    assert table.buckets(mask, T, S, CPU) is table.buckets(mask, T, S, CPU)
    assert table.buckets(mask, T, S, CPU) is not table.buckets(Mask(), T, S, CPU)


@pytest.mark.parametrize("kinds", [["c2p"], ["p2c"], ["c2p", "p2c"]], ids="-".join)
def test_the_scores_of_its_docstring_are_those_of_deberta(kinds):
    deberta = pytest.importorskip("transformers.models.deberta_v2.modeling_deberta_v2")
    transformers = pytest.importorskip("transformers")
    config = transformers.DebertaV2Config(
        hidden_size=D, num_attention_heads=3, relative_attention=True, position_buckets=4, max_relative_positions=9,
        pos_att_type=kinds, share_att_key=False, hidden_dropout_prob=0.0,
    )  # fmt: skip
    theirs = deberta.DisentangledSelfAttention(config).double()
    ours, n = module(span=4, max_distance=9), 13
    torch.manual_seed(2)
    q, k = (torch.randn(B * 3, n, 4, dtype=torch.float64) for _ in range(2))
    bias = theirs.disentangled_attention_bias(q, k, None, ours.vectors(), 1 + len(kinds))
    buckets = ours.buckets(Mask(), n, n, CPU)
    expected = torch.zeros(B * 3, n, n, dtype=torch.float64)
    if "c2p" in kinds:
        vectors = theirs.pos_key_proj(ours.vectors()).view(8, 3, 4).transpose(0, 1).repeat(B, 1, 1)
        expected += (q @ vectors.mT).gather(-1, buckets.expand(B * 3, n, n))
    if "p2c" in kinds:
        vectors = theirs.pos_query_proj(ours.vectors()).view(8, 3, 4).transpose(0, 1).repeat(B, 1, 1)
        expected += (k @ vectors.mT).gather(-1, buckets.T.expand(B * 3, n, n)).mT
    assert_close(bias, expected / (4 * (1 + len(kinds))) ** 0.5, rtol=1e-6, atol=1e-6)


def test_its_hooks_do_nothing():
    table, x, q = module(), torch.randn(B, T, D), torch.randn(B, 3, T, 4)
    assert table.embed(x, mask=Mask()) is x
    assert table.rotate(q, mask=Mask()) is q
    assert table.bias(q, q, scale=0.3, mask=Mask()) is None


def test_buckets_without_a_slope_are_refused():
    for span, max_distance in ((3, 9), (8, 5)):
        with pytest.raises(
            SpecError, match=rf"span \({span}\) to be at least 4 and max_distance \({max_distance}\)"
        ):
            parse(RelativeEmbeddingsSpec, {"span": span, "max_distance": max_distance})
    parse(RelativeEmbeddingsSpec, {"span": 8, "max_distance": 6})


def test_its_norm_is_checked_at_the_width():
    seen = []

    class Norm(LayerNormSpec):
        def check(self, **context):
            seen.append(context)

    spec = RelativeEmbeddingsSpec.model_construct(
        type="relative_embeddings", span=3, max_distance=None, norm=Norm()
    )
    assert check(spec, d_model=12, n_heads=3, d_k=4, role="self") == []
    assert seen == [{"d_model": 12}]
