"""The gated delta rule in chunks, against its recurrence token by token."""

import pytest
import torch
from torch.testing import assert_close

from zoo.kernels.delta_rule import delta_rule

N, H, K, V = 2, 3, 5, 4


def given(L):
    torch.manual_seed(4)
    q, k = torch.randn(N, H, L, K).double(), torch.randn(N, H, L, K).double()
    k = k / k.norm(dim=-1, keepdim=True)
    v, decay, share = (
        torch.randn(N, H, L, V).double(),
        -torch.rand(N, H, L).double(),
        torch.rand(N, H, L).double(),
    )
    return q, k, v, decay, share, torch.randn(N, H, K, V).double()


def by_recurrence(q, k, v, decay, share, state):
    out = []
    for i in range(q.shape[2]):
        state = state * decay[:, :, i, None, None].exp()
        held = torch.einsum("nhk,nhkv->nhv", k[:, :, i], state)
        state = state + torch.einsum("nhk,nhv->nhkv", k[:, :, i], share[:, :, i, None] * (v[:, :, i] - held))
        out.append(torch.einsum("nhk,nhkv->nhv", q[:, :, i], state))
    return torch.stack(out, 2), state


@pytest.mark.parametrize(("L", "chunk"), [(1, 4), (3, 4), (4, 4), (9, 4), (9, 1), (130, 64)])
def test_the_rule_in_chunks_and_its_gradients_are_those_of_the_recurrence(L, chunk):
    tensors = [tensor.requires_grad_() for tensor in given(L)]
    out, after = delta_rule(*tensors, chunk=chunk)
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
    *tensors, state = given(9)
    out, after = delta_rule(*tensors, chunk=4)
    assert after is None
    assert_close(out, by_recurrence(*tensors, torch.zeros_like(state))[0])


def test_keys_that_repeat_in_one_chunk_are_right_to_float32():
    """The same key at every place, written anew each time: the system of the chunk is as dense as it can be."""
    q, k, v, decay, share, _ = given(64)
    k, share, decay = k[:, :, :1].expand_as(k), 0.9 + 0.1 * share, decay * 0.01
    out, _ = delta_rule(*(tensor.float() for tensor in (q, k, v, decay, share)))
    wanted, _ = by_recurrence(q, k, v, decay, share, torch.zeros(N, H, K, V).double())
    assert (out - wanted).abs().max() < 1e-5
