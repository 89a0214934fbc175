"""Longformer beyond its certificate: sequences of many windows, and which tokens are global."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf

LONGFORMER = family_named("longformer")
LONG = {**LONGFORMER.examples[0], "max_position_embeddings": 67, "attention_window": [4, 8]}


def given(reference, *, length=61):
    pad = reference.config.pad_token_id
    torch.manual_seed(1)
    tokens = torch.randint(5, 31, (3, length))
    mask = torch.arange(length) < torch.tensor([[length], [17], [40]])
    return tokens.masked_fill(~mask, pad), mask


def test_sequences_of_many_windows_give_the_references_numbers():
    reference = random_reference(LONGFORMER, LONG, seed=2)
    _, model = from_hf(reference)
    tokens, mask = given(reference)
    chosen = torch.zeros_like(mask)
    chosen[0, [0, 30, 60]] = chosen[2, 39] = True
    theirs = reference(tokens, attention_mask=mask.long(), global_attention_mask=chosen.long()).logits
    ours = model(tokens, mask=mask, global_tokens=chosen)
    assert_close(ours[mask], theirs[mask], rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))
    local = reference(tokens, attention_mask=mask.long()).logits
    assert_close(
        model(tokens, mask=mask)[mask], local[mask], rtol=0, atol=2e-5 * float(local.detach().abs().max())
    )
    assert (local[0] - theirs[0]).abs().max() > 1e-2


def test_a_sequence_classifiers_first_token_is_global_as_in_the_reference():
    config = {**LONG, "architectures": ["LongformerForSequenceClassification"]}
    reference = random_reference(LONGFORMER, config, seed=3)
    spec, model = from_hf(reference)
    assert {layer.self_attention.n_global for layer in spec.encoder.each_layer()} == {1}
    tokens, mask = given(reference)
    theirs = reference(tokens, attention_mask=mask.long()).logits
    assert_close(model(tokens, mask=mask), theirs, rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))


def test_each_layer_has_its_window():
    reference = random_reference(LONGFORMER, LONG, seed=4)
    spec, _ = from_hf(reference)
    assert [layer.self_attention.radius for layer in spec.encoder.each_layer()] == [2, 4]
    assert LONGFORMER.to_config(spec)["attention_window"] == [4, 8]
