"""Operations by formula equal what torch's own counter counts: every preset, and every example of every part."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import presets
import zoo
import zoo.kernels.attention
from registry import Spec
from tests.analysis.inputs import raw_inputs
from zoo.analysis.cost import cost
from zoo.analysis.size import parts_of
from zoo.assembly.build import build
from zoo.components.ffn.mlp import MLPSpec
from zoo.costs import Cost, bias_flops
from zoo.costs import cost as cost_of
from zoo.kinds import ATTENTION, EMBEDDING, FFN, HEAD, LAYOUT, NORM, POSITION
from zoo.masks import Mask
from zoo.sizes import Batch

B, T, S, D, H = 2, 5, 7, 12, 3
NORMS = (NORM.examples("layer_norm")[0], NORM.examples("rms_norm")[0])
NO_POSITION = POSITION.examples("none")[0]


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """All attention by plain products over all pairs, whose operations torch's counter sees."""
    monkeypatch.setattr(zoo.kernels.attention, "choose", lambda *args, **rest: "eager")


def counted(run):
    """Operations of a forward pass and of its backward pass, by torch's counter."""
    with FlopCounterMode(display=False) as forward:
        out = run()
    if not out.requires_grad:
        return forward.get_total_flops(), 0
    with FlopCounterMode(display=False) as backward:
        out.sum().backward()
    return forward.get_total_flops(), backward.get_total_flops()


def unseen(model, rows, n):
    """What plain products work out beyond the windows, forward, of all windowed attentions: a dense oracle's excess."""
    found = 0
    for part in parts_of(model):
        radius = getattr(part.spec, "radius", None)
        if part.kind is not ATTENTION or radius is None or part.spec.type == "relative":
            continue
        sides = 1 if part.context["role"] == "causal" else 2
        window = min(n, sides * radius + 1 + getattr(part.spec, "n_global", 0))
        sizes = part.spec.head_sizes(part.context["d_model"])
        found += part.n_times * 2 * rows * n * (n - window) * part.spec.n_heads * sum(sizes)
    return found


def overcounted(model, rows, n):
    """What torch's counter takes the backward pass of grouped convolutions for beyond their size: it multiplies all
    channels with all, where only those of a group meet."""
    sizes, found = Batch(rows * n, n), 0
    for part in parts_of(model):
        if part.spec.type == "convolutional":
            found += (part.spec.n_groups - 1) * part.cost(batch=sizes).forward
        elif part.spec.type == "depthwise_convolution" and part.spec.kernels == "learned":
            d_model = part.context["d_model"]
            found += part.n_times * (d_model - 1) * 2 * rows * n * d_model * part.spec.width
        elif part.spec.type == "attentive_gru" and part.spec.attention.type == "additive":
            # Two products of its backward pass are written as sums.
            found -= part.n_times * 2 * 2 * rows * n * n * part.context["d_model"]
    return found


def needs_numbers(spec):
    """Whether it is not known without numbers what is worked out: which expert a token goes to, which are global."""
    return spec.type == "mixture_of_experts" or getattr(spec, "n_global", 0) > 0


NAMES = [
    # A row of the paper's tables is another preset's form.
    pytest.param(name, marks=[pytest.mark.slow] if "/" in name else [])
    for name in presets.names()
]


@pytest.mark.parametrize("name", NAMES)
def test_operations_of_a_preset_are_those_that_torch_counts(name):
    rows, n = 2, 13
    spec = zoo.load(name, scale="tiny").model
    model = build(spec, device="cpu" if any(needs_numbers(part.spec) for part in parts_of(spec)) else "meta")
    inputs = [raw_inputs(each, rows, n).to(next(model.parameters()).device) for each in spec.slots.values()]
    forward, backward = counted(lambda: model(*inputs))
    found, excess = cost(spec, batch=rows, length=n), unseen(spec, rows, n)
    assert found.forward == forward - excess
    assert found.training - found.forward == backward - 2 * excess - overcounted(spec, rows, n)


