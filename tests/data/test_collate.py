"""Padded tensors against rows put together one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from zoo.data.cache import Recipe, token_pairs
from zoo.data.collate import Batch, collate
from zoo.data.rows import TokenPairs
from zoo.data.tokenizers.characters import Characters
from zoo.kinds import Corpus
from zoo.special_ids import BOS, EOS, PAD


@pytest.fixture
def pairs(list_corpus: Callable[..., Corpus], tmp_path: Path) -> TokenPairs:
    rng = np.random.Generator(np.random.PCG64(5))

    def text(letters: str) -> str:
        return "".join(letters[i] for i in rng.integers(0, len(letters), rng.integers(1, 12)))

    corpus = list_corpus(train=[(text("abcde"), text("uvwxyz")) for _ in range(31)])
    letters = Characters().train(["abcdeuvwxyz"], vocab_size=99)
    return token_pairs(corpus, "train", Recipe(letters, letters, 50, "error", "error"), tmp_path)


def padded(rows: list[list[int]]) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([row + [PAD] * (longest - len(row)) for row in rows])


@pytest.mark.parametrize("indices", [[3, 17, 0, 8], [30], [5, 5, 2], list(range(31))])
def test_rows_are_padded_and_shifted_as_one_by_one(pairs: TokenPairs, indices: list[int]) -> None:
    batch = collate(pairs, np.array(indices))
    sources, targets = [pairs.source[i] for i in indices], [pairs.target[i] for i in indices]
    expected = {
        "source": padded([[*row, EOS] for row in sources]),
        "target_input": padded([[BOS, *row] for row in targets]),
        "labels": padded([[*row, EOS] for row in targets]),
    }
    for name, rows in expected.items():
        torch.testing.assert_close(getattr(batch, name), rows)
    torch.testing.assert_close(batch.source_mask, expected["source"] != PAD)
    torch.testing.assert_close(batch.target_mask, expected["labels"] != PAD)
    torch.testing.assert_close(batch.target_mask, expected["target_input"] != PAD)
    assert batch.n_tokens == int((expected["labels"] != PAD).sum())
    assert batch.n_source_tokens == int((expected["source"] != PAD).sum())


def test_a_batch_goes_to_a_device_whole(pairs: TokenPairs) -> None:
    batch = collate(pairs, np.array([1, 2, 3]))
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    tensors = [value for value in vars(moved).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 5
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert (moved.n_tokens, moved.n_source_tokens) == (batch.n_tokens, batch.n_source_tokens)
