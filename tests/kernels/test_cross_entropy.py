import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from zoo.kernels import cross_entropy
from zoo.kernels.cross_entropy import linear_cross_entropy


@pytest.fixture(autouse=True, params=["as many logits as come", "few at once"])
def whole_or_not(request, monkeypatch):
    if request.param == "few at once":
        monkeypatch.setattr(cross_entropy, "_FEW_LOGITS", 0)


def case(n=37, d=12, v=29, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    hidden = torch.randn(n, d, dtype=dtype, requires_grad=True)
    weight = torch.randn(v, d, dtype=dtype, requires_grad=True)
    bias = torch.randn(v, dtype=dtype, requires_grad=True)
    return hidden, weight, bias, torch.randint(v, (n,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("with_bias", [True, False])
def test_loss_and_gradients_equal_torch_on_full_logits(smoothing, with_bias):
    hidden, weight, bias, labels = case(dtype=torch.float32)
    b = bias if with_bias else None
    inputs = (hidden, weight, bias) if with_bias else (hidden, weight)
    expected = F.cross_entropy(
        F.linear(hidden, weight, b), labels, label_smoothing=smoothing, reduction="sum"
    )
    loss, nll = linear_cross_entropy(hidden, weight, labels, bias=b, label_smoothing=smoothing)
    assert_close(loss, expected, rtol=1e-5, atol=1e-4)
    assert_close(
        nll, F.cross_entropy(F.linear(hidden, weight, b), labels, reduction="sum"), rtol=1e-5, atol=1e-4
    )
    for ours, theirs in zip(
        torch.autograd.grad(3.0 * loss, inputs), torch.autograd.grad(3.0 * expected, inputs), strict=True
    ):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_many_chunks_equal_one(monkeypatch):
    hidden, weight, bias, labels = case(n=400, dtype=torch.float32)
    whole = linear_cross_entropy(hidden, weight, labels, bias=bias, label_smoothing=0.1)[0]
    monkeypatch.setitem(cross_entropy.CHUNK_BYTES, "cpu", 1)  # the least: 128 rows, so four chunks
    chunked = linear_cross_entropy(hidden, weight, labels, bias=bias, label_smoothing=0.1)[0]
    assert_close(chunked, whole)
    for ours, theirs in zip(
        torch.autograd.grad(chunked, (hidden, weight, bias)),
        torch.autograd.grad(whole, (hidden, weight, bias)),
        strict=True,
    ):
        assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_a_label_of_vanishing_probability_has_its_true_loss():
    hidden = torch.tensor([[1.0]])
    weight = torch.tensor([[0.0], [500.0]], requires_grad=True)  # p[0] = e^-500, zero in fp32
    loss, _ = linear_cross_entropy(hidden, weight, torch.tensor([0]))
    assert loss.item() == 500.0


def test_two_words_by_hand():
    # z = (0, ln 3): p = (1/4, 3/4). nll = ln 4; smoothed by 0.2: 0.8·ln 4 + 0.1·(ln 4 + ln 4/3).
    hidden, weight = torch.tensor([[1.0]]), torch.tensor([[0.0], [1.0986122886681098]])
    loss, nll = linear_cross_entropy(hidden, weight, torch.tensor([0]), label_smoothing=0.2)
    assert_close(nll, torch.tensor(1.3862943611198906))
    assert_close(
        loss, torch.tensor(0.8 * 1.3862943611198906 + 0.1 * (1.3862943611198906 + 0.28768207245178085))
    )


def test_under_autocast_it_stays_near_fp32():
    hidden, weight, _, labels = case(n=300, d=64, v=101, dtype=torch.float32)
    exact, _ = linear_cross_entropy(hidden, weight, labels, label_smoothing=0.1)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = linear_cross_entropy(hidden, weight, labels, label_smoothing=0.1)
    assert_close(rough, exact, rtol=2e-3, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(rough, (hidden, weight)),
        torch.autograd.grad(exact, (hidden, weight)),
        strict=True,
    ):
        assert ours.dtype == torch.float32
        assert (ours - theirs).norm() < 0.02 * theirs.norm()


def test_no_gradient_is_computed_when_none_is_wanted():
    hidden, weight, _, labels = case(dtype=torch.float32)
    with torch.no_grad():
        loss, _ = linear_cross_entropy(hidden, weight, labels, label_smoothing=0.1)
    assert not loss.requires_grad


def test_a_frozen_weight_costs_no_gradient_and_changes_no_other():
    torch.manual_seed(2)
    hidden, weight = torch.randn(5, 7, requires_grad=True), torch.randn(11, 7, requires_grad=True)
    labels = torch.randint(11, (5,))
    linear_cross_entropy(hidden, weight, labels)[0].backward()
    expected, hidden.grad = hidden.grad, None
    frozen = weight.detach()
    linear_cross_entropy(hidden, frozen, labels)[0].backward()
    assert_close(hidden.grad, expected)
    assert frozen.grad is None
