"""What mixers say of their sizes, against what is built and what torch saves for the backward pass."""

import pytest
import torch

from zoo.kinds import MIXER
from zoo.masks import Mask
from zoo.sizes import Batch

D, ROWS, T = 60, 8, 40
CASES = [
    pytest.param(spec, id=f"{name}-{i}")
    for name in MIXER.names()
    for i, spec in enumerate(MIXER.examples(name))
]


def built(spec):
    torch.manual_seed(1)
    return MIXER.build(spec, d_model=D).train()


@pytest.mark.parametrize("spec", CASES)
def test_parameters_are_those_of_the_formula(spec):
    assert spec.n_parameters(d_model=D) == sum(p.numel() for p in built(spec).parameters())


@pytest.mark.parametrize("spec", CASES)
def test_what_is_kept_is_within_thirty_percent_of_what_torch_saves(spec):
    module, found = built(spec), {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}

    def pack(tensor):
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    read = {"memory": torch.randn(ROWS, T, D), "memory_mask": Mask()} if spec.reads_memory else {}
    x = torch.randn(ROWS, T, D, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        module(x, mask=Mask(), position=None, cache=None, **read)
    saved = sum(storage.nbytes() for place, storage in found.items() if place not in weights)
    batch = Batch(n_tokens=ROWS * T, length=T)
    estimated = 4 * spec.n_kept(d_model=D, role="causal", position=None, batch=batch)
    assert saved == pytest.approx(estimated, rel=0.3)
