"""BigBird beyond its certificate: the lengths at which transformers goes other ways."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf

FAMILY = family_named("big_bird")
SMALL = {**FAMILY.examples[0], "architectures": ["BigBirdModel"], "num_hidden_layers": 1}


def assert_equal_at(length, **config):
    reference = random_reference(FAMILY, {**SMALL, **config}, seed=length)
    _, model = from_hf(reference)
    tokens = torch.randint(31, (2, length), generator=torch.Generator().manual_seed(length))
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[1, -4:] = False
    with torch.no_grad():
        theirs = reference(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        assert_close(model.encode(tokens, mask=mask)[mask], theirs[mask], rtol=0, atol=2e-5)


@pytest.mark.parametrize("length", [20, 21, 22, 23, 24, 25, 36])  # attended in full up to 7 blocks of 3
def test_around_the_length_from_which_it_goes_by_blocks_it_is_the_reference(length):
    assert_equal_at(length)


def test_at_the_lengths_of_the_papers_plans_it_is_the_reference():
    assert_equal_at(1024, max_position_embeddings=1100, block_size=64, num_random_blocks=3)
