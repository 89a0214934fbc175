import torch

from zoo.components.attention.none import NoAttention
from zoo.masks import Mask

B, T, S, D = 2, 5, 7, 12


def test_it_adds_zeros_whatever_it_is_given():
    x = torch.full((B, T, D), torch.inf, dtype=torch.bfloat16)
    for memory in (None, torch.randn(B, S, D)):
        out = NoAttention(d_model=D)(x, memory, mask=Mask(), position=None, cache=None)
        assert (out.shape, out.dtype, out.any().item()) == (x.shape, x.dtype, False)


def test_it_keeps_nothing():
    module = NoAttention(d_model=D)
    assert module.new_cache() is None
    assert module.new_memory_cache() is None
