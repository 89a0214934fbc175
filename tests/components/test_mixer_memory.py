"""Mixers that read a memory, and attention without matrices, against loops written from their formulas."""

import pytest
import torch
from torch.testing import assert_close

from registry import check, parse
from zoo.components.mixer._memory import end_of
from zoo.kinds import ATTENTION, MIXER
from zoo.masks import Mask

B, T, S, D = 2, 5, 4, 6
KEYS = torch.tensor([[True, True, True, False], [False, True, True, True]])


def made(name, **keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry(name).spec, {"type": name, **keys})
    module = MIXER.build(spec, d_model=D).double().eval()
    for parameter in module.parameters():
        parameter.data.normal_()
    return module


def given():
    torch.manual_seed(2)
    return torch.randn(B, T, D, dtype=torch.float64), torch.randn(B, S, D, dtype=torch.float64)


def run(module, x, memory, keys=None):
    masks = {"mask": Mask(causal=True), "memory_mask": Mask(keys=keys)}
    return module(x, memory=memory, position=None, cache=None, **masks)


def test_the_ends_of_a_memory_are_its_first_and_last_real_vectors_for_each_row_of_a_sentence():
    _, memory = given()
    assert_close(end_of(memory, None, "last", B), memory[:, -1])
    assert_close(end_of(memory, Mask(), "first", B), memory[:, 0])
    first, last = (end_of(memory, Mask(keys=KEYS), end, 2 * B) for end in ("first", "last"))
    assert_close(first, torch.stack([memory[0, 0], memory[0, 0], memory[1, 1], memory[1, 1]]))
    assert_close(last, torch.stack([memory[0, 2], memory[0, 2], memory[1, 3], memory[1, 3]]))
    nothing = end_of(memory, Mask(keys=KEYS & False), "last", B)
    assert_close(nothing, torch.zeros(B, D, dtype=torch.float64))


@pytest.mark.parametrize(("start", "place"), [("first", (0, 1)), ("last", (2, 3))])
def test_a_seeded_lstm_is_an_lstm_that_starts_from_a_map_of_the_memory(start, place):
    module, (x, memory) = made("seeded_lstm", start=start, d_hidden=3), given()
    cell = module.recurrence
    W, b, U, b2 = cell.input.weight, cell.input.bias, cell.recurrent.weight, cell.recurrent.bias
    wanted = torch.zeros(B, T, 3, dtype=torch.float64)
    for row in range(B):
        both = module.seed.weight @ memory[row, place[row]] + module.seed.bias
        h, c = both[:3].tanh(), both[3:]
        for t in range(T):
            i, f, g, o = (W @ x[row, t] + b + U @ h + b2).view(4, 3)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            wanted[row, t] = h
    assert_close(run(module, x, memory, KEYS), module.output(wanted))


def test_an_attentive_gru_looks_from_its_state_before_each_step():
    module, (x, memory) = made("attentive_gru"), given()
    attention, wanted = module.attention, torch.zeros_like(x)
    for row in range(B):
        real = memory[row, KEYS[row]]
        h = (module.seed.weight @ real[0] + module.seed.bias).tanh()
        for t in range(T):
            hidden = (attention.query.weight @ h + real @ attention.key.weight.T).tanh()  # Bahdanau's a(s, h)
            weights = (hidden @ attention.energy[0]).softmax(0)
            c = attention.output.weight @ (weights @ (real @ attention.value.weight.T))
            r, z, n = (module.input.weight @ x[row, t] + module.input.bias + module.context.weight @ c).view(
                3, D
            )
            r2, z2, n2 = (module.recurrent.weight @ h + module.recurrent.bias).view(3, D)
            z = (z + z2).sigmoid()
            h = (1 - z) * (n + (r + r2).sigmoid() * n2).tanh() + z * h
            wanted[row, t] = module.output.weight @ torch.cat([h, c, x[row, t]]) + module.output.bias
    assert_close(run(module, x, memory, KEYS), wanted)


def test_attended_puts_the_context_of_each_output_beside_it():
    module, (x, memory) = made("attended", mixer={"type": "gru", "d_hidden": 3}), given()
    hidden = module.mixer(x, mask=Mask(causal=True), position=None, cache=None)
    wanted = torch.zeros_like(x)
    for row in range(B):
        real = memory[row, KEYS[row]]
        for t in range(T):
            context = (real @ hidden[row, t]).softmax(0) @ real  # Luong's score `dot`
            both = torch.cat([context, hidden[row, t]])
            wanted[row, t] = (module.output.weight @ both + module.output.bias).tanh()
    assert_close(run(module, x, memory, KEYS), wanted)


@pytest.mark.parametrize("causal", [True, False])
def test_a_dot_product_attention_compares_vectors_as_they_are(causal):
    spec = parse(ATTENTION.entry("dot_product").spec, {"scale": 0.3})
    module, (x, memory) = ATTENTION.build(spec, d_model=D), given()
    wanted = torch.zeros_like(x)
    for row in range(B):
        for t in range(T):
            seen = x[row, : t + 1] if causal else x[row]
            wanted[row, t] = (0.3 * seen @ x[row, t]).softmax(0) @ seen
    assert_close(module(x, mask=Mask(causal=causal), position=None, cache=None), wanted)
    across = module(x, memory, mask=Mask(), position=None, cache=None)
    assert_close(across[1, 2], (0.3 * memory[1] @ x[1, 2]).softmax(0) @ memory[1])


def test_a_search_leaves_the_memory_that_it_was_given_as_it_is():
    module, (x, memory) = ATTENTION.build(ATTENTION.entry("dot_product").spec(), d_model=D), given()
    before, cache = memory.clone(), module.new_memory_cache()
    module(x, memory, mask=Mask(), position=None, cache=cache)
    cache.select(torch.tensor([1, 0]))
    assert_close(memory, before)


@pytest.mark.parametrize(
    ("name", "text"),
    [("seeded_lstm", "take lstm here"), ("attentive_gru", "take gru"), ("attended", "its mixer alone")],
)
def test_what_reads_a_memory_is_refused_in_an_encoder(name, text):
    spec = parse(MIXER.entry(name).spec, {})
    (problem,) = check(spec, "", d_model=D, role="self", position=None)
    assert text in problem.message
    assert not check(spec, "", d_model=D, role="causal", position=None)


def test_limits_of_what_stands_within_are_told_with_their_place():
    spec = parse(MIXER.entry("attentive_gru").spec, {"attention": {"type": "multi_head", "n_heads": 4}})
    (problem,) = check(spec, "mixer", d_model=D, role="causal", position=None)
    assert problem.path == "mixer.attention"
    spec = parse(MIXER.entry("attended").spec, {"mixer": {"type": "lstm", "direction": "both"}})
    (problem,) = check(spec, "mixer", d_model=D, role="causal", position=None)
    assert (problem.path, problem.message[:12]) == ("mixer.mixer", "direction is")
