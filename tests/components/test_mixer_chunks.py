"""Mixers that work in chunks of 64 tokens, over sequences of several: what they cost and keep, linear in the length."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from registry import parse
from zoo.costs import cost
from zoo.kinds import MIXER
from zoo.masks import Mask
from zoo.sizes import Batch

B, D = 2, 32
CASES = [
    ("mamba2", {"d_head": 8, "n_groups": 2, "d_state": 24}),
    ("mamba2", {}),
    ("retention", {"n_heads": 4}),
    ("gated_delta", {"n_heads": 2}),
    ("gated_delta", {"n_heads": 3, "d_k": 16, "d_v": 5, "direction": "both"}),
    ("diagonal_ssm", {}),
    ("diagonal_ssm", {"d_state": 6, "direction": "both"}),
]


def made(name, keys):
    torch.manual_seed(1)
    spec = parse(MIXER.entry(name).spec, {"type": name, **keys})
    return MIXER.build(spec, d_model=D), spec


def cost_of(spec, length):
    return cost(MIXER, spec, d_model=D, role="self", position=None, batch=Batch(B * length, length))


@pytest.mark.parametrize(("name", "keys"), CASES)
@pytest.mark.parametrize("length", [64, 128, 150])
def test_operations_are_those_that_torch_counts(name, keys, length):
    module, spec = made(name, keys)
    with FlopCounterMode(display=False) as counted:
        out = module(torch.randn(B, length, D, requires_grad=True), mask=Mask(), position=None, cache=None)
    found = cost_of(spec, length)
    assert found.forward == counted.get_total_flops()
    with FlopCounterMode(display=False) as counted:
        out.sum().backward()
    # In the backward pass of a grouped convolution the counter multiplies all features with all.
    weights = [weight for name, weight in module.named_parameters() if name.endswith("convolution.weight")]
    beyond = sum((len(weight) - 1) * 2 * B * length * weight.numel() for weight in weights)
    assert found.backward + beyond == counted.get_total_flops()


@pytest.mark.parametrize(("name", "keys"), [case for case in CASES if case[0] != "diagonal_ssm"])
def test_operations_grow_with_the_length_and_follow_each_other_by_chunks(name, keys):
    _, spec = made(name, keys)
    sizes = [cost_of(spec, length).forward for length in (128, 256, 512, 1024)]
    assert sizes[2] - sizes[1] == 2 * (sizes[1] - sizes[0])
    assert sizes[3] - sizes[2] == 2 * (sizes[2] - sizes[1])
    assert [cost_of(spec, length).mixing.n_sequential for length in (64, 65, 1024)] == [1, 2, 16]


@pytest.mark.parametrize(("name", "keys"), CASES)
def test_what_is_kept_is_within_thirty_percent_of_what_torch_saves(name, keys):
    module, spec = made(name, keys)
    length, found = 200, {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def pack(tensor):
        found[tensor.untyped_storage().data_ptr()] = (
            tensor.untyped_storage()
        )  # held, or its place is given away
        return tensor

    x = torch.randn(B, length, D, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(x, mask=Mask(), position=None, cache=None)
    saved = sum(storage.nbytes() for place, storage in found.items() if place not in weights)
    batch = Batch(B * length, length)
    estimated = 4 * spec.n_kept(d_model=D, role="self", position=None, batch=batch)
    assert saved == pytest.approx(estimated, rel=0.3)
