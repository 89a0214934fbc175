import pytest
import torch
from torch.testing import assert_close

from zoo.kernels.dropout import dropout, dropout_add


def test_share_of_zeros_and_scale_are_those_of_p():
    torch.manual_seed(0)
    x = torch.ones(1000, 1001)
    out = dropout(x, 0.3, training=True)
    assert out.eq(0).double().mean().item() == pytest.approx(0.3, abs=0.002)
    kept = out[out != 0]
    assert_close(kept, torch.full_like(kept, 1 / 0.7), rtol=1e-4, atol=0)


def test_p_finer_than_its_grid_keeps_the_expectation():
    torch.manual_seed(0)
    out = dropout(torch.ones(2_000_000), 0.1, training=True)
    assert out.double().mean().item() == pytest.approx(1.0, abs=1e-3)


def test_residual_passes_and_gradient_follows_the_mask():
    torch.manual_seed(1)
    residual = torch.randn(3, 5, 7, requires_grad=True)
    x = torch.ones(3, 5, 7, requires_grad=True)
    out = dropout_add(residual, x, 0.4, training=True)
    kept = (out - residual).detach()
    upstream = torch.randn(3, 5, 7)
    out.backward(upstream)
    assert_close(residual.grad, upstream)
    assert_close(x.grad, upstream * kept)
    assert 0 < kept.eq(0).sum() < kept.numel()


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_evaluation_changes_nothing(p):
    residual, x = torch.randn(2, 3), torch.randn(2, 3)
    assert dropout(x, p, training=False) is x
    assert_close(dropout_add(residual, x, p, training=False), residual + x)


def test_one_seed_gives_one_mask():
    draws = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        draws.append(dropout(torch.ones(997), 0.5, training=True))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_low_precision_branch_joins_a_full_precision_residual():
    residual = torch.randn(4, 6, requires_grad=True)
    x = torch.randn(4, 6, dtype=torch.bfloat16, requires_grad=True)
    out = dropout_add(residual, x, 0.5, training=True)
    out.sum().backward()
    assert out.dtype == torch.float32
    assert x.grad.dtype == torch.bfloat16
