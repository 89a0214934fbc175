"""The gated delta rule against its recurrence token by token, transformers' module, and its first values; limits."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close
from transformers import Qwen3NextConfig
from transformers.models.qwen3_next.modeling_qwen3_next import Qwen3NextGatedDeltaNet

from registry import check, parse
from tests.components.scanning import holds_for_a_prompt_in_pieces, holds_for_both_directions, run
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.kinds import MIXER

B, T, D, H, K, V = 2, 150, 12, 3, 4, 7
KEYS = {"n_heads": H, "d_k": K, "d_v": V, "kernel_size": 3}


def made(d_model=D, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry("gated_delta").spec, {"type": "gated_delta", **keys})
    module = MIXER.build(spec, d_model=d_model).double()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("gain"):
                parameter += 0.3 * torch.randn_like(parameter)
    return module, spec


def by_formula(scan, x):
    """One row [T, D], token by token, from the paper's equation, with the matrices of our module."""
    size = scan.convolution.weight.shape[-1]
    last = [x.new_zeros(scan.convolution.weight.shape[0])] * size
    states, out, one = x.new_zeros(H, V, K), [], torch.eye(K, dtype=x.dtype)
    for token in x:
        last = [*last[1:], scan.input.weight @ token]
        mixed = F.silu(sum(w * past for w, past in zip(scan.convolution.weight[:, 0].T, last, strict=True)))
        q, k, v = (part.view(H, -1) for part in mixed.split([H * K, H * K, H * V]))
        step, beta = (scan.control.weight @ token).chunk(2)
        alpha = (-scan.log_a.exp() * (1 + (step + scan.step_bias).exp()).log()).exp()
        beta, y = 1 / (1 + (-beta).exp()), []
        for h in range(H):
            key, query = (part[h] / (part[h] @ part[h] + 1e-6).sqrt() for part in (k, q))
            states[h] = alpha[h] * states[h] @ (one - beta[h] * key.outer(key)) + beta[h] * v[h].outer(key)
            o = states[h] @ query / K**0.5
            y.append(o / (o.square().mean() + scan.eps).sqrt() * scan.gain)
        out.append(scan.output.weight @ (torch.cat(y) * F.silu(scan.gate.weight @ token)))
    return torch.stack(out)


@torch.no_grad()
def test_the_output_is_that_of_the_recurrence():
    module, _ = made(**KEYS)
    x = torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.stack([by_formula(module.forwards, row) for row in x])
    assert_close(run(module, x), wanted, rtol=1e-10, atol=1e-10)
    single = run(module.float(), x.float())
    assert_close(single.double(), wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


def test_passes_from_the_end_are_recurrences_over_the_reverse_and_both_are_added():
    x = torch.randn(T, D, dtype=torch.float64)
    holds_for_both_directions(lambda **keys: made(**KEYS, **keys)[0], by_formula, x)


def test_prompts_of_several_chunks_leave_the_state_of_their_tokens():
    module, x = made(**KEYS)[0], torch.randn(B, T, D, dtype=torch.float64)
    holds_for_a_prompt_in_pieces(module, by_formula, x, hidden=[*range(67), 90, 130], cuts=(141, 142))


@torch.no_grad()
def test_the_output_is_that_of_transformers():
    config = Qwen3NextConfig(
        hidden_size=D, linear_num_key_heads=H, linear_num_value_heads=H, linear_key_head_dim=K,
        linear_value_head_dim=V, linear_conv_kernel_dim=3, num_hidden_layers=1, layer_types=["linear_attention"],
    )  # fmt: skip
    torch.manual_seed(2)
    theirs = Qwen3NextGatedDeltaNet(config, layer_idx=0).eval()
    for parameter in theirs.parameters():
        parameter.add_(0.3 * torch.randn_like(parameter))
    given = theirs.state_dict()
    # Of each head together: queries, keys, values and gates; shares and steps.
    q, k, v, gate = given["in_proj_qkvz.weight"].view(H, -1, D).split([K, K, V, V], dim=1)
    share, step = given["in_proj_ba.weight"].view(H, 2, D).unbind(1)
    module, _ = made(**KEYS, eps=1e-6)
    module.float().forwards.load_state_dict(
        {
            "input.weight": torch.cat([part.flatten(0, 1) for part in (q, k, v)]),
            "gate.weight": gate.flatten(0, 1),
            "control.weight": torch.cat([step, share]),
            "convolution.weight": given["conv1d.weight"],
            "step_bias": given["dt_bias"],
            "log_a": given["A_log"],
            "gain": given["norm.weight"],
            "output.weight": given["out_proj.weight"],
        }
    )
    x = torch.randn(B, 77, D)
    assert_close(run(module, x), theirs(x), rtol=1e-4, atol=2e-5)


def test_what_a_layer_is_set_by_reaches_the_matrices_and_leaves_the_first_values_of_the_state():
    torch.manual_seed(3)
    mixer = {"type": "gated_delta", "n_heads": 48, "d_k": 3, "min_step": 0.01, "max_step": 0.2}
    data = {
        "d_model": 64,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {"n_layers": 2, "layer": {"mixer": mixer, "ffn": {"type": "mlp", "d_ff": 7}}},
        "head": {"type": "language_model", "predicts": "tokens"},
        "initialization": {"type": "deep_norm", "beta": 0.25},
    }
    scan = build(parse(DecoderOnlySpec, data)).decoder.layers[1].mixer.forwards
    steps = F.softplus(scan.step_bias)
    assert 0.01 <= steps.min() < 0.02
    assert 0.1 < steps.max() <= 0.2
    assert steps.log().mean().item() == pytest.approx(0.5 * math.log(0.01 * 0.2), abs=0.4)
    assert 1 <= scan.log_a.exp().min() < 2.5
    assert 14 < scan.log_a.exp().max() <= 16
    assert scan.gain.eq(1).all()
    assert scan.convolution.weight.abs().max() <= 0.5
    assert scan.convolution.weight.std().item() == pytest.approx(0.5 / 3**0.5, rel=0.1)
    for part, gain in ((scan.input, 0.25), (scan.gate, 0.25), (scan.control, 1), (scan.output, 0.25)):
        deviation = gain * (2 / sum(part.weight.shape)) ** 0.5
        assert part.weight.std().item() == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"n_heads": 5}, "n_heads (5) must divide ¾ of d_model (9), or d_k be given"),
        ({"n_heads": 3, "min_step": 0.5}, "min_step (0.5) must not be above max_step (0.1)"),
        ({"n_heads": 3, "direction": "both"}, "make it forwards"),
    ],
)
def test_what_cannot_be_is_refused(keys, wanted):
    spec = parse(MIXER.entry("gated_delta").spec, {"type": "gated_delta", **keys})
    (problem,) = check(spec, "", d_model=D, role="causal", position=None)
    assert wanted in str(problem)
