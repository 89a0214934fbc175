import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.relative_buckets import RelativeBuckets, RelativeBucketsSpec
from zoo.masks import Mask

B, T, S, H, K = 2, 5, 7, 3, 4


def module(n_buckets=32, max_distance=128):
    torch.manual_seed(1)
    return RelativeBuckets(d_model=12, n_heads=H, n_buckets=n_buckets, max_distance=max_distance).double()


def heads(length, n=H):
    return torch.randn(B, n, length, K, dtype=torch.float64)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("n_buckets", [32, 40, 7])
@pytest.mark.parametrize("max_distance", [128, 57, 11])
def test_buckets_are_those_of_t5_at_every_distance(n_buckets, max_distance, is_causal):
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    distances = torch.arange(-2000, 2001)
    theirs = t5.T5Attention._relative_position_bucket(
        distances, bidirectional=not is_causal, num_buckets=n_buckets, max_distance=max_distance
    )
    ours = module(n_buckets, max_distance).buckets(distances, is_causal=is_causal)
    assert ours.dtype == torch.int64
    assert torch.equal(ours, theirs)


def test_buckets_by_hand():
    # 8 buckets, a token sees both sides: 4 for each, of which 2 are exact; 2 to 3 and 4 and farther share (√(8/2) = 2).
    buckets = module(8, 8).buckets(torch.tensor([0, -1, -2, -3, -4, -9, 1, 2, 3, 4, 99]), is_causal=False)
    assert buckets.tolist() == [0, 1, 2, 2, 3, 3, 5, 6, 6, 7, 7]
    buckets = module(4, 8).buckets(torch.tensor([5, 1, 0, -1, -2, -3, -4, -99]), is_causal=True)
    assert buckets.tolist() == [0, 0, 0, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("offset", [0, 2])
def test_bias_is_that_of_t5_with_a_cache_too(is_causal, offset):
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    transformers = pytest.importorskip("transformers")
    config = transformers.T5Config(
        d_model=12, num_heads=H, relative_attention_num_buckets=6, relative_attention_max_distance=5,
        is_decoder=is_causal,
    )  # fmt: skip
    theirs = t5.T5Attention(config, has_relative_attention_bias=True, layer_idx=0).double()
    ours = module(6, 5)
    ours.table.load_state_dict(theirs.relative_attention_bias.state_dict())
    bias = ours.bias(heads(T), heads(S, 1), scale=0.3, mask=Mask(causal=is_causal, offset=offset))
    assert_close(bias, theirs.compute_bias(T, S, past_seen_tokens=offset))


def test_the_tables_gradient_is_the_sum_over_equal_distances():
    ours, mask = module(), Mask(offset=2)
    upstream = torch.randn(1, H, T, S, dtype=torch.float64)
    ours.bias(heads(T), heads(S), scale=1.0, mask=mask).backward(upstream)
    distances = torch.arange(S) - torch.arange(2, 2 + T)[:, None]
    rows = ours.buckets(distances, is_causal=False)
    expected = torch.zeros(32, H, dtype=torch.float64)
    for t in range(T):
        for s in range(S):
            expected[rows[t, s]] += upstream[0, :, t, s]
    assert_close(ours.table.weight.grad, expected)


def test_numbers_without_buckets_are_refused():
    context = {"d_model": 12, "n_heads": H, "d_k": K}
    with pytest.raises(ValueError, match=r"n_buckets \(3\) must be at least 4 where a token sees both sides"):
        RelativeBucketsSpec(n_buckets=3).check(role="self", **context)
    RelativeBucketsSpec(n_buckets=3).check(role="causal", **context)
    with pytest.raises(ValueError, match=r"max_distance \(16\) must be above 16, .* n_buckets \(32\)"):
        RelativeBucketsSpec(max_distance=16).check(role="causal", **context)
    RelativeBucketsSpec(max_distance=16).check(role="self", **context)


def test_layers_that_share_it_must_have_its_heads():
    assert RelativeBucketsSpec.is_per_head


def test_bias_has_the_dtype_of_the_queries_whatever_the_tables():
    ours, mask = module(), Mask()
    whole = ours.bias(heads(T), heads(T), scale=1.0, mask=mask)
    half = ours.bias(heads(T).bfloat16(), heads(T).bfloat16(), scale=1.0, mask=mask)
    assert (whole.dtype, half.dtype) == (torch.float64, torch.bfloat16)
    assert_close(half, whole.bfloat16())
