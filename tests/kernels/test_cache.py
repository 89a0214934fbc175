"""The decoder's memory against the plain way: concatenate, index, select."""

import pytest
import torch

from zoo.kernels.cache import DecoderCache, KeyValueCache, MemoryCache


def test_append_returns_everything_so_far():
    torch.manual_seed(1)
    cache = KeyValueCache()
    keys = torch.randn(3, 2, 75, 5)  # more than the first capacity, in unequal pieces
    values = torch.randn(3, 2, 75, 7)
    for start, stop in [(0, 4), (4, 5), (5, 40), (40, 75)]:
        k, v = cache.append(keys[:, :, start:stop], values[:, :, start:stop])
        torch.testing.assert_close(k, keys[:, :, :stop], rtol=0, atol=0)
        torch.testing.assert_close(v, values[:, :, :stop], rtol=0, atol=0)
        assert cache.length == stop


@pytest.mark.parametrize(
    "rows",
    [
        [0, 1, 2, 3],  # nothing changes
        [2, 0, 2, 1],  # a row is taken and overwritten
        [3, 2, 1, 0],
        [1, 1, 1, 1],
        [3, 1],  # fewer rows, the last moved into a gap
        [0, 0, 1, 1, 2, 2, 3, 3],  # more rows
    ],
)
def test_reordered_rows_continue_the_rows_they_name(rows):
    torch.manual_seed(2)
    cache = DecoderCache(2)
    expected = []
    for layer in cache.layers:
        k, v = torch.randn(4, 3, 6, 5), torch.randn(4, 3, 6, 2)
        layer.self_attention.append(k, v)
        expected.append((k[rows], v[rows]))
    cache.reorder(torch.tensor(rows))
    for layer, (k, v) in zip(cache.layers, expected, strict=True):
        k_new, v_new = torch.randn(len(rows), 3, 1, 5), torch.randn(len(rows), 3, 1, 2)
        k_all, v_all = layer.self_attention.append(k_new, v_new)
        torch.testing.assert_close(k_all, torch.cat([k, k_new], 2), rtol=0, atol=0)
        torch.testing.assert_close(v_all, torch.cat([v, v_new], 2), rtol=0, atol=0)


def test_a_long_mixture_of_appends_and_reorders_equals_the_plain_way():
    torch.manual_seed(3)
    cache = KeyValueCache()
    k, v = torch.randn(5, 2, 0, 3), torch.randn(5, 2, 0, 4)
    for _ in range(60):
        n = k.shape[0]
        k, v = torch.cat([k, torch.randn(n, 2, 1, 3)], 2), torch.cat([v, torch.randn(n, 2, 1, 4)], 2)
        k_all, v_all = cache.append(k[:, :, -1:], v[:, :, -1:])
        assert torch.equal(k_all, k)
        assert torch.equal(v_all, v)
        rows = torch.randint(n, (int(torch.randint(1, 8, ())),))
        cache.reorder(rows)
        k, v = k[rows], v[rows]


def test_a_growing_cache_seldom_moves():
    cache, places = KeyValueCache(), set()
    for _ in range(200):
        k, _ = cache.append(torch.randn(2, 1, 1, 3), torch.randn(2, 1, 1, 3))
        places.add(k.data_ptr())
    assert len(places) <= 4  # 32, 64, 128 and 256 positions


def test_what_append_returns_is_a_batch_of_matrices_without_copying():
    cache = KeyValueCache()
    k, _ = cache.append(torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5))
    assert k.flatten(0, 1).data_ptr() == k.data_ptr()


@pytest.mark.parametrize("sentences", [[0, 3, 2], [2], [1, 0, 3, 2], [0, 0, 1, 2, 3]])
def test_selected_sentences_keep_their_memory_and_rows_stay(sentences):
    torch.manual_seed(4)
    cache = DecoderCache(2)
    expected = []
    for layer in cache.layers:
        k, v = torch.randn(4, 3, 6, 5), torch.randn(4, 3, 6, 2)
        layer.cross_attention.keys, layer.cross_attention.values = k, v
        layer.self_attention.append(k, v)
        expected.append((k[sentences], v[sentences]))
    cache.select(torch.tensor(sentences))
    for layer, (k, v) in zip(cache.layers, expected, strict=True):
        torch.testing.assert_close(layer.cross_attention.keys, k, rtol=0, atol=0)
        torch.testing.assert_close(layer.cross_attention.values, v, rtol=0, atol=0)
        assert layer.self_attention.n_rows == 4


def test_an_empty_cache_has_length_zero_and_may_be_reordered():
    cache = DecoderCache(1)
    assert cache.length == 0
    cache.reorder(torch.tensor([1, 0]))
    cache.select(torch.tensor([0]))
    MemoryCache().select(torch.tensor([0]))
    assert DecoderCache(0).length == 0
    cache.layers[0].self_attention.append(torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4))
    assert cache.length == 3


@pytest.mark.gpu
def test_rows_are_reordered_on_a_gpu():
    torch.manual_seed(5)
    cache = KeyValueCache()
    k = torch.randn(4, 3, 6, 5, device="cuda")
    cache.append(k, k)
    rows = torch.tensor([2, 2, 0], device="cuda")
    cache.reorder(rows)
    new = torch.randn(3, 3, 1, 5, device="cuda")
    torch.testing.assert_close(cache.append(new, new)[0], torch.cat([k[rows], new], 2), rtol=0, atol=0)
