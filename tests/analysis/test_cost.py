"""Cache, order and ways by formula, against what decoding holds and what outputs really depend on."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest
import torch
from torch import nn

import zoo
import zoo.kernels.attention
from registry import Spec, check
from zoo.analysis.cost import cost
from zoo.assembly.build import build
from zoo.components.attention.multi_head import MultiHeadAttention, MultiHeadAttentionSpec
from zoo.costs import cost as cost_of
from zoo.kinds import ATTENTION, EMBEDDING, MODEL, POSITION
from zoo.masks import Mask
from zoo.sizes import Batch

D, H = 12, 3
NO_POSITION = POSITION.examples("none")[0]


def position_for(spec):
    if spec.type == "disentangled" and spec.position_terms:
        return POSITION.entry("relative_embeddings").spec.model_validate({"span": 4})
    return NO_POSITION


def held_values(held):
    """Numbers that a cache has of tokens so far: what it has reserved beyond them left out."""
    if held is None:
        return 0
    if hasattr(held, "length"):
        return sum(each[:, :, : held.length].numel() for each in (held._keys, held._values))
    return held.keys.numel() + held.values.numel()


@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        "char_gpt",
        "llama3_8b",
        "mistral_7b",
        "gemma2_2b",
        "t5_small",
        "marian_en_de",
        "parser_paper",
    ],
)
def test_the_cache_of_a_token_is_what_decoding_holds(name):
    spec = zoo.load(name, scale="tiny").model
    model, rows, n, memory_length = build(spec).eval(), 2, 7, 7
    cache = model.new_cache()
    with torch.no_grad():
        memory = ()
        if spec.type == "encoder_decoder":
            memory = (model.encode(torch.randint(5, spec.source.vocab_size, (rows, memory_length))),)
        vocabulary = spec.slots[spec.writes].vocab_size
        for _ in range(n):
            model.decode(torch.randint(5, vocabulary, (rows, 1)), *memory, cache=cache)
    held = sum(held_values(layer.own) + held_values(layer.cross_attention) for layer in cache.layers)
    found = cost(spec, batch=rows, length=n)
    assert found.cache_bytes == 4 * held
    assert found.cache_bytes_per_token == 4 * held // (rows * n)
    assert cost(spec, batch=rows, length=n, precision="bf16").cache_bytes == 2 * held


@pytest.mark.parametrize("name", ATTENTION.names())
def test_the_cache_of_an_attention_is_what_it_holds(name):
    for spec in ATTENTION.examples(name):
        position = position_for(spec)
        if check(spec, d_model=D, role="causal", position=position):
            continue  # it writes nothing token by token
        part, hooks = ATTENTION.build(spec, d_model=D), POSITION.build(position, d_model=D, n_heads=H)
        held = part.new_cache()
        with torch.no_grad():
            for i in range(5):
                part(torch.randn(2, 1, D), mask=Mask(causal=True, offset=i), position=hooks, cache=held)
        sizes = Batch(10, 5)
        found = cost_of(ATTENTION, spec, d_model=D, role="causal", position=position, batch=sizes)
        assert 10 * found.cached_per_token + 2 * found.cached == held_values(held)
        assert (
            cost_of(ATTENTION, spec, d_model=D, role="self", position=position, batch=sizes).cached_per_token
            == 0
        )


def layers_until_all_meet(spec, role, n, most=12):
    """How many layers of an attention, each added to its input, it takes until every output depends on every input that
    the mask allows, and the longest chain of them between two positions; found by gradients. None: more than `most`."""
    torch.manual_seed(4)
    position = position_for(spec)
    hooks = POSITION.build(position, d_model=D, n_heads=H).double()
    allowed = torch.ones(n, n).tril().bool() if role == "causal" else torch.ones(n, n, dtype=torch.bool)
    x = torch.randn(1, n, D, dtype=torch.float64, requires_grad=True)
    y = x
    for n_layers in range(1, most + 1):
        part = ATTENTION.build(spec, d_model=D).double().eval()
        y = y + part(y, mask=Mask(causal=role == "causal"), position=hooks, cache=None)
        if bool((depends(y[0], x) | ~allowed).all()):
            return n_layers
    return None


def depends(y, x):
    """Which vector of y depends on which of x, by gradients: y [N, D], x [1, n, D] -> bool [N, n]."""
    way = torch.randn(y.shape[1], dtype=y.dtype)  # not their sum, which a norm keeps the same
    gradients = [torch.autograd.grad(each @ way, x, retain_graph=True)[0][0] for each in y]
    # Rounding is no dependence: a fast Fourier transform spreads it over all places.
    return torch.stack([gradient.norm(dim=1) > 1e-14 for gradient in gradients])


def longest_chain(node, known=None):
    """Operations after each other in the graph of a result: the longest chain of its nodes."""
    known = {} if known is None else known
    if node is None:
        return 0
    if node not in known:
        known[node] = 1 + max((longest_chain(each, known) for each, _ in node.next_functions), default=0)
    return known[node]


def attention_cases():
    for name in ATTENTION.names():
        for i, spec in enumerate(ATTENTION.examples(name)):
            for role in ("self", "causal"):
                if not check(spec, d_model=D, role=role, position=position_for(spec)):
                    yield pytest.param(spec, role, id=f"{name}-{i}-{role}")


@pytest.mark.parametrize(("spec", "role"), list(attention_cases()))
def test_the_longest_way_is_the_layers_it_takes_until_every_output_depends_on_every_input(spec, role):
    for n in (2, 5, 8, 10):
        found = cost_of(ATTENTION, spec, d_model=D, role=role, position=position_for(spec), batch=Batch(n, n))
        path = None if found.mixing is None else found.mixing.path
        assert path == layers_until_all_meet(spec, role, n), n


@pytest.mark.parametrize(("spec", "role"), list(attention_cases()))
def test_operations_after_each_other_grow_with_the_length_as_said(spec, role):
    chains, said = [], []
    for n in (19, 32) if hasattr(spec, "max_whole") else (6, 19):  # blocks, not the whole at one of them
        hooks = POSITION.build(position_for(spec), d_model=D, n_heads=H)
        x = torch.randn(1, n, D, requires_grad=True)
        part = ATTENTION.build(spec, d_model=D)
        out = part(x, mask=Mask(causal=role == "causal"), position=hooks, cache=None)
        chains.append(longest_chain(out.grad_fn))
        found = cost_of(ATTENTION, spec, d_model=D, role=role, position=position_for(spec), batch=Batch(n, n))
        said.append(found.mixing.n_sequential if found.mixing else 0)
    assert said[0] == said[1] <= 1
    assert chains[0] == chains[1]


@pytest.mark.parametrize(
    ("name", "overrides", "n"),
    [
        ("transformer_restricted", [], 30),
        ("transformer_restricted", [], 9),
        ("longformer_base", [], 30),
        ("long_text_classifier", [], 30),
        ("mistral_7b", [], 30),
        ("gemma2_2b", [], 30),
        ("bert_base", [], 30),
        ("gpt2", ["model.decoder.layer.self_attention=none"], 8),
    ],
)
def test_whether_all_positions_of_a_model_meet_is_what_gradients_say(name, overrides, n):
    spec = zoo.load(name, *overrides, scale="tiny").model
    torch.manual_seed(5)
    model = build(spec).double().eval()
    tokens = [torch.randint(5, each.vocab_size, (1, n)) for each in spec.slots.values()]
    met = []
    for name in ("encoder", "decoder"):
        if (stack := getattr(model, name, None)) is None:
            continue
        given = []
        first = stack.register_forward_pre_hook(
            lambda _, args, given=given: given.append(args[0].requires_grad_())
        )
        last = stack.register_forward_hook(lambda _, args, out, given=given: given.append(out[0]))
        model.hidden(*tokens)
        allowed = torch.ones(n, n, dtype=torch.bool)
        met.append(
            bool((depends(given[1], given[0]) | ~(allowed.tril() if name == "decoder" else allowed)).all())
        )
        first.remove()
        last.remove()
    assert cost(spec, length=n).meets is all(met)


class BagSpec(Spec):
    type: Literal["bag"] = "bag"
    writes: ClassVar[None] = None
    vocab_size: int = 31

    @property
    def slots(self):
        return {"inputs": EMBEDDING.entry("tokens").spec(vocab_size=self.vocab_size)}


class Bag(nn.Module):
    """A model of its own, which is no sum of parts: the mean of its tokens' vectors, mapped once."""

    def __init__(self, *, vocab_size):
        super().__init__()
        self.slots = {"inputs": nn.Embedding(vocab_size, 4)}
        self.map = nn.Linear(4, 3, bias=False)

    def forward(self, inputs):
        return self.map(self.slots["inputs"](inputs).mean(dim=1))


