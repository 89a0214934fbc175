"""Mamba-2 against its recurrence token by token, transformers' module, and its first values; its sizes and limits."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from transformers import Mamba2Config
from transformers.models.mamba2.modeling_mamba2 import Mamba2Mixer

from registry import check, parse
from tests.components.scanning import holds_for_a_prompt_in_pieces, holds_for_both_directions, run
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.kinds import MIXER

B, T, D = 2, 150, 12
KEYS = {"d_state": 5, "d_head": 3, "n_groups": 2, "kernel_size": 3, "bias": True}


def made(d_model=D, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry("mamba2").spec, {"type": "mamba2", **keys})
    module = MIXER.build(spec, d_model=d_model).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("skip", "gain")):
                parameter += 0.3 * torch.randn_like(parameter)
    return module, spec


def by_formula(scan, x):
    """One row [T, D], token by token, from the equations of the paper, with the matrices of our module."""
    width, convolved, n_heads = scan.sizes
    K, P, G = scan.d_state, scan.d_head, scan.n_groups
    size = scan.convolution.weight.shape[-1]
    last = [x.new_zeros(convolved)] * size
    states, out = x.new_zeros(n_heads, P, K), []
    for token in x:
        z, mixed, dt = (scan.input.weight @ token + scan.input.bias).split([width, convolved, n_heads])
        last = [*last[1:], mixed]
        mixed = sum(w * one for w, one in zip(scan.convolution.weight[:, 0].T, last, strict=True))
        mixed = F.silu(mixed + scan.convolution.bias)
        u, b, c = mixed[:width].view(n_heads, P), mixed[width:][: G * K], mixed[width:][G * K :]
        dt = (1 + (dt + scan.step_bias).exp()).log()
        y = []
        for h in range(n_heads):
            g = h // (n_heads // G)
            a = (-dt[h] * scan.log_a[h].exp()).exp()
            states[h] = a * states[h] + dt[h] * u[h][:, None] * b.view(G, K)[g]
            y.append(states[h] @ c.view(G, K)[g] + scan.skip[h] * u[h])
        gated = (torch.cat(y) * z * z.sigmoid()).view(G, -1)
        normed = gated / (gated.square().mean(-1, keepdim=True) + scan.eps).sqrt()
        out.append(scan.output.weight @ (normed.flatten() * scan.gain) + scan.output.bias)
    return torch.stack(out)


@torch.no_grad()
def test_the_output_is_that_of_the_recurrence():
    module, _ = made(**KEYS)
    x = torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.stack([by_formula(module.forwards, row) for row in x])
    assert_close(run(module, x), wanted, rtol=1e-10, atol=1e-10)
    single = run(module.float(), x.float())
    assert_close(single.double(), wanted, rtol=0, atol=3e-6 * wanted.abs().max().item())


def test_passes_from_the_end_are_recurrences_over_the_reverse_and_both_are_added():
    x = torch.randn(T, D, dtype=torch.float64)
    holds_for_both_directions(lambda **keys: made(**KEYS, **keys)[0], by_formula, x)


def test_prompts_of_several_chunks_leave_the_state_of_their_tokens():
    module, x = made(**KEYS)[0], torch.randn(B, T, D, dtype=torch.float64)
    holds_for_a_prompt_in_pieces(module, by_formula, x, hidden=[*range(67), 90, 130], cuts=(141, 142))


@torch.no_grad()
@pytest.mark.parametrize("n_groups", [1, 2])
def test_the_output_is_that_of_transformers(n_groups):
    config = Mamba2Config(
        hidden_size=D, num_heads=6, head_dim=4, state_size=5, n_groups=n_groups, conv_kernel=4, expand=2,
        num_hidden_layers=1, chunk_size=32, use_bias=False, use_conv_bias=True, layer_norm_epsilon=1e-5,
    )  # fmt: skip
    torch.manual_seed(2)
    theirs = Mamba2Mixer(config, layer_idx=0).eval()
    for parameter in theirs.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    module, _ = made(d_state=5, d_head=4, n_groups=n_groups)
    scan = module.float().forwards
    pairs = {
        "input.weight": "in_proj.weight", "convolution.weight": "conv1d.weight", "convolution.bias": "conv1d.bias",
        "step_bias": "dt_bias", "log_a": "A_log", "skip": "D", "gain": "norm.weight",
        "output.weight": "out_proj.weight",
    }  # fmt: skip
    given = theirs.state_dict()
    assert set(pairs.values()) == set(given)
    scan.load_state_dict({ours: given[name] for ours, name in pairs.items()})
    x = torch.randn(B, 77, D)
    assert_close(run(module, x), theirs(x), rtol=1e-4, atol=2e-5)


def language_model(**keys):
    return parse(
        DecoderOnlySpec,
        {
            "d_model": 64,
            "tokens": {"type": "tokens", "vocab_size": 23},
            "decoder": {"n_layers": 2, "layer": {"mixer": keys, "ffn": {"type": "mlp", "d_ff": 7}}},
            "head": {"type": "language_model", "predicts": "tokens"},
            "initialization": {"type": "normal", "std": 0.5, "residual_scaling": True},
        },
    )


def test_what_a_layer_is_set_by_reaches_the_matrices_and_leaves_the_first_values_of_the_state():
    torch.manual_seed(3)
    scan = (
        build(language_model(type="mamba2", d_head=2, min_step=0.01, max_step=0.2))
        .decoder.layers[1]
        .mixer.forwards
    )
    steps = F.softplus(scan.step_bias)
    assert 0.01 <= steps.min() < 0.02
    assert 0.1 < steps.max() <= 0.2
    assert steps.log().mean().item() == pytest.approx(0.5 * math.log(0.01 * 0.2), abs=0.4)
    exact = build(language_model(type="mamba2", d_head=2, min_step=0.5, max_step=0.5)).decoder.layers[0].mixer
    assert_close(F.softplus(exact.forwards.step_bias.data), torch.full((64,), 0.5))
    assert 1 <= scan.log_a.exp().min() < 2.5
    assert 14 < scan.log_a.exp().max() <= 16
    assert scan.skip.eq(1).all()
    assert scan.convolution.weight.abs().max() <= 0.5
    assert scan.convolution.weight.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.1)
    assert scan.input.weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert scan.output.weight.std().item() == pytest.approx(0.25, rel=0.05)  # 4 branches


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"d_head": 5}, "d_head (5) must divide expand · d_model (24)"),
        ({"d_head": 4, "n_groups": 4}, "n_groups (4) must divide the 6 heads"),
        ({"d_head": 4, "min_step": 0.5}, "min_step (0.5) must not be above max_step (0.1)"),
        ({"d_head": 4, "direction": "both"}, "make it forwards"),
    ],
)
def test_what_cannot_be_is_refused(keys, wanted):
    spec = parse(MIXER.entry("mamba2").spec, {"type": "mamba2", **keys})
    (problem,) = check(spec, "", d_model=D, role="causal", position=None)
    assert wanted in str(problem)
