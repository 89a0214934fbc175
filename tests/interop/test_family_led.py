"""LED beyond its certificate: sources of many windows, which tokens are global, and what no config of it says."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

pytest.importorskip("transformers")

from registry import SpecError
from zoo.interop.certify import random_reference
from zoo.interop.family import family_named
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import config_of, spec_of

LED = family_named("led")
LONG = {**LED.examples[1], "max_encoder_position_embeddings": 67}


def given(*, length=61):
    torch.manual_seed(1)
    source, target = torch.randint(5, 31, (3, length)), torch.randint(5, 31, (3, 6))
    return source, target, torch.arange(length) < torch.tensor([[length], [17], [40]])


def test_sources_of_many_windows_give_the_references_numbers():
    reference = random_reference(LED, LONG, seed=2)
    spec, model = from_hf(reference)
    assert [layer.self_attention.radius for layer in spec.encoder.each_layer()] == [4, 2]
    source, target, mask = given()
    chosen = torch.zeros_like(mask)
    chosen[0, [0, 30, 60]] = chosen[2, 39] = True
    told = {"attention_mask": mask.long(), "decoder_input_ids": target}
    theirs = reference(source, global_attention_mask=chosen.long(), **told).logits
    ours = model(source, target, source_mask=mask, global_tokens=chosen)
    assert_close(ours, theirs, rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))
    local = reference(source, **told).logits
    assert_close(
        model(source, target, source_mask=mask), local, rtol=0, atol=2e-5 * float(local.detach().abs().max())
    )
    assert (local[0] - theirs[0]).abs().max() > 1e-2


def test_both_stacks_have_places_of_their_own():
    spec = spec_of(LED, {"model_type": "led", **LONG, "max_decoder_position_embeddings": 9})
    stacks = (spec.encoder, spec.decoder)
    assert [(stack.position or spec.position).max_len for stack in stacks] == [67, 9]


def test_first_tokens_that_are_global_are_said_by_no_config():
    spec = spec_of(LED, {"model_type": "led", **LED.examples[0]})
    (group,) = spec.encoder.layers
    attention = group.layer.self_attention.model_copy(update={"n_global": 1})
    group = group.model_copy(update={"layer": group.layer.model_copy(update={"self_attention": attention})})
    changed = spec.model_copy(update={"encoder": spec.encoder.model_copy(update={"layers": (group,)})})
    with pytest.raises(SpecError, match="n_global"):
        config_of(changed, "led")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"scale_embedding": True}, "scale_embedding"),
        ({"attention_window": 5}, "must be even and at least 4"),
        ({"attention_window": [4, 4]}, "a number or 1, one for each layer"),
    ],
)
def test_what_the_reference_does_not_compute_is_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        spec_of(LED, {"model_type": "led", **LED.examples[0], **fields})
