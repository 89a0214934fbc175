"""Positions given to a call: what positional encodings count instead of places."""

import pytest
import torch
from torch.testing import assert_close

from registry import parse
from zoo.assembly.build import build
from zoo.kinds import MODEL

B, T, V, D, H = 2, 7, 31, 12, 3
MULTI_HEAD = {"type": "multi_head", "n_heads": H}
BUCKETS = {"type": "relative_buckets", "n_buckets": 6, "max_distance": 9}
BY_DISTANCE = [
    ("rotary", MULTI_HEAD),
    ("rotary", {"type": "restricted", "n_heads": H, "radius": 2}),
    ("rotary", {"type": "global_local", "n_heads": H, "radius": 2, "n_global": 1}),
    ("rotary", {"type": "latent", "n_heads": H, "d_latent": 7, "d_content": 5, "d_rotated": 4, "d_v": 6}),
    ("alibi", MULTI_HEAD),
    ("alibi", {"type": "additive", "n_heads": H}),
    (BUCKETS, MULTI_HEAD),
    ({"type": "shaw", "radius": 2}, MULTI_HEAD),
    ("none", {"type": "relative", "n_heads": H, "radius": 2}),
    ({"type": "xpos", "scale_base": 5.0, "max_len": 300}, MULTI_HEAD),
    ("key_alibi", MULTI_HEAD),
    ("key_alibi", {"type": "restricted", "n_heads": H, "radius": 2}),
]
BY_PLACE = [
    ({"type": "learned", "max_len": 20}, MULTI_HEAD),
    ({"type": "learned", "max_len": 20, "counts_padding": True}, MULTI_HEAD),
    ("sinusoidal", MULTI_HEAD),
    ({"type": "combined", "embedded": {"type": "learned", "max_len": 20}, "scored": BUCKETS}, MULTI_HEAD),
]
SLOTS = {"decoder_only": ("tokens", "decoder"), "encoder_only": ("inputs", "encoder")}


def cases(placed):
    return [
        pytest.param(name, *each, id=f"{name}-{each[1]['type']}-{each[0]}")
        for each in placed
        for name in SLOTS
        if name == "decoder_only"
        or not any(only_causal in str(each[0]) for only_causal in ("xpos", "key_alibi"))
    ]


