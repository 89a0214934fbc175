"""Strips: every document's real tokens side by side, and back."""

import pytest
import torch

from zoo.kernels.strips import strips_of
from zoo.masks import Mask

X = torch.arange(1, 13).view(2, 6, 1)  # the places of two rows, numbered from 1


def shown(strips):
    return [[int(one) for one in row.flatten()] for row in strips]


def test_rows_without_padding_are_their_own_strips():
    strips = strips_of(Mask(keys=torch.ones(2, 6, dtype=torch.bool)), X)
    assert strips.split(X) is X
    assert strips.join(X) is X
    assert shown(strips.reversed(X)) == [[6, 5, 4, 3, 2, 1], [12, 11, 10, 9, 8, 7]]


def test_padding_moves_to_the_end_and_back():
    keys = torch.tensor([[0, 1, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0]]).bool()
    strips = strips_of(Mask(keys=keys), X)
    rows = strips.split(X)
    assert shown(rows) == [[2, 4, 5, 0, 0, 0], [0] * 6]
    assert shown(strips.reversed(rows)) == [[5, 4, 2, 0, 0, 0], [0] * 6]
    assert shown(strips.join(rows)) == [[0, 2, 0, 4, 5, 0], [0] * 6]


def test_each_document_has_a_strip_of_its_own():
    documents = torch.tensor([[7, 7, 3, 3, 3, 5], [1, 1, 1, 1, 1, 1]])
    keys = torch.tensor([[1, 1, 1, 0, 1, 1], [0, 1, 1, 1, 0, 1]]).bool()
    strips = strips_of(Mask(documents=documents, keys=keys), X)
    rows = strips.split(X)
    assert shown(rows) == [[1, 2, 0, 0], [3, 5, 0, 0], [6, 0, 0, 0], [8, 9, 10, 12]]
    assert shown(strips.reversed(rows)) == [[2, 1, 0, 0], [5, 3, 0, 0], [6, 0, 0, 0], [12, 10, 9, 8]]
    assert shown(strips.join(rows)) == [[1, 2, 3, 0, 5, 6], [0, 8, 9, 10, 0, 12]]


@pytest.mark.parametrize(
    ("first", "goes_on"),
    [(0, True), (1, False)],
)
def test_a_strip_goes_on_where_the_last_real_token_was_of_its_document(first, goes_on):
    documents = torch.tensor([[first, 4, 0, 0], [2, 2, 2, 2]])
    keys = torch.tensor([[1, 0, 1, 1], [1, 1, 0, 0]]).bool()  # document 4 is padding
    x = torch.zeros(2, 2, 1)
    strips = strips_of(Mask(causal=True, documents=documents, keys=keys, offset=2), x)
    state = torch.tensor([[1.0], [2.0]])
    assert shown(strips.begin(state)) == [[1 if goes_on else 0], [2]]
    after = torch.tensor([[5.0], [6.0]])
    assert shown(strips.end(after, state)) == [[5], [2]]  # no new token in the second row


def test_what_is_kept_is_that_of_the_last_document():
    documents = torch.tensor([[0, 1, 1], [2, 2, 2]])
    strips = strips_of(Mask(documents=documents), X[:, :3])
    state = torch.tensor([[1.0], [2.0], [3.0]])
    assert shown(strips.end(state, torch.zeros(2, 1))) == [[2], [3]]


def test_layers_share_the_strips_of_a_mask():
    mask = Mask(keys=torch.tensor([[True, False]]))
    x = torch.zeros(1, 2, 3)
    assert strips_of(mask, x) is strips_of(mask, x)


def test_a_mask_of_another_length_is_refused():
    with pytest.raises(ValueError, match=r"keys must have the shape \[B, 6\]"):
        strips_of(Mask(keys=torch.ones(2, 5, dtype=torch.bool)), X)
