"""What attentions remember against the plain way: concatenate, index, select."""

import pytest
import torch

from zoo.kernels.cache import KeyValueCache, MemoryCache


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
    cache = KeyValueCache()
    k, v = torch.randn(4, 3, 6, 5), torch.randn(4, 3, 6, 2)
    cache.append(k, v)
    cache.reorder(torch.tensor(rows))
    k_new, v_new = torch.randn(len(rows), 3, 1, 5), torch.randn(len(rows), 3, 1, 2)
    k_all, v_all = cache.append(k_new, v_new)
    torch.testing.assert_close(k_all, torch.cat([k[rows], k_new], 2), rtol=0, atol=0)
    torch.testing.assert_close(v_all, torch.cat([v[rows], v_new], 2), rtol=0, atol=0)


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
def test_selected_sentences_keep_their_memory(sentences):
    torch.manual_seed(4)
    cache = MemoryCache()
    k, v = torch.randn(4, 3, 6, 5), torch.randn(4, 3, 6, 2)
    expected = k[sentences], v[sentences]
    cache.keys, cache.values = k, v
    cache.select(torch.tensor(sentences))
    torch.testing.assert_close(cache.keys, expected[0], rtol=0, atol=0)
    torch.testing.assert_close(cache.values, expected[1], rtol=0, atol=0)


def test_an_empty_cache_may_be_reordered():
    cache = KeyValueCache()
    cache.reorder(torch.tensor([1, 0]))
    MemoryCache().select(torch.tensor([0]))
    assert cache.length == 0
    cache.append(torch.randn(2, 1, 3, 4), torch.randn(2, 1, 3, 4))
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