def test_a_model_that_is_no_sum_of_parts_is_counted_as_a_whole_and_the_rest_is_not_known(monkeypatch):
    monkeypatch.setattr(MODEL, "_entries", dict(MODEL._entries))
    MODEL.register("bag", spec=BagSpec)(Bag)
    found = cost(BagSpec(), batch=5, length=7)
    assert (found.forward, found.training) == (2 * 5 * 4 * 3, 3 * 2 * 5 * 4 * 3)
    assert (found.path, found.meets, found.n_sequential, found.cache_bytes) == (None, None, None, None)


class OwnSpec(MultiHeadAttentionSpec):
    type: Literal["own_heads"] = "own_heads"


def test_of_an_attention_without_a_formula_operations_are_counted_and_the_rest_is_not_known(monkeypatch):
    monkeypatch.setattr(zoo.kernels.attention, "choose", lambda *args, **rest: "eager")
    monkeypatch.setattr(ATTENTION, "_entries", dict(ATTENTION._entries))
    ATTENTION.register("own_heads", spec=OwnSpec)(type("Own", (MultiHeadAttention,), {}))
    known = zoo.load("quickstart", scale="tiny").model
    heads = known.encoder.layer.self_attention
    layer = known.encoder.layer.model_copy(update={"self_attention": OwnSpec(n_heads=heads.n_heads)})
    spec = known.model_copy(update={"encoder": known.encoder.model_copy(update={"layer": layer})})
    found, other = cost(spec, batch=2, length=9), cost(known, batch=2, length=9)
    assert (found.forward, found.training) == (other.forward, other.training)
    assert (found.path, found.meets, found.n_sequential, found.cache_bytes_per_token) == (
        None,
        None,
        None,
        None,
    )
    assert [part.path for part in found.parts if not part.is_known] == ["model.encoder.layer.self_attention"]