@pytest.mark.parametrize(
    "name", ["transformer_big", "gemma2_2b", "deberta_v3_base", "vit_base", "whisper_small"]
)
def test_operations_of_a_whole_published_model_are_those_that_torch_counts(name):
    spec = zoo.load(name).model
    model = build(spec, device="meta")
    forward, backward = counted(lambda: model(*(raw_inputs(e, 1, 9).to("meta") for e in spec.slots.values())))
    found = cost(spec, length=9)
    assert (found.forward, found.training) == (forward, forward + backward)


def attention_cases():
    for name in ATTENTION.names():
        for i, spec in enumerate(ATTENTION.examples(name)):
            for role in ("self", "causal", "cross"):
                try:
                    spec.check(d_model=D, role=role, position=position_for(spec, role))
                except ValueError:
                    continue
                yield pytest.param(spec, role, id=f"{name}-{i}-{role}")


def position_for(spec, role):
    if spec.type == "disentangled" and spec.position_terms:
        return POSITION.entry("relative_embeddings").spec.model_validate({"span": 4})
    return None if role == "cross" else NO_POSITION


@pytest.mark.parametrize(("spec", "role"), list(attention_cases()))
def test_operations_of_an_attention_are_those_that_torch_counts(spec, role):
    position = position_for(spec, role)
    part = ATTENTION.build(spec, d_model=D)
    memory = torch.randn(B, S, D, requires_grad=True) if role == "cross" else None
    hooks = None if position is None else POSITION.build(position, d_model=D, n_heads=H)
    x, mask = torch.randn(B, T, D, requires_grad=True), Mask(causal=role == "causal")
    forward, backward = counted(lambda: part(x, memory, mask=mask, position=hooks, cache=None))
    batch = Batch(B * T, T, memory_length=S if role == "cross" else None)
    found = cost_of(ATTENTION, spec, d_model=D, role=role, position=position, batch=batch)
    n_keys, excess, unseen_by_torch = batch.n_keys, 0, 0
    if spec.type in ("restricted", "global_local", "chunked"):
        if spec.type == "chunked":
            window = spec.chunk_size
        else:
            window = (1 if role == "causal" else 2) * spec.radius + 1 + getattr(spec, "n_global", 0)
        excess = 2 * B * T * max(0, n_keys - window) * spec.n_heads * sum(spec.head_sizes(D))
    if spec.type == "additive":  # its two products of the backward pass are written as sums
        unseen_by_torch = 2 * 2 * B * T * n_keys * spec.n_heads * spec.head_sizes(D)[0]
    assert (found.forward, found.backward) == (forward - excess, backward - 2 * excess + unseen_by_torch)


@pytest.mark.parametrize(("role", "n"), [("causal", 70), ("causal", 150), ("self", 150), ("cross", 150)])
def test_operations_of_linear_attention_over_long_sequences_are_those_that_torch_counts(role, n):
    spec = ATTENTION.examples("linear")[1]
    part, x = ATTENTION.build(spec, d_model=D), torch.randn(B, n, D, requires_grad=True)
    memory, mask = (
        torch.randn(B, S, D, requires_grad=True) if role == "cross" else None,
        Mask(causal=role == "causal"),
    )
    forward, backward = counted(lambda: part(x, memory, mask=mask, position=None, cache=None))
    batch = Batch(B * n, n, memory_length=S if role == "cross" else None)
    found = cost_of(ATTENTION, spec, d_model=D, role=role, position=None, batch=batch)
    assert (found.forward, found.backward) == (forward, backward)


def other_cases():
    contexts = {
        FFN: {},
        NORM: {},
        LAYOUT: {"norms": NORMS[:1] * 2},
        POSITION: {"n_heads": H},
        HEAD: {"embeddings": dict.fromkeys(("source", "target", "tokens", "inputs"), NARROW)},
    }
    for kind, context in contexts.items():
        for name in kind.names():
            for i, spec in enumerate(kind.examples(name)):
                yield pytest.param(kind, spec, context, id=f"{kind.name}-{name}-{i}")


NARROW = EMBEDDING.entry("tokens").spec.model_validate({"vocab_size": 29, "d_embedding": 5})


