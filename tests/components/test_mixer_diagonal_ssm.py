"""The diagonal state space model against its recurrence token by token, and the paper's first values; its limits."""

import cmath
import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import check, parse
from tests.components.scanning import holds_for_a_prompt_in_pieces, holds_for_both_directions, run
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.kinds import MIXER
from zoo.masks import Mask

B, T, D, N = 2, 75, 6, 8


def made(d_model=D, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry("diagonal_ssm").spec, {"type": "diagonal_ssm", "d_state": N, **keys})
    module = MIXER.build(spec, d_model=d_model).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith(("log_decay", "frequency")):
                parameter += 0.1 * torch.randn_like(parameter)
    return module, spec


def by_formula(scan, x):
    """One row [T, D], token by token and number by number; the conjugate half of the state is written out."""
    out = torch.empty_like(x)
    for feature in range(D):
        step, y = math.exp(scan.log_step[feature]), [0.0] * len(x)
        for n in range(N // 2):
            a = complex(-math.exp(scan.log_decay[feature, n]), scan.frequency[feature, n])
            c = complex(*scan.c[feature, n].tolist())
            for half_a, half_c in ((a, c), (a.conjugate(), c.conjugate())):
                kept, s = cmath.exp(step * half_a), 0j
                for i, u in enumerate(x[:, feature].tolist()):
                    s = kept * s + (kept - 1) / half_a * u
                    y[i] += (half_c * s).real
        out[:, feature] = torch.tensor(y, dtype=x.dtype) + scan.skip[feature] * x[:, feature]
    content, gate = (F.gelu(out) @ scan.output.weight.T + scan.output.bias).chunk(2, dim=-1)
    return content * gate.sigmoid()


@torch.no_grad()
@pytest.mark.parametrize("start", ["lin", "inv"])
def test_the_output_is_that_of_the_recurrence(start):
    module, _ = made(start=start)
    x = torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.stack([by_formula(module.forwards, row) for row in x])
    assert_close(run(module, x), wanted, rtol=1e-10, atol=1e-10)
    single = run(module.float(), x.float())
    assert_close(single.double(), wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


def test_passes_from_the_end_are_recurrences_over_the_reverse_and_both_are_added():
    x = torch.randn(T, D, dtype=torch.float64)
    holds_for_both_directions(lambda **keys: made(**keys)[0], by_formula, x)


def test_a_prompt_leaves_the_state_of_its_tokens():
    module, x = made()[0], torch.randn(B, T, D, dtype=torch.float64)
    holds_for_a_prompt_in_pieces(module, by_formula, x, hidden=[*range(17), 30, 57], cuts=(41, 42))


@torch.no_grad()
def test_long_sequences_of_short_steps_are_right_to_float32():
    module, _ = made(min_step=1e-4, max_step=1e-3)
    x = torch.randn(1, 2000, D, dtype=torch.float64)
    wanted = run(module, x)
    assert_close(
        run(module.float(), x.float()).double(), wanted, rtol=0, atol=1e-5 * wanted.abs().max().item()
    )


@torch.no_grad()
def test_parameters_of_bfloat16_filter_in_float32():
    module, _ = made()
    module = module.bfloat16()
    x, cache = torch.randn(B, 9, D).bfloat16(), module.new_cache()
    full = run(module, x)
    steps = [
        module(x[:, i:j], mask=Mask(causal=True, offset=i), position=None, cache=cache)
        for i, j in ((0, 7), (7, 8), (8, 9))
    ]
    assert full.dtype == torch.bfloat16
    assert cache.state[0].dtype == torch.float32
    assert_close(torch.cat(steps, 1), full, rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("start", "frequencies"),
    [
        ("lin", [0, math.pi, 2 * math.pi, 3 * math.pi]),
        ("inv", [8 / math.pi * (8 / odd - 1) for odd in (1, 3, 5, 7)]),
    ],
)
def test_what_a_layer_is_set_by_reaches_the_matrix_and_leaves_the_first_values_of_the_state(
    start, frequencies
):
    torch.manual_seed(3)
    mixer = {"type": "diagonal_ssm", "d_state": N, "start": start, "min_step": 0.01, "max_step": 0.2}
    data = {
        "d_model": 64,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {"n_layers": 2, "layer": {"mixer": mixer, "ffn": {"type": "mlp", "d_ff": 7}}},
        "head": {"type": "language_model", "predicts": "tokens"},
        "initialization": {"type": "normal", "std": 0.5, "residual_scaling": True},
    }
    scan = build(parse(DecoderOnlySpec, data)).decoder.layers[1].mixer.forwards
    assert_close(scan.frequency.data, torch.tensor(frequencies).expand(64, 4))
    assert_close(scan.log_decay.exp().data, torch.full((64, 4), 0.5))
    steps = scan.log_step.exp()
    assert 0.01 <= steps.min() < 0.02
    assert 0.1 < steps.max() <= 0.2
    assert scan.c.square().sum(-1).mean().item() == pytest.approx(1, rel=0.15)
    assert scan.skip.std().item() == pytest.approx(1, rel=0.25)
    assert scan.output.weight.std().item() == pytest.approx(0.25, rel=0.05)  # 4 branches


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"d_state": 5}, "d_state (5) must be even"),
        ({"min_step": 0.5}, "min_step (0.5) must not be above max_step (0.1)"),
        ({"direction": "both"}, "make it forwards"),
    ],
)
def test_what_cannot_be_is_refused(keys, wanted):
    spec = parse(MIXER.entry("diagonal_ssm").spec, {"type": "diagonal_ssm", **keys})
    (problem,) = check(spec, "", d_model=D, role="causal", position=None)
    assert wanted in str(problem)
