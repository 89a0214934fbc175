"""Retention against its recurrence token by token and the paper's parallel form; its sizes and limits."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from registry import check, parse
from tests.components.scanning import holds_for_a_prompt_in_pieces, holds_for_both_directions, run
from zoo.assembly.build import build
from zoo.assembly.decoder_only import DecoderOnlySpec
from zoo.kinds import MIXER

B, T, D, H, K, V = 2, 150, 12, 3, 4, 7
KEYS = {"n_heads": H, "d_k": K, "d_v": V, "base": 50.0}


def made(d_model=D, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry("retention").spec, {"type": "retention", **keys})
    return MIXER.build(spec, d_model=d_model).double(), spec


def by_formula(scan, x, base=50.0, *, pairing="interleaved", norm="layer_norm"):
    """One row [T, D], token by token: pairs of features are complex numbers, which turn by a speed of their own."""
    shape = (H, K // 2, 2) if pairing == "interleaved" else (H, 2, K // 2)
    speeds = torch.tensor([1.0, base**-0.5], dtype=torch.float64) if base else torch.zeros(K // 2).double()
    states, out = torch.zeros(H, K // 2, V, dtype=torch.complex128), []
    for n, token in enumerate(x):
        pairs = ((part.weight @ token).view(shape) for part in (scan.query, scan.key))
        pairs = (each if pairing == "interleaved" else each.mT for each in pairs)
        q, k = (torch.complex(*each.unbind(-1)) for each in pairs)
        v, gate = (scan.value.weight @ token).view(H, V), scan.gate.weight @ token
        turn, o = torch.polar(torch.ones_like(speeds), n * speeds), []
        for h in range(H):
            gamma = 1 - 2.0 ** (-5 - h)
            states[h] = gamma * states[h] + (k[h] * turn).conj()[:, None] * v[h]
            y = ((q[h] * turn)[:, None] * states[h]).sum(0).real / K**0.5
            if norm == "layer_norm":
                y = (y - y.mean()) / (y.var(correction=0) + scan.eps).sqrt()
            else:
                y = y / (y.square().mean() + scan.eps).sqrt()
            o.append(y if scan.gain is None else y * scan.gain)
        out.append(scan.output.weight @ (torch.cat(o) * gate * gate.sigmoid()))
    return torch.stack(out)


@torch.no_grad()
@pytest.mark.parametrize("rotation", [True, False])
def test_the_output_is_that_of_the_recurrence(rotation):
    module, _ = made(**KEYS, rotation=rotation)
    x = torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.stack([by_formula(module.forwards, row, 50.0 if rotation else None) for row in x])
    assert_close(run(module, x), wanted, rtol=1e-10, atol=1e-10)
    single = run(module.float(), x.float())
    assert_close(single.double(), wanted, rtol=0, atol=1e-5 * wanted.abs().max().item())


@torch.no_grad()
@pytest.mark.parametrize("pairing", ["interleaved", "half"])
@pytest.mark.parametrize("norm", ["layer_norm", "rms_norm"])
def test_halves_turn_heads_have_a_root_mean_square_and_a_gain_where_asked_for(pairing, norm):
    module, spec = made(**KEYS, pairing=pairing, norm=norm, gain=True)
    scan = module.forwards
    assert scan.gain.shape == (V,)
    assert sum(p.numel() for p in module.parameters()) == spec.n_parameters(d_model=D)
    scan.gain.copy_(torch.randn(V))
    x = torch.randn(B, T, D, dtype=torch.float64)
    wanted = torch.stack([by_formula(scan, row, pairing=pairing, norm=norm) for row in x])
    assert_close(run(module, x), wanted, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_the_output_is_that_of_the_parallel_form_with_the_normalisations_of_the_paper():
    """Equations 5 and 8, and under them: scores by √d_k, decays by the root of their sum, rows by their own sum."""
    module, _ = made(n_heads=H, d_k=K, d_v=V, rotation=False, eps=1e-12)
    scan, x = module.forwards, torch.randn(T, D, dtype=torch.float64)
    q, k, v = (
        (x @ part.weight.T).view(T, H, -1).transpose(0, 1) for part in (scan.query, scan.key, scan.value)
    )
    gamma = 1 - 2.0 ** (-5 - torch.arange(H, dtype=torch.float64))
    apart = torch.arange(T)[:, None] - torch.arange(T)
    decay = torch.where(apart >= 0, gamma[:, None, None] ** apart.clamp(min=0), 0.0)
    decay = decay / decay.sum(-1, keepdim=True).sqrt()
    scores = q @ k.mT / K**0.5 * decay
    scores = scores / scores.sum(-1, keepdim=True).abs().clamp(min=1)
    heads = F.group_norm((scores @ v).transpose(0, 1).reshape(T, H * V), H, eps=1e-12)
    wanted = (F.silu(x @ scan.gate.weight.T) * heads) @ scan.output.weight.T
    assert_close(run(module, x[None])[0], wanted, rtol=1e-6, atol=1e-6)


def test_passes_from_the_end_are_recurrences_over_the_reverse_and_both_are_added():
    x = torch.randn(T, D, dtype=torch.float64)
    holds_for_both_directions(lambda **keys: made(**KEYS, **keys)[0], by_formula, x)


def test_prompts_of_several_chunks_leave_the_state_of_their_tokens():
    module, x = made(**KEYS)[0], torch.randn(B, T, D, dtype=torch.float64)
    holds_for_a_prompt_in_pieces(module, by_formula, x, hidden=[*range(67), 90, 130], cuts=(141, 142))


def test_what_a_layer_is_set_by_reaches_the_matrices():
    torch.manual_seed(3)
    data = {
        "d_model": 64,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {
            "n_layers": 2,
            "layer": {"mixer": {"type": "retention", "n_heads": 4}, "ffn": {"type": "mlp", "d_ff": 7}},
        },
        "head": {"type": "language_model", "predicts": "tokens"},
        "initialization": {"type": "deep_norm", "beta": 0.25},
    }
    scan = build(parse(DecoderOnlySpec, data)).decoder.layers[1].mixer.forwards
    for part, gain in (
        (scan.query, 1),
        (scan.key, 1),
        (scan.value, 0.25),
        (scan.gate, 0.25),
        (scan.output, 0.25),
    ):
        deviation = gain * (2 / (64 + max(part.weight.shape))) ** 0.5
        assert part.weight.std().item() == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"n_heads": 5}, "n_heads (5) must divide d_model (12), as 4 and 6 do, or d_k be given"),
        ({"n_heads": 4}, "d_k (3) must be even, for pairs of features turn; or set rotation false"),
        ({"n_heads": 3, "direction": "both"}, "make it forwards"),
    ],
)
def test_what_cannot_be_is_refused(keys, wanted):
    spec = parse(MIXER.entry("retention").spec, {"type": "retention", **keys})
    (problem,) = check(spec, "", d_model=D, role="causal", position=None)
    assert wanted in str(problem)
