"""Whoever watches sees the weights of each call by the formula, and how far the kernel's output lies from them."""

import threading

import pytest
import torch
from torch.testing import assert_close

from zoo.kernels import attention, sdpa, watching
from zoo.kernels.attention import attend
from zoo.kernels.watching import Watch
from zoo.masks import Mask

B, H, T, S, K = 2, 3, 5, 7, 4


def given():
    torch.manual_seed(0)
    return torch.randn(B, H, T, K), torch.randn(B, H, S, K), torch.randn(B, H, S, K)


def by_loops(q, k, keys, scale):
    """Equation 1 a number at a time."""
    weights = torch.zeros(B, H, T, S)
    for b, h, i in torch.cartesian_prod(*map(torch.arange, (B, H, T))).tolist():
        scores = [
            torch.exp((q[b, h, i] * k[b, h, j]).sum() * scale) if keys[b, j] else torch.zeros(())
            for j in range(S)
        ]
        weights[b, h, i] = torch.stack(scores) / sum(scores)
    return weights


@pytest.mark.parametrize("kernel", ["auto", "eager", "matmul", "sdpa"])
def test_the_weights_of_each_call_are_seen_whatever_the_kernel(kernel):
    q, k, v = given()
    keys = torch.arange(S) < torch.tensor([[7], [4]])
    watch = Watch()
    with watching.watching(watch):
        out = attend(q, k, v, mask=Mask(keys=keys), scale=0.4, kernel=kernel)
        attend(q, k, v, mask=Mask(), scale=0.4, kernel=kernel)
    expected = by_loops(q, k, keys, 0.4)
    assert len(watch.weights) == 2
    assert_close(watch.weights[0], expected)
    assert_close(out, expected @ v)
    assert max(watch.differences) < 1e-6
    assert watch.dtypes == {torch.float32}


def test_nothing_is_computed_where_nobody_watches(monkeypatch):
    monkeypatch.setattr(attention.eager, "attention", None)
    q, k, v = given()
    attend(q, k, v, mask=Mask(), scale=0.4, kernel="sdpa")
    assert watching.current is None


def test_another_thread_is_not_seen():
    watch, weights = Watch(), torch.rand(1, 1, 2, 2)
    with watching.watching(watch):
        other = threading.Thread(
            target=lambda: (watching.seen(weights), attend(*given(), mask=Mask(), scale=1.0))
        )
        other.start()
        other.join()
    assert (watch.weights, watch.differences) == ([], [])


def test_a_watch_within_another_takes_its_place_and_gives_it_back():
    outer, inner, weights = Watch(), Watch(), torch.rand(1, 1, 2, 2)
    with watching.watching(outer):
        with watching.watching(inner):
            assert watching.seen(weights) is weights
        watching.seen(2 * weights)
    assert_close(inner.weights, [weights])
    assert_close(outer.weights, [2 * weights])
    assert watching.current is None


def test_a_kernel_that_is_wrong_is_far_from_the_formula(monkeypatch):
    right, watch = sdpa.attention, Watch()
    monkeypatch.setattr(attention.sdpa, "attention", lambda *given, **rest: right(*given, **rest) * 1.01)
    with watching.watching(watch):
        attend(*given(), mask=Mask(), scale=0.4, kernel="sdpa")
    assert watch.differences == pytest.approx([0.01 / 1.01], rel=1e-3)


def test_the_formula_drops_nothing():
    watch = Watch()
    with watching.watching(watch):
        out = attend(*given(), mask=Mask(), scale=0.4, dropout=0.5, kernel="matmul")
    whole = attend(*given(), mask=Mask(), scale=0.4)
    assert_close(watch.weights[0].sum(-1), torch.ones(B, H, T))
    largest = max(out.abs().max(), whole.abs().max())
    assert watch.differences == pytest.approx([float((out - whole).abs().max() / largest)], rel=1e-4)
