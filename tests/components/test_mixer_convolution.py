"""Convolutions, depthwise convolutions, Fourier transforms and pooling against loops written from their formulas."""

import math

import pytest
import torch
from torch.testing import assert_close

from registry import check, parse
from zoo.kinds import MIXER
from zoo.masks import Mask
from zoo.sizes import dividing

B, T, D = 2, 7, 6


def made(name, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry(name).spec, {"type": name, **keys})
    module = MIXER.build(spec, d_model=D).double().eval()
    for parameter in module.parameters():
        parameter.data.normal_()
    return module


def run(module, x, **mask):
    return module(x, mask=Mask(**mask), position=None, cache=None)


def window(t, width, n, causal):
    """The places of a window around t, each with its place in the kernel."""
    first = t - width + 1 if causal else t - width // 2
    return [(j, first + j) for j in range(width) if 0 <= first + j < n]


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("width", "gated"), [(3, True), (4, False), (2, True), (11, True)])
def test_a_convolution_is_its_formula(width, gated, causal):
    module, x = made("convolution", width=width, gated=gated), torch.randn(B, T, D, dtype=torch.float64)
    W, b = module.kernel.weight, module.kernel.bias
    wanted = torch.zeros_like(x)
    for row in range(B):
        for t in range(T):
            sums = b + sum(W[:, :, j] @ x[row, place] for j, place in window(t, width, T, causal))
            wanted[row, t] = sums[:D] * sums[D:].sigmoid() if gated else sums
    assert_close(run(module, x, causal=causal), wanted)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kernels", ["learned", "predicted"])
@pytest.mark.parametrize("width", [3, 4])
def test_a_depthwise_convolution_is_its_formula(width, kernels, causal):
    H = 3
    module = made("depthwise_convolution", width=width, n_heads=H, kernels=kernels)
    x = torch.randn(B, T, D, dtype=torch.float64)
    mapped = x @ module.input.weight.T + module.input.bias
    y = mapped[..., :D] * mapped[..., D:].sigmoid()
    mean = torch.zeros_like(x)
    for row in range(B):
        for t in range(T):
            for feature in range(D):
                head = feature // (D // H)
                if kernels == "learned":
                    scores = module.kernels[head]
                else:
                    scores = (module.predict.weight @ y[row, t]).view(H, width)[head]
                weights = scores.exp() / scores.exp().sum()
                places = window(t, width, T, causal)
                mean[row, t, feature] = sum(weights[j] * y[row, place, feature] for j, place in places)
    assert_close(run(module, x, causal=causal), mean @ module.output.weight.T + module.output.bias)


def test_kernels_of_a_depthwise_convolution_sum_to_one_and_are_dropped_in_training():
    module = made("depthwise_convolution", width=5, n_heads=2, dropout=0.5)
    weights = module._weights(torch.zeros(1, 1, D, dtype=torch.float64))
    assert_close(weights.sum(-1), torch.ones(2, dtype=torch.float64))
    dropped = module.train()._weights(torch.zeros(1, 1, D, dtype=torch.float64))
    assert 0 < int((dropped == 0).sum()) < 10
    kept = dropped != 0
    assert_close(dropped[kept], 2 * weights[kept])


def test_inputs_of_a_convolution_are_dropped_in_training():
    module, x = made("convolution", width=2, gated=False, bias=False, dropout=0.5), torch.ones(1, 400, D)
    module.kernel.weight.data.zero_()[:, :, 1].copy_(torch.eye(D))  # each place as it is
    out = run(module.train(), x.double(), causal=True)
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert 0.4 < (out == 0).double().mean() < 0.6


@pytest.mark.parametrize("n_heads", [4, 7])
def test_heads_that_do_not_divide_the_width_are_refused(n_heads):
    spec = parse(MIXER.entry("depthwise_convolution").spec, {"n_heads": n_heads})
    (problem,) = check(spec, "here", d_model=D, role="self", position=None)
    assert problem.message == f"n_heads ({n_heads}) must divide d_model ({D}), {dividing(n_heads, D)}"


def test_a_fourier_transform_is_its_sum():
    module, x = made("fourier"), torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.zeros_like(x)
    for t in range(T):
        for d in range(D):
            for s in range(T):
                for e in range(D):
                    wanted[:, t, d] += x[:, s, e] * math.cos(2 * math.pi * (t * s / T + d * e / D))
    assert_close(run(module, x), wanted)


def test_a_fourier_transform_is_that_of_transformers_fnet():
    fnet = pytest.importorskip("transformers.models.fnet.modeling_fnet")
    config = pytest.importorskip("transformers").FNetConfig(hidden_size=D)
    x = torch.randn(B, T, D, dtype=torch.float64)
    (theirs,) = fnet.FNetBasicFourierTransform(config)(x)
    assert_close(run(made("fourier"), x), theirs)


def test_a_fourier_transform_of_bfloat16_is_computed_in_float32():
    x = torch.randn(B, T, D).bfloat16()
    for keys in (None, torch.arange(T).expand(B, T) < 5):
        out = run(made("fourier"), x, keys=keys)
        assert out.dtype == torch.bfloat16
        assert_close(out, run(made("fourier"), x.float(), keys=keys).bfloat16())


def test_a_fourier_transform_is_refused_where_later_tokens_are_hidden():
    spec = parse(MIXER.entry("fourier").spec, {})
    (problem,) = check(spec, "", d_model=D, role="causal", position=None)
    assert "sees the whole sequence" in problem.message
    assert not check(spec, "", d_model=D, role="self", position=None)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("width", [2, 3, 4, 11])
def test_pooling_is_a_mean_of_the_places_there_are_minus_the_own(width, causal):
    x = torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.zeros_like(x)
    for t in range(T):
        places = [place for _, place in window(t, width, T, causal)]
        wanted[:, t] = x[:, places].mean(dim=1) - x[:, t]
    assert_close(run(made("pooling", width=width), x, causal=causal), wanted)