def model_of(name, position, attention, **changed):
    slot, stack = SLOTS[name]
    mixing = attention if "self_attention" in attention else {"self_attention": attention}
    data = {
        "d_model": D,
        slot: {"type": "tokens", "vocab_size": V},
        "position": position,
        stack: {"n_layers": 2, "layer": {**mixing, "ffn": {"type": "mlp", "d_ff": 11}}},
        "head": "none",
        **changed,
    }
    torch.manual_seed(0)
    model = build(parse(MODEL.entry(name).spec, data)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


def tokens():
    torch.manual_seed(1)
    return torch.randint(V, (B, T))


def padded():
    """Tokens, the second row of which ends in two that are padding, and their mask."""
    return tokens(), torch.arange(T) < torch.tensor([[T], [T - 2]])


@pytest.mark.parametrize(("name", "position", "attention"), cases(BY_DISTANCE + BY_PLACE))
@torch.no_grad()
def test_the_places_given_as_positions_change_nothing(name, position, attention):
    model, (given, mask) = model_of(name, position, attention), padded()
    plain = model(given, mask=mask)
    assert_close(model(given, mask=mask, positions=torch.arange(T).expand(B, T)), plain)


@pytest.mark.parametrize(("name", "position", "attention"), cases(BY_DISTANCE))
@torch.no_grad()
def test_where_distances_alone_count_shifted_positions_change_nothing_and_wider_ones_do(
    name, position, attention
):
    model, (given, mask) = model_of(name, position, attention), padded()
    plain, places = model(given, mask=mask), torch.arange(T)
    shifted = model(given, mask=mask, positions=places + torch.tensor([[5], [11]]))
    assert_close(shifted, plain)
    assert (model(given, mask=mask, positions=2 * places.expand(B, T)) - plain).abs().max() > 1e-4


@pytest.mark.parametrize(("position", "attention"), BY_DISTANCE + BY_PLACE, ids=str)
@torch.no_grad()
def test_in_steps_positions_of_all_tokens_so_far_give_what_they_give_at_once(position, attention):
    model, given = model_of("decoder_only", position, attention), tokens()
    positions = torch.tensor([[3, 4, 5, 9, 10, 11, 12], [0, 2, 4, 6, 8, 10, 12]])
    cache, found, start = model.new_cache(), [], 0
    for stop in (2, 3, T):
        found.append(model.decode(given[:, start:stop], positions=positions[:, :stop], cache=cache))
        start = stop
    assert_close(torch.cat(found, 1), model.decode(given, positions=positions))


@pytest.mark.parametrize(
    ("position", "attention"),
    [each for each in BY_DISTANCE[:8] + BY_PLACE if each[1]["type"] not in ("restricted", "global_local")],
    ids=str,
)  # a radius is of places
@torch.no_grad()
def test_an_encoder_that_sees_all_knows_order_by_positions_alone(position, attention):
    model, given = model_of("encoder_only", position, attention), tokens()
    order = torch.tensor([[4, 0, 6, 2, 1, 5, 3], [1, 2, 3, 4, 5, 6, 0]])
    mixed = model(given.gather(1, order), positions=order)
    plain = model(given)
    assert_close(mixed, torch.stack([row[places] for row, places in zip(plain, order, strict=True)]))


def encoder_decoder(position, **changed):
    layer = {"self_attention": MULTI_HEAD, "ffn": {"type": "mlp", "d_ff": 11}}
    data = {
        "d_model": D,
        "source": {"type": "tokens", "vocab_size": V},
        "target": {"type": "tokens", "vocab_size": V},
        "position": position,
        "encoder": {"n_layers": 2, "layer": layer},
        "decoder": {"n_layers": 2, "layer": {**layer, "cross_attention": MULTI_HEAD}},
        "head": "none",
        **changed,
    }
    torch.manual_seed(0)
    model = build(parse(MODEL.entry("encoder_decoder").spec, data)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.mark.parametrize(
    "position", ["rotary", "alibi", BUCKETS, {"type": "learned", "max_len": 20}], ids=str
)
@torch.no_grad()
def test_an_encoder_and_its_decoder_each_count_positions_of_their_own(position):
    model, places = encoder_decoder(position), torch.arange(T).expand(B, T)
    source, order = tokens(), torch.tensor([[4, 0, 6, 2, 1, 5, 3], [1, 2, 3, 4, 5, 6, 0]])
    target = torch.randint(V, (B, 5))
    plain = model(source, target)
    given = {"source_positions": places, "target_positions": places[:, :5]}
    assert_close(model(source, target, **given), plain)
    # A memory is a set: mixed with its positions it is the same one.
    assert_close(model(source.gather(1, order), target, source_positions=order), plain)
    for name, positions in given.items():
        assert (model(source, target, **{**given, name: 2 * positions}) - plain).abs().max() > 1e-4
    memory, cache, found = model.encode(source), model.new_cache(), []
    wide = 2 * places[:, :5]
    for start, stop in ((0, 2), (2, 3), (3, 5)):
        found.append(
            model.decode(target[:, start:stop], memory, target_positions=wide[:, :stop], cache=cache)
        )
    assert_close(torch.cat(found, 1), model(source, target, target_positions=wide))


def test_an_encoder_whose_embedding_counts_places_takes_no_positions():
    counting = {"type": "factorised_tokens", "vocab_size": V, "d_embedding": 6,
                "position": {"type": "learned", "max_len": 9}}  # fmt: skip
    model = encoder_decoder("none", source=counting)
    with pytest.raises(ValueError, match="the embedding counts the places of a row itself"):
        model(tokens(), tokens(), source_positions=torch.arange(T).expand(B, T))


@torch.no_grad()
def test_packed_by_hand_two_texts_count_each_for_itself():
    model, given = model_of("encoder_only", {"type": "learned", "max_len": 5}, MULTI_HEAD), tokens()
    documents = (torch.arange(T) >= 4).long().expand(B, T)
    positions = torch.tensor([0, 1, 2, 3, 0, 1, 2]).expand(B, T)
    assert_close(model(given, documents=documents, positions=positions), model(given, documents=documents))
    assert_close(model(given, documents=documents, positions=positions)[:, 4:], model(given[:, 4:]))


@torch.no_grad()
def test_gpt2_counts_given_positions_as_transformers_does():
    transformers = pytest.importorskip("transformers")
    import zoo

    torch.manual_seed(2)
    config = transformers.GPT2Config(
        vocab_size=V, n_positions=20, n_embd=D, n_layer=2, n_head=H, attn_implementation="eager"
    )
    theirs = transformers.GPT2LMHeadModel(config).eval()
    _, ours = zoo.from_hf(theirs)
    positions = torch.tensor([[3, 4, 5, 9, 10, 11, 12], [0, 2, 4, 6, 8, 10, 12]])
    expected = theirs(tokens(), position_ids=positions, output_attentions=True)
    assert_close(ours.eval()(tokens(), positions=positions), expected.logits, rtol=1e-4, atol=1e-5)
    assert (theirs(tokens()).logits - expected.logits).abs().max() > 1e-3
    found = zoo.attention_weights(ours, tokens(), positions=positions).found
    for attention, weights in zip(found, expected.attentions, strict=True):
        assert_close(attention.weights, weights, rtol=1e-4, atol=1e-5)
        assert_close(attention.weights.sum(-1), torch.ones(B, H, T))


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (torch.zeros(B, T), "positions must be int64, not torch.float32"),
        (torch.zeros(B, T - 1).long(), r"positions must have the shape \[2, 7\].*not \[2, 6\]"),
        (torch.zeros(1, T).long(), r"positions must have the shape \[2, 7\].*not \[1, 7\]"),
        (torch.arange(T).expand(B, T) - 1, "positions must be 0 or more, and the least is -1"),
    ],
)
def test_what_are_no_positions_of_these_tokens_is_refused(positions, message):
    with pytest.raises(ValueError, match=message):
        model_of("decoder_only", "rotary", MULTI_HEAD)(tokens(), positions=positions)