def run_part(kind, spec, context):
    given = {**context, "d_model": D}
    if kind is HEAD:
        given["embeddings"] = {
            key: EMBEDDING.build(one, d_model=D) for key, one in context["embeddings"].items()
        }
    if kind is LAYOUT:
        given["dropout"] = 0.0
    part, x = kind.build(spec, **given), torch.randn(B, T, D, requires_grad=True)
    if kind is POSITION:
        return part.embed(x, mask=Mask())
    return part(x, [lambda y: y] * 2) if kind is LAYOUT else part(x)


@pytest.mark.parametrize(("kind", "spec", "context"), list(other_cases()))
def test_operations_of_a_part_are_those_that_torch_counts(kind, spec, context):
    forward, backward = counted(lambda: run_part(kind, spec, context))
    found = cost_of(kind, spec, d_model=D, **context, batch=Batch(B * T, T))
    excess = (spec.n_groups - 1) * found.forward if spec.type == "convolutional" else 0
    assert found.is_known
    assert (found.forward, found.backward) == (forward, backward - excess)


def embedding_cases():
    for name in EMBEDDING.names():
        for i, spec in enumerate(EMBEDDING.examples(name)):
            yield pytest.param(spec, id=f"{name}-{i}")


@pytest.mark.parametrize("spec", list(embedding_cases()))
def test_operations_of_an_embedding_are_those_that_torch_counts(spec):
    n = getattr(spec, "length", None) or T
    part, inputs = EMBEDDING.build(spec, d_model=D), raw_inputs(spec, B, n)
    forward, backward = counted(lambda: part(inputs, mask=None, types=None)[0])
    found = cost_of(EMBEDDING, spec, d_model=D, batch=Batch(B * n, n))
    assert (found.forward, found.backward) == (forward, backward)


@pytest.mark.parametrize("name", POSITION.names())
def test_operations_by_which_positions_bias_scores_are_those_that_torch_counts(name):
    K = 4
    for spec in POSITION.examples(name):
        part = POSITION.build(spec, d_model=H * K, n_heads=H)
        q, k = torch.randn(B, H, T, K), torch.randn(B, H, T, K)
        with FlopCounterMode(display=False) as counter:
            part.bias(q, k, scale=1.0, mask=Mask())
        assert bias_flops(spec, n_heads=H, d_k=K, batch=Batch(B * T, T)) == counter.get_total_flops()


class OwnSpec(MLPSpec):
    type: Literal["own_products"] = "own_products"


class Own(nn.Module):
    """Two products, of which the spec says nothing: what it inherits is another's formula."""

    def __init__(self, *, d_model, **fields):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(d_model, d_model))

    def forward(self, x):
        return x @ self.weight @ self.weight.T


@pytest.fixture
def own(monkeypatch):
    """A feed-forward network without a formula, registered for the time of a test."""
    monkeypatch.setattr(FFN, "_entries", dict(FFN._entries))

    @FFN.register("own_products", spec=OwnSpec)
    def make(*, d_model, d_ff, activation, bias, dropout, output_dropout):
        return Own(d_model=d_model)

    return OwnSpec(d_ff=5)


def test_a_part_without_a_formula_is_counted_on_the_meta_device_and_says_so(own):
    found = cost_of(FFN, own, d_model=D, batch=Batch(B * T, T))
    assert found == Cost(2 * 2 * B * T * D * D, 4 * 2 * B * T * D * D, is_known=False)


class BlindSpec(Spec):
    type: Literal["blind"] = "blind"


def test_a_part_that_does_not_run_without_numbers_is_not_known(monkeypatch):
    monkeypatch.setattr(FFN, "_entries", dict(FFN._entries))

    @FFN.register("blind", spec=BlindSpec)
    def make(*, d_model):
        class Blind(nn.Module):
            def forward(self, x):
                return x if float(x.sum()) > 0 else -x

        return Blind()

    assert cost_of(FFN, BlindSpec(), d_model=D, batch=Batch(B * T, T)) == Cost(is_known=False)
