import pytest
import torch
from torch.testing import assert_close

from zoo.components.position.shaw import Shaw, ShawSpec
from zoo.masks import Mask

B, T, S, H, K = 2, 5, 7, 3, 4


def module(radius=2, d_k=None):
    torch.manual_seed(1)
    return Shaw(d_model=H * K, n_heads=H, radius=radius, d_k=d_k).double()


@pytest.mark.parametrize("radius", [0, 2, 30, (3, 1), (2, 0)])
@pytest.mark.parametrize("offset", [0, 2])
def test_bias_is_the_product_with_the_vector_of_each_clipped_distance(radius, offset):
    ours = module(radius)
    q, k = torch.randn(B, H, T, K, dtype=torch.float64), torch.randn(B, 1, S, K, dtype=torch.float64)
    bias = ours.bias(q, k, scale=0.3, mask=Mask(causal=True, offset=offset))
    expected = torch.empty(B, H, T, S, dtype=torch.float64)
    before, after = radius if isinstance(radius, tuple) else (radius, radius)
    for t in range(T):
        for s in range(S):
            clipped = max(-before, min(after, s - (t + offset)))
            expected[:, :, t, s] = q[:, :, t] @ ours.table.weight[clipped + before] * 0.3
    assert_close(bias, expected)


def test_the_vectors_are_shared_by_the_heads_and_of_the_head_size():
    assert list(module(radius=3).table.weight.shape) == [7, K]
    assert list(module(radius=3, d_k=9).table.weight.shape) == [7, 9]
    assert list(module(radius=(3, 1)).table.weight.shape) == [5, K]
    assert ShawSpec.is_per_head  # K comes from the number of heads


def test_another_head_size_is_refused():
    context = {"d_model": 12, "n_heads": 3, "role": "self"}
    with pytest.raises(ValueError, match=r"size 4 .* d_k \(6\); give shaw the field d_k: 6"):
        ShawSpec().check(d_k=6, **context)
    with pytest.raises(ValueError, match=r"size 5 cannot meet queries of the head size d_k \(6\)$"):
        ShawSpec(d_k=5).check(d_k=6, **context)
    ShawSpec(d_k=6).check(d_k=6, **context)
    ShawSpec().check(d_k=4, **context)


def test_vectors_of_keys_after_a_query_are_refused_in_a_causal_stack():
    context = {"d_model": 12, "n_heads": 3, "d_k": 4}
    ShawSpec(radius=(4, 2)).check(**context, role="self")
    ShawSpec(radius=(4, 0)).check(**context, role="causal")
    with pytest.raises(ValueError, match=r"in a causal stack there are none: give \[4, 0\]"):
        ShawSpec(radius=(4, 2)).check(**context, role="causal")
