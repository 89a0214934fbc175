"""ModernBERT beyond its certificate: the kinds of its layers, said in the older and in the newer form."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from zoo.interop.family import family_named
from zoo.interop.matching import canonical, spec_of

MODERNBERT = family_named("modernbert")
SMALL = MODERNBERT.examples[0]
G, L = "full_attention", "sliding_attention"


def read(**fields):
    return spec_of(MODERNBERT, {"model_type": "modernbert", **SMALL, **fields})


def kinds(spec):
    return [{"restricted": L}.get(layer.self_attention.type, G) for layer in spec.encoder.each_layer()]


def test_layers_said_by_number_or_by_kind_are_the_same():
    older = read(
        num_hidden_layers=5, global_attn_every_n_layers=2, global_rope_theta=50.0, local_rope_theta=20.0
    )
    newer = read(
        num_hidden_layers=5,
        layer_types=[G, L, G, L, G],
        rope_parameters={
            G: {"rope_type": "default", "rope_theta": 50.0},
            L: {"rope_type": "default", "rope_theta": 20.0},
        },
    )
    assert older == newer
    assert kinds(older) == [G, L, G, L, G]
    layers = older.encoder.each_layer()
    assert [layer.position and layer.position.base for layer in layers] == [None, 20.0, None, 20.0, None]
    assert older.position.base == 50.0
    assert [layer.attention_norm and layer.attention_norm.type for layer in layers] == ["none", *[None] * 4]


@pytest.mark.parametrize("types", [[L, L, G], [G, G], [L], [G, L, L, G, L], [L, G, G, L, L, G]])
def test_any_order_of_the_layers_is_written_and_read_again(types):
    spec = read(num_hidden_layers=len(types), layer_types=types)
    assert kinds(spec) == types
    config = MODERNBERT.to_config(spec)
    assert canonical(spec_of(MODERNBERT, {"model_type": "modernbert", **config})) == canonical(spec)
    assert ("layer_types" in config) == (types not in ([G, G], [G, L, L, G, L]))


@pytest.mark.parametrize("local_attention", [8, 9])
def test_sequences_longer_than_the_window_give_the_references_numbers(local_attention):
    pytest.importorskip("transformers")
    from zoo.interop.certify import random_reference
    from zoo.interop.hugging_face import from_hf

    reference = random_reference(MODERNBERT, {**SMALL, "local_attention": local_attention}, seed=1)
    _, model = from_hf(reference)
    tokens = torch.randint(6, 31, (3, 53))
    mask = torch.arange(53) < torch.tensor([[53], [17], [40]])
    theirs = reference(tokens, attention_mask=mask.long()).logits
    ours = model(tokens, mask=mask)
    assert_close(ours[mask], theirs[mask], rtol=0, atol=2e-5 * float(theirs.detach().abs().max()))
