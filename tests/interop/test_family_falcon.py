"""Falcon RW beyond the few tokens that a certificate compares."""

import pytest
import torch

pytest.importorskip("transformers")

from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf

FALCON = family_named("falcon")
FALCON_RW = {
    "vocab_size": 31, "hidden_size": 24, "num_attention_heads": 12, "num_hidden_layers": 2, "alibi": True,
    "parallel_attn": False, "multi_query": False, "bias": True,
}  # fmt: skip


@torch.no_grad()
def test_biases_of_long_texts_are_rounded_as_the_references_are():
    theirs = random_reference(FALCON, FALCON_RW, seed=0).double()
    ours = from_hf(theirs)[1].double()
    tokens = torch.randint(31, (2, 300))
    mask = torch.arange(300) >= torch.tensor([[0], [11]])
    expected = theirs(tokens, attention_mask=mask.long()).logits[mask]
    assert float((ours(tokens, mask=mask)[mask] - expected).abs().max() / expected.abs().max()) < 1e-10
