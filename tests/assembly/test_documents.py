"""Several documents in one row: each gives what it gives alone."""

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.assembly.build import build
from zoo.kinds import MODEL

V, D, H = 31, 12, 3
LENGTHS = [[4, 5, 2], [7, 1, 3], [6, 3]]  # documents of each row; the last row ends in padding
T = 11
MULTI_HEAD = {"type": "multi_head", "n_heads": H}
RESTRICTED = {"type": "restricted", "n_heads": H, "radius": 2}
GLOBAL = {"type": "global_local", "n_heads": H, "radius": 1, "n_global": 1}
RELATIVE = {"type": "relative", "n_heads": H, "radius": 2}
DISENTANGLED = {"type": "disentangled", "n_heads": H}
PLACED = [
    ("sinusoidal", MULTI_HEAD),
    ({"type": "sinusoidal", "counts_padding": True, "max_len": 7}, MULTI_HEAD),
    ({"type": "learned", "max_len": 7}, MULTI_HEAD),
    ({"type": "learned", "max_len": 7, "counts_padding": True}, MULTI_HEAD),
    ("rotary", MULTI_HEAD),
    ({"type": "rotary", "scaling": {"type": "yarn", "factor": 2.0, "original_max_len": 5}}, MULTI_HEAD),
    ("alibi", MULTI_HEAD),
    ("key_alibi", MULTI_HEAD),
    ({"type": "relative_buckets", "n_buckets": 6, "max_distance": 9}, MULTI_HEAD),
    ({"type": "shaw", "radius": 2}, MULTI_HEAD),
    ("learned", RESTRICTED),
    ("rotary", RESTRICTED),
    ("sinusoidal", GLOBAL),
    ("learned", RELATIVE),
    ("sinusoidal", {"type": "additive", "n_heads": H}),
    ({"type": "relative_embeddings", "span": 3}, DISENTANGLED),
]
MODELS = {"decoder_only": ("tokens", "decoder"), "encoder_only": ("inputs", "encoder")}


def model_of(name, position, attention):
    slot, stack = MODELS[name]
    layer = {"self_attention": attention, "ffn": {"type": "mlp", "d_ff": 11}}
    data = {
        "d_model": D,
        slot: {"type": "tokens", "vocab_size": V},
        "position": position,
        stack: {"n_layers": 2, "layer": layer},
        "head": "none",
    }
    torch.manual_seed(0)
    model = build(parse(MODEL.entry(name).spec, data)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def packed():
    """Tokens, document ids and mask of the rows, and where each document stands."""
    torch.manual_seed(1)
    tokens = torch.randint(4, V, (len(LENGTHS), T))
    documents, mask = torch.full((len(LENGTHS), T), 9), torch.zeros(len(LENGTHS), T, dtype=torch.bool)
    places = []
    for row, lengths in enumerate(LENGTHS):
        start = 0
        for i, n in enumerate(lengths):
            documents[row, start : start + n] = i
            mask[row, start : start + n] = True
            places.append((row, slice(start, start + n)))
            start += n
    return tokens, documents, mask, places


CASES = [
    (name, *placed)
    for placed in PLACED
    for name in MODELS
    if (DISENTANGLED if name == "decoder_only" else "key_alibi") not in placed
]


@pytest.mark.parametrize(("name", "position", "attention"), CASES, ids=lambda part: str(part)[:60])
def test_a_packed_row_gives_what_its_documents_give_one_by_one(name, position, attention):
    model = model_of(name, position, attention)
    tokens, documents, mask, places = packed()
    hidden = model(tokens, mask=mask, documents=documents)
    for row, place in places:
        assert_close(hidden[row, place], model(tokens[row : row + 1, place])[0], rtol=1e-9, atol=1e-9)


def test_with_padding_inside_a_document_its_tokens_count():
    model = model_of("encoder_only", {"type": "learned", "max_len": 7}, MULTI_HEAD)
    tokens, documents, mask, _ = packed()
    mask[0, 4:6] = False  # the first two places of the second document
    hidden = model(tokens, mask=mask, documents=documents)
    assert_close(hidden[0, 6:9], model(tokens[:1, 6:9])[0], rtol=1e-9, atol=1e-9)


def test_a_packed_row_is_continued_in_its_last_document():
    model = model_of("decoder_only", "learned", MULTI_HEAD)
    tokens, documents, _, _ = packed()
    whole, cache, steps = model(tokens, documents=documents), model.new_cache(), []
    for start, stop in ((0, 6), (6, 7), (7, T)):
        steps.append(model.decode(tokens[:, start:stop], documents=documents[:, :stop], cache=cache))
    assert_close(torch.cat(steps, 1), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("position", "attention", "message"),
    [
        (
            {"type": "convolutional", "kernel_size": 3, "n_groups": 1},
            MULTI_HEAD,
            "mixes the documents of a row",
        ),
        ({"type": "sinusoidal_2d", "height": 3, "width": 4}, MULTI_HEAD, "know no documents"),
        ({"type": "relative_2d", "height": 3, "width": 4}, MULTI_HEAD, "know no documents"),
        (
            {"type": "rotary", "scaling": {"type": "dynamic_ntk", "factor": 2.0, "original_max_len": 5}},
            MULTI_HEAD,
            "follows the length of a row",
        ),
        ("learned", {"type": "linear", "n_heads": H}, "documents"),
    ],
)
def test_what_cannot_tell_documents_apart_says_so(position, attention, message):
    model = model_of("encoder_only", position, attention)
    tokens, documents, mask, _ = packed()
    with pytest.raises(ValueError, match=message):
        model(tokens, mask=mask, documents=documents)


def test_a_document_in_two_pieces_is_refused():
    model = model_of("encoder_only", "learned", MULTI_HEAD)
    tokens, documents, mask, _ = packed()
    documents[0, 9:] = 0
    with pytest.raises(ValueError, match="documents must stand in one piece each"):
        model(tokens, mask=mask, documents=documents)
