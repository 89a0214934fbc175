import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

import zoo
from registry import SpecError, parse
from zoo.components.embedding.factorised_tokens import FactorisedTokens, FactorisedTokensSpec
from zoo.kinds import MODEL

D, E, V = 6, 4, 13
LAYER = {"self_attention": {"type": "multi_head", "n_heads": 2}, "ffn": {"type": "mlp"}}
IDS = torch.tensor([[4, 7, 4, 0, 12], [9, 1, 12, 3, 2]])


def embedding(**changes):
    torch.manual_seed(0)
    spec = parse(FactorisedTokensSpec, {"vocab_size": V, "d_embedding": E, **changes})
    fields = {name: getattr(spec, name) for name in FactorisedTokensSpec.model_fields if name != "type"}
    return FactorisedTokens(d_model=D, **fields)


def model(data):
    return zoo.build(parse(MODEL.entry(data["type"]).spec, data))


def test_positions_and_norm_come_before_the_projection():
    module = embedding(n_types=2, position={"type": "learned", "max_len": 9})
    types = torch.tensor([[0, 0, 1, 1, 1], [1, 0, 0, 0, 1]])
    summed = module.weight[IDS] + module.types.weight[types] + module.position.table.weight[:5]
    expected = F.linear(F.layer_norm(summed, (E,)), module.to_model.weight, module.to_model.bias)
    assert_close(module(IDS, mask=None, types=types)[0], expected)


def test_padding_does_not_count_among_its_positions():
    module = embedding(position={"type": "learned", "max_len": 9})
    mask = torch.tensor([[True] * 5, [False, False, True, True, True]])
    padded = module(IDS, mask=mask, types=None)[0]
    assert_close(padded[1:, 2:], module(IDS[1:, 2:], mask=None, types=None)[0])


def test_a_decoder_refuses_an_embedding_that_counts_places():
    tokens = {"type": "factorised_tokens", "vocab_size": V, "d_embedding": E}
    data = {
        "type": "decoder_only",
        "d_model": D,
        "position": {"type": "none"},
        "decoder": {"n_layers": 1, "layer": LAYER},
        "head": {"type": "language_model", "predicts": "tokens"},
    }  # fmt: skip
    model({**data, "tokens": tokens})
    with pytest.raises(SpecError, match="counts the places of a sequence"):
        model({**data, "tokens": {**tokens, "position": {"type": "learned", "max_len": 9}}})


def test_an_encoder_whose_embedding_counts_places_refuses_documents():
    data = {
        "type": "encoder_only",
        "d_model": D,
        "inputs": {"type": "factorised_tokens", "vocab_size": V, "d_embedding": E,
                   "position": {"type": "learned", "max_len": 9}},
        "position": {"type": "none"},
        "encoder": {"n_layers": 1, "layer": LAYER},
        "head": {"type": "none"},
    }  # fmt: skip
    encoder = model(data)
    with pytest.raises(ValueError, match="knows no documents"):
        encoder(IDS, documents=torch.zeros_like(IDS))