@pytest.mark.parametrize(
    ("name", "position", "attention", "changed", "message"),
    [
        ("encoder_only", {"type": "relative_embeddings", "span": 3}, {"type": "disentangled", "n_heads": H}, {},
         "relative_embeddings tell places apart"),
        ("encoder_only", {"type": "convolutional", "kernel_size": 3, "n_groups": 2}, MULTI_HEAD, {},
         "a convolution knows neighbours only"),
        ("encoder_only", {"type": "sinusoidal_2d", "height": 4, "width": 3}, MULTI_HEAD, {}, "sinusoids of a grid"),
        ("decoder_only", {"type": "rotary", "scaling": {"type": "dynamic_ntk", "factor": 2.0, "original_max_len": 9}},
         MULTI_HEAD, {}, "follows the length of a row and takes no positions"),
        ("decoder_only", {"type": "learned", "max_len": T}, MULTI_HEAD, {},
         r"position 9 is beyond max_len \(7\)"),
        ("decoder_only", "none", {"self_attention": None, "mixer": {"type": "retention", "n_heads": H}}, {},
         "retention turns queries and keys by their places"),
        ("encoder_only", "none", MULTI_HEAD,
         {"inputs": {"type": "factorised_tokens", "vocab_size": V, "d_embedding": 6,
                     "position": {"type": "learned", "max_len": 9}}},
         "the embedding counts the places of a row itself"),
    ],
)  # fmt: skip
def test_what_cannot_take_given_positions_says_so(name, position, attention, changed, message):
    model = model_of(name, position, attention, **changed)
    with pytest.raises(ValueError, match=message):
        model(tokens(), positions=torch.arange(3, 3 + T).expand(B, T))


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (True, None, "not given now"),
        (False, 0, "given only now"),
        (True, 1, "of the 3 tokens held are others than before"),
    ],
)
def test_keys_that_are_held_were_counted_by_the_same_positions(first, then, message):
    model, ids = model_of("decoder_only", "rotary", MULTI_HEAD), torch.arange(T).expand(B, T) + 4
    cache = model.new_cache()
    with torch.no_grad():
        model.decode(tokens()[:, :3], positions=ids[:, :3] if first else None, cache=cache)
        with pytest.raises(ValueError, match=message):
            model.decode(tokens()[:, 3:], positions=None if then is None else ids + then, cache=cache)


def test_held_positions_follow_rows_that_are_reordered():
    model, rows = model_of("decoder_only", "rotary", MULTI_HEAD), torch.tensor([1, 1, 0])
    ids, cache = torch.arange(T) + torch.tensor([[0], [5]]), model.new_cache()
    with torch.no_grad():
        model.decode(tokens()[:, :3], positions=ids[:, :3], cache=cache)
        cache.reorder(rows)
        found = model.decode(tokens()[rows, 3:], positions=ids[rows], cache=cache)
        assert_close(found, model.decode(tokens()[rows], positions=ids[rows])[:, 3:])


def test_positions_that_are_no_tensor_or_on_another_device_are_refused():
    model, ids = model_of("decoder_only", "rotary", MULTI_HEAD), torch.arange(T).expand(B, T)
    with pytest.raises(ValueError, match="positions must be a tensor, not a list"):
        model(tokens(), positions=ids.tolist())
    with pytest.raises(ValueError, match="positions are on meta, and the tokens on cpu"):
        model(tokens(), positions=ids.to("meta"))


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(
    ("of", "given", "message"),
    [
        (
            "positions",
            torch.arange(9).expand(B, 9),
            r"must have the shape \[2, 7\], one for each token so far",
        ),
        ("positions", torch.ones(B, T), "must be int64, not torch.float32"),
        ("positions", -torch.ones(B, T).long(), "must be 0 or more, and the least is -1"),
        ("positions", [1, 2], "must be a tensor, not a list"),
        ("mask", torch.ones(B, 9) > 0, r"must have the shape \[B, 7\] for 7 keys, not \[2, 9\]"),
        ("mask", torch.ones(B, T), "must be bool with True for the tokens meant"),
    ],
)
def test_what_is_wrong_with_one_side_of_two_is_told_by_its_name_in_the_call(side, of, given, message):
    attention = {"self_attention": MULTI_HEAD, "ffn": {"type": "mlp", "d_ff": 11}}
    data = {
        "d_model": D,
        "source": {"type": "tokens", "vocab_size": V},
        "target": {"share": "source"},
        "position": "rotary",
        "encoder": {"n_layers": 1, "layer": attention},
        "decoder": {"like": "encoder", "cross_attention": MULTI_HEAD},
        "head": {"type": "language_model", "predicts": "target"},
    }
    model = build(parse(MODEL.entry("encoder_decoder").spec, data))
    with pytest.raises(ValueError, match=f"^{side}_{of} {message}"):
        model(tokens(), tokens(), **{f"{side}_{of}": given})
