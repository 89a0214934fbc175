"""Mamba-2 beyond its certificate: more than one chunk, and configs that it cannot be."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from registry import SpecError
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import spec_of

MAMBA2 = family_named("mamba2")
SMALL = MAMBA2.examples[0]


def spec(**fields):
    return spec_of(MAMBA2, {"model_type": "mamba2", **SMALL, **fields})


def test_sequences_of_many_chunks_give_the_references_numbers():
    reference = random_reference(MAMBA2, {**SMALL, "chunk_size": 32}, seed=2)
    _, model = from_hf(reference)
    torch.manual_seed(1)
    tokens = torch.randint(31, (2, 301))
    theirs = reference(tokens, use_cache=False).logits
    assert_close(model(tokens), theirs, rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))


@pytest.mark.parametrize("infinity", [math.inf, "Infinity", {"__float__": "Infinity"}])
def test_every_way_to_write_that_steps_have_no_limit_is_read(infinity):
    assert spec(time_step_limit=[0.0, infinity]) == spec()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"time_step_limit": [0.0, 0.1]}, r"time_step_limit: \[0.0, 0.1\] cannot be represented"),
        ({"num_heads": 5}, r"num_heads: times head_dim \(4\) must be expand · hidden_size \(24\), got 5"),
        ({"hidden_act": "gelu"}, "hidden_act"),
    ],
)
def test_what_cannot_be_is_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        spec(**fields)
