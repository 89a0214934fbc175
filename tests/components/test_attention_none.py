import torch

from zoo.components.attention.none import NoAttention
from zoo.kernels.cache import DecoderCache, MemoryCache
from zoo.masks import Mask

B, T, S, D = 2, 5, 7, 12


def test_it_adds_zeros_whatever_it_is_given():
    x = torch.full((B, T, D), torch.inf, dtype=torch.bfloat16)
    for memory in (None, torch.randn(B, S, D)):
        out = NoAttention(d_model=D)(x, memory, mask=Mask(), position=None, cache=None)
        assert (out.shape, out.dtype, out.any().item()) == (x.shape, x.dtype, False)


def test_its_cache_counts_the_tokens_and_follows_a_search():
    module, cache = NoAttention(d_model=D), DecoderCache(1)
    layer = cache.layers[0]
    for size in (3, 1, 40):
        module(torch.randn(B, size, D), mask=Mask(causal=True), position=None, cache=layer.self_attention)
    assert cache.length == 44
    cache.reorder(torch.tensor([1, 1, 0]))
    cache.reorder(torch.tensor([2, 0]))
    assert (cache.length, layer.self_attention.n_rows) == (44, 2)
    memory = MemoryCache()
    module(torch.randn(3 * B, 1, D), torch.randn(B, S, D), mask=Mask(), position=None, cache=memory)
    memory.select(torch.tensor([0]))
    assert module(torch.randn(3, 1, D), mask=Mask(), position=None, cache=memory).shape == (3, 1, D)
