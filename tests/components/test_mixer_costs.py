"""What mixers cost by formula, against torch's counter, what decoding holds, and what outputs really depend on."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import zoo.kernels.attention
from registry import check
from tests.analysis.test_cost import depends, held_values
from zoo.costs import cost
from zoo.kinds import MIXER
from zoo.masks import Mask
from zoo.sizes import Batch

B, T, D = 2, 5, 12
EXAMPLES = {f"{name}-{i}": spec for name in MIXER.names() for i, spec in enumerate(MIXER.examples(name))}
CASES = [
    pytest.param(spec, role, id=f"{name}-{role}")
    for name, spec in EXAMPLES.items()
    for role in ("self", "causal")
    if not check(spec, "", d_model=D, role=role, position=None)
]


def cost_of(spec, role, batch):
    return cost(MIXER, spec, d_model=D, role=role, position=None, batch=batch)


def memory_of(spec, rows, n=T):
    if not spec.reads_memory:
        return {}
    return {"memory": torch.randn(rows, n, D, requires_grad=True), "memory_mask": Mask()}


@pytest.mark.parametrize(("spec", "role"), CASES)
def test_operations_are_those_that_torch_counts(monkeypatch, spec, role):
    monkeypatch.setattr(zoo.kernels.attention, "choose", lambda *args, **rest: "eager")
    with torch.device("meta"):  # where torch's recurrences are made of products that its counter sees
        part, x = MIXER.build(spec, d_model=D), torch.randn(B, T, D, requires_grad=True)
        given = {"mask": Mask(causal=role == "causal"), "position": None, "cache": None, **memory_of(spec, B)}
        with FlopCounterMode(display=False) as forward:
            out = part(x, **given)
        with FlopCounterMode(display=False) as backward:
            out.sum().backward()
    found, uncounted, beyond = cost_of(spec, role, Batch(B * T, T)), 0, 0
    if spec.type == "depthwise_convolution":
        mean = 2 * B * T * D * spec.width
        if spec.kernels == "predicted":  # a sum of products of numbers, which the counter does not see
            uncounted, beyond = mean, -2 * mean
        else:  # in the backward pass of a grouped convolution it multiplies all features with all
            beyond = (D - 1) * mean
    elif spec.type in ("mamba2", "gated_delta"):
        weights = [weight for name, weight in part.named_parameters() if name.endswith("convolution.weight")]
        beyond = sum((len(weight) - 1) * 2 * B * T * weight.numel() for weight in weights)
    elif spec.type == "attentive_gru" and spec.attention.type == "additive":
        beyond = -2 * 2 * B * T * T * D  # two products of its backward pass are written as sums
    assert found.is_known
    assert found.forward - uncounted == forward.get_total_flops()
    assert found.backward + beyond == backward.get_total_flops()


def held_of(cache):
    """Numbers that a mixer has in a search."""
    if cache is None:
        return 0
    if hasattr(cache, "own"):
        parts = [held_of(cache.own), *(held_values(one) for one in (cache.read,) if one is not None)]
        return sum(parts)
    return sum(tensor.numel() for tensor in cache.state)


@pytest.mark.parametrize("spec", [case.values[0] for case in CASES if case.values[1] == "causal"])
def test_the_state_is_what_decoding_holds(spec):
    part = MIXER.build(spec, d_model=D)
    cache, given = part.new_cache(), memory_of(spec, B)
    with torch.no_grad():
        for i in range(T):
            mask = Mask(causal=True, offset=i)
            part(torch.randn(B, 1, D), mask=mask, position=None, cache=cache, **given)
            given = {"memory": None, "memory_mask": Mask()} if given else {}
    found = cost_of(spec, "causal", Batch(B * T, T))
    assert B * (T * found.cached_per_token + found.cached) == held_of(cache)
    if not spec.reads_memory and not check(spec, "", d_model=D, role="self", position=None):
        alone = cost_of(spec, "self", Batch(B * T, T))
        assert (alone.cached_per_token, alone.cached) == (0, 0)


def layers_until_all_meet(spec, role, n, most=12):
    """Layers, each added to its input, until every output depends on every input that it may; None: more than most."""
    torch.manual_seed(4)
    mask = Mask(causal=role == "causal")
    allowed = torch.ones(n, n).tril().bool() if role == "causal" else torch.ones(n, n, dtype=torch.bool)
    memory = {name: one.double() if name == "memory" else one for name, one in memory_of(spec, 1).items()}
    x = torch.randn(1, n, D, dtype=torch.float64, requires_grad=True)
    y = x
    for n_layers in range(1, most + 1):
        part = MIXER.build(spec, d_model=D).double().eval()
        y = y + part(y, mask=mask, position=None, cache=None, **memory)
        if bool((depends(y[0], x) | ~allowed).all()):
            return n_layers
    return None


@pytest.mark.parametrize(("spec", "role"), [case for case in CASES if "relu" not in str(case.values[0])])
def test_the_longest_way_is_the_layers_it_takes_and_the_steps_of_a_recurrence(spec, role):
    for n in (2, 5, 8):  # not of relu, whose few features may all be 0
        mixing = cost_of(spec, role, Batch(n, n)).mixing
        is_stepwise = mixing.n_sequential == n
        assert is_stepwise or mixing.n_sequential == 1
        assert is_stepwise == any(word in spec.type for word in ("rnn", "lstm", "gru", "attended"))
        layers = layers_until_all_meet(spec, role, n)
        wanted = None if layers is None else layers * (n if is_stepwise else 1)
        assert mixing.path == wanted, n
