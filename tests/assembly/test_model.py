"""What every model answers: slots, what it writes, hidden vectors with their mask, a head."""

import pytest
import torch

import zoo
from registry import parse
from zoo.assembly.build import build
from zoo.components.embedding.tokens import TokenEmbedding
from zoo.kinds import MODEL, mask_name, read_slots

V, D, T = 31, 12, 7
LAYER = {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": {"type": "mlp", "d_ff": 11}}
STACK = {"n_layers": 1, "layer": LAYER}
CROSSED = {"n_layers": 1, "layer": {**LAYER, "cross_attention": {"type": "multi_head", "n_heads": 3}}}
TOKENS = {"type": "tokens", "vocab_size": V}
HEAD = {"type": "pooled_classifier", "n_classes": 5, "pool": "mean"}  # heeds its mask
MODELS = {
    "encoder_only": {"inputs": TOKENS, "encoder": STACK},
    "decoder_only": {"tokens": TOKENS, "decoder": STACK},
    "encoder_decoder": {"source": TOKENS, "target": TOKENS, "encoder": STACK, "decoder": CROSSED},
}


def spec_of(name, head=HEAD):
    return parse(MODEL.entry(name).spec, {"d_model": D, **MODELS[name], "head": head})


def model_of(name):
    torch.manual_seed(0)
    return build(spec_of(name)).eval()


def given(model):
    torch.manual_seed(1)
    return {slot: torch.randint(4, V, (2, T)) for slot in model.slots}


@pytest.mark.parametrize("name", MODELS)
def test_spec_and_model_name_the_same_slots_and_what_is_written(name):
    spec, model = spec_of(name), model_of(name)
    assert list(spec.slots) == list(model.slots)
    assert spec.writes == model.writes
    assert all(model.get_submodule(slot) is module for slot, module in model.slots.items())
    assert read_slots(model) == read_slots(spec) == [slot for slot in model.slots if slot != model.writes]


def test_a_shared_embedding_serves_two_slots():
    spec = zoo.load("quickstart").model
    model = build(spec, device="meta")
    assert spec.slots["target"] is spec.slots["source"]
    assert model.slots["target"] is model.slots["source"]


@pytest.mark.parametrize("name", MODELS)
def test_forward_is_the_head_of_the_hidden_vectors_and_their_mask(name):
    model = model_of(name)
    inputs = given(model)
    masks = {mask_name(model, slot): torch.arange(T) < torch.tensor([[T], [4]]) for slot in model.slots}
    hidden, mask = model.hidden(**inputs, **masks)
    assert torch.equal(model(**inputs, **masks), model.head(hidden, mask=mask))
    assert not torch.equal(model(**inputs, **masks), model.head(hidden))


@pytest.mark.parametrize("name", MODELS)
def test_the_mask_that_an_embedding_makes_is_heeded(name, monkeypatch):
    model = model_of(name)
    inputs = given(model)
    hidden_at = torch.arange(T) == 2
    masks = {mask_name(model, slot): (~hidden_at).expand(2, T) for slot in model.slots}
    wanted = model(**inputs, **masks)
    embed = TokenEmbedding.forward

    def hide(self, tokens, *, mask, types):
        return embed(self, tokens, mask=mask, types=types)[0], (~hidden_at).expand(2, T)

    monkeypatch.setattr(TokenEmbedding, "forward", hide)
    assert torch.equal(model(**inputs), wanted)
    if name == "decoder_only":
        assert torch.equal(model.decode(**inputs, cache=model.new_cache()), model.hidden(**inputs)[0])


def test_a_head_may_predict_any_slot_of_its_model():
    for name, slots in (("decoder_only", "tokens"), ("encoder_decoder", "source, target")):
        with pytest.raises(ValueError, match=f"no embedding 'sourc' to predict; .*{slots}"):
            spec_of(name, {"type": "language_model", "predicts": "sourc"})
