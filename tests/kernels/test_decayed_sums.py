"""Sums over earlier tokens that fade, against their recurrence token by token."""

import pytest
import torch
from torch.testing import assert_close

from zoo.kernels.decayed_sums import decayed_sums

N, G, R, K, V = 2, 3, 2, 5, 4


def given(L, dtype=torch.float64):
    torch.manual_seed(4)
    q, k = torch.randn(N, G, L, K, dtype=dtype), torch.randn(N, G, L, K, dtype=dtype)
    v, decay = torch.randn(N, G, R, L, V, dtype=dtype), -torch.rand(N, G, R, L, dtype=dtype)
    return q, k, v, decay, torch.randn(N, G, R, K, V, dtype=dtype)


def by_recurrence(q, k, v, decay, state):
    out = []
    for i in range(q.shape[2]):
        state = state * decay[:, :, :, i, None, None].exp()
        state = state + torch.einsum("ngk,ngrv->ngrkv", k[:, :, i], v[:, :, :, i])
        out.append(torch.einsum("ngk,ngrkv->ngrv", q[:, :, i], state))
    return torch.stack(out, 3), state


@pytest.mark.parametrize(("L", "chunk"), [(1, 4), (3, 4), (4, 4), (9, 4), (9, 1), (130, 64)])
def test_sums_in_chunks_and_their_gradients_are_those_of_the_recurrence(L, chunk):
    tensors = [tensor.requires_grad_() for tensor in given(L)]
    out, after = decayed_sums(*tensors, chunk=chunk)
    wanted, last = by_recurrence(*tensors)
    assert_close(out, wanted)
    assert_close(after, last)
    weights = torch.randn_like(out), torch.randn_like(after)
    found, right = (
        torch.autograd.grad([one, end], tensors, weights) for one, end in ((out, after), (wanted, last))
    )
    for ours, theirs in zip(found, right, strict=True):
        assert_close(ours, theirs)


def test_without_a_state_it_begins_with_zeros_and_keeps_none():
    q, k, v, decay, state = given(9)
    out, after = decayed_sums(q, k, v, decay, chunk=4)
    assert after is None
    assert_close(out, by_recurrence(q, k, v, decay, torch.zeros_like(state))[0])


def test_sums_over_strong_and_weak_decays_in_one_chunk_are_right_to_float32():
    torch.manual_seed(4)
    q, k, v = torch.randn(1, 1, 200, 5), torch.randn(1, 1, 200, 5), torch.randn(1, 1, 1, 200, 3)
    decay = -torch.rand(1, 1, 1, 200) * torch.tensor([1e-3, 20.0]).repeat(100)
    state, wanted = torch.zeros(5, 3, dtype=torch.float64), []
    for i in range(200):
        state = state * decay[0, 0, 0, i].double().exp()
        state += k[0, 0, i].double()[:, None] * v[0, 0, 0, i].double()
        wanted.append(q[0, 0, i].double() @ state)
    out, _ = decayed_sums(q, k, v, decay)
    assert (out[0, 0, 0] - torch.stack(wanted)).abs().max() < 1e-5
