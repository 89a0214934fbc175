"""Laws that hold for many kinds, each against a part that breaks it."""

from dataclasses import replace
from typing import Literal

import pytest
import torch
from pydantic import Field, field_validator
from torch import nn

from registry import Spec, parse
from zoo.components.attention.multi_head import MultiHeadAttention
from zoo.components.embedding.tokens import TokenEmbedding
from zoo.components.ffn.mlp import MLP
from zoo.components.layout.pre_norm import PreNorm
from zoo.components.norm.layer_norm import LayerNorm
from zoo.components.position.rotary import Rotary
from zoo.conformance.laws import LAWS, laws, part_of
from zoo.conformance.running import broken
from zoo.conformance.trials import require
from zoo.costs import NO_PRODUCTS, Cost
from zoo.kinds import ATTENTION, EMBEDDING, FFN, LAYOUT, NORM, POSITION
from zoo.masks import Mask

MULTI_HEAD = (ATTENTION, {"type": "multi_head", "n_heads": 3, "bias": True}, MultiHeadAttention)
FEED_FORWARD = (FFN, {"type": "mlp", "d_ff": 5}, MLP)
NORMED = (NORM, {"type": "layer_norm"}, LayerNorm)
TOKENS = (EMBEDDING, {"type": "tokens", "vocab_size": 9}, TokenEmbedding)
LAID_OUT = (LAYOUT, {"type": "pre_norm"}, PreNorm)


def of_the_batch(out, x):
    return out + x.mean(dim=0)


def of_long_sequences(out, x):
    return out if x.shape[1] > 1 else out[:, 0]


def of_double_precision(out, x):
    return out.double()


def of_large_numbers(out, x):
    return out + 300 - 300


def beside_a_tensor_of_the_cpu(out, x):
    return out + torch.ones(out.shape[-1], dtype=out.dtype, device="cpu")


def by_its_numbers(out, x):
    return out if x.sum() > 0 else out + 1


def by_a_number(out, x):
    return out * x.sum().item()


BROKEN = [
    ("a_row_alone_equals_the_row_in_a_batch", MULTI_HEAD, of_the_batch, "a row alone"),
    ("a_row_alone_equals_the_row_in_a_batch", FEED_FORWARD, of_the_batch, "a row alone"),
    ("a_row_alone_equals_the_row_in_a_batch", LAID_OUT, of_the_batch, "a row alone"),
    ("one_row_of_one_place_is_enough", MULTI_HEAD, of_long_sequences, r"output \[1, 12\], wanted"),
    ("one_row_of_one_place_is_enough", NORMED, of_long_sequences, r"output \[1, 12\], wanted"),
    ("single_precision_is_kept_and_close", FEED_FORWARD, of_double_precision, "float32 is torch.float64"),
    ("half_precision_is_kept_and_drifts_little", MULTI_HEAD, of_large_numbers, "bfloat16 and float64 differ"),
    ("half_precision_is_kept_and_drifts_little", NORMED, of_double_precision, "bfloat16 is torch.float64"),
    ("everything_is_made_where_the_input_is", MULTI_HEAD, beside_a_tensor_of_the_cpu, "device"),
    ("everything_is_made_where_the_input_is", FEED_FORWARD, by_a_number, "meta"),
    ("it_compiles_as_one_graph", FEED_FORWARD, by_its_numbers, "ata-dependent"),
    ("it_exports", FEED_FORWARD, by_its_numbers, "ata-dependent"),
]


def verdict(law, kind, spec):
    """How the part that a spec describes breaks a law."""
    part = part_of(kind, spec)
    (found,) = [each for each in laws(part) if each.name == law]
    return broken(found, part)


@pytest.mark.parametrize(
    ("law", "of", "change", "match"), BROKEN, ids=[f"{law}-{i}" for i, (law, *_) in enumerate(BROKEN)]
)
def test_a_law_catches_a_part_that_breaks_it(monkeypatch, law, of, change, match):
    kind, data, cls = of
    true = cls.forward
    monkeypatch.setattr(
        cls, "forward", lambda self, x, *given, **named: change(true(self, x, *given, **named), x)
    )
    with pytest.raises(AssertionError, match=match):
        require(False, verdict(law, kind, parse(kind.entry(data["type"]).spec, data)))


def attend_otherwise(monkeypatch, change):
    true = MultiHeadAttention.forward

    def attend(self, query, memory=None, *, mask, position, cache):
        memory, mask = change(memory, mask)
        return true(self, query, memory, mask=mask, position=position, cache=cache)

    monkeypatch.setattr(MultiHeadAttention, "forward", attend)


def found_of_attention(law):
    kind, data, _ = MULTI_HEAD
    return verdict(law, kind, parse(kind.entry("multi_head").spec, data))


def test_a_radius_that_is_forgotten_or_counted_wrongly_is_caught(monkeypatch):
    wrong = "an output under a radius against its window alone"
    attend_otherwise(monkeypatch, lambda memory, mask: (memory, Mask(causal=mask.causal, keys=mask.keys)))
    assert found_of_attention("a_radius_hides_what_is_farther").startswith(wrong)
    monkeypatch.undo()
    attend_otherwise(
        monkeypatch,
        lambda memory, mask: (
            memory,
            mask if mask.radius is None else Mask(causal=mask.causal, radius=mask.radius + 1),
        ),
    )
    assert found_of_attention("a_radius_hides_what_is_farther").startswith(wrong)


def test_padding_is_caught_that_is_thought_to_stand_at_the_end(monkeypatch):
    def at_the_end(memory, mask):
        if mask.keys is None:
            return memory, mask
        counts = mask.keys.sum(dim=1, keepdim=True)
        return memory, Mask(causal=mask.causal, keys=torch.arange(mask.keys.shape[1]) < counts)

    attend_otherwise(monkeypatch, at_the_end)
    assert "padding before them changed" in found_of_attention("padded_tokens_have_no_influence")


def test_a_memory_that_is_passed_over_in_silence_is_caught(monkeypatch):
    attend_otherwise(monkeypatch, lambda memory, mask: (None, mask))
    assert "nothing is said" in found_of_attention("more_queries_than_keys_are_refused")


def test_scores_that_depend_on_more_than_the_distance_are_caught(monkeypatch):
    true = Rotary.rotate

    def larger_later(self, x, *, mask):
        return true(self, x, mask=mask) * torch.arange(1, x.shape[2] + 1)[:, None]

    monkeypatch.setattr(Rotary, "rotate", larger_later)
    spec = parse(POSITION.entry("rotary").spec, {"type": "rotary"})
    assert "one place further" in verdict("scores_depend_on_distance_alone", POSITION, spec)


class WrongSpec(Spec):
    type: Literal["wrong"] = "wrong"
    n_wide: int = Field(5, ge=1)
    """Its width."""

    @field_validator("n_wide")
    @classmethod
    def widened(cls, value):
        return value + 1

    def n_parameters(self, *, d_model: int) -> int:
        return d_model * self.n_wide

    def cost(self, *, d_model: int, batch) -> Cost:
        return NO_PRODUCTS


class Wrong(nn.Module):
    """Whose spec is read otherwise than written, whose formulas forget a matrix, which nothing draws."""

    def __init__(self, *, d_model: int, n_wide: int) -> None:
        super().__init__()
        self.inner, self.outer = (
            nn.Linear(d_model, n_wide, bias=False),
            nn.Parameter(torch.zeros(n_wide, d_model)),
        )

    def forward(self, x):
        return self.inner(x) @ self.outer


@pytest.fixture
def wrong(monkeypatch):
    FFN.names()
    monkeypatch.setattr(FFN, "_entries", dict(FFN._entries))
    FFN.register("wrong", spec=WrongSpec)(Wrong)
    return WrongSpec(n_wide=6)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        ("the_spec_round_trips", "WrongSpec(type='wrong', n_wide=7) comes back as"),
        ("its_size_is_what_is_built", "its formula says 84 parameters, 168 are built"),
        ("its_cost_is_what_runs", "its formula says 0 operations, torch counts 3360"),
        ("an_initialisation_reaches_every_matrix", "outer [7, 12] is not drawn"),
    ],
)
def test_a_spec_that_says_something_else_than_is_built_is_caught(wrong, law, message):
    assert verdict(law, FFN, wrong).startswith(message)


def test_a_cost_that_forgets_the_scores_or_what_they_grow_with_is_caught(monkeypatch):
    spec = ATTENTION.entry("multi_head").spec
    true = spec.cost
    assert found_of_attention("its_cost_is_what_runs") == ""

    def of_one_key(self, *, batch, **context):
        return true(self, batch=replace(batch, memory_length=1), **context)

    monkeypatch.setattr(spec, "cost", lambda self, **context: NO_PRODUCTS)
    assert "for 1 token its formula says 0" in found_of_attention("its_cost_is_what_runs")
    monkeypatch.setattr(spec, "cost", of_one_key)
    assert "for 4 tokens its formula says" in found_of_attention("its_cost_is_what_runs")


def test_a_parameter_that_one_batch_in_a_few_reaches_is_none_without_a_gradient(monkeypatch):
    true, calls = MLP.forward, []

    def seldom(self, x):
        calls.append(x)
        out = true(self, x)
        return out if len(calls) % 4 == 0 else out * 0

    monkeypatch.setattr(MLP, "forward", seldom)
    spec = parse(FFN.entry("mlp").spec, {"type": "mlp", "d_ff": 5})
    assert verdict("every_parameter_gets_a_gradient", FFN, spec) == ""
    assert len(calls) == 4
    monkeypatch.setattr(MLP, "forward", lambda self, x: true(self, x) * 0)
    assert "is zero everywhere" in verdict("every_parameter_gets_a_gradient", FFN, spec)


@pytest.mark.parametrize("kind", sorted(LAWS))
def test_every_law_says_itself_in_a_sentence_and_has_a_name_of_its_own(kind):
    names = [law.name for law in LAWS[kind]]
    assert len(set(names)) == len(names)
    assert [law.name for law in LAWS[kind] if not law.text.endswith(".")] == []


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        ("fork", "is no tuple of steps"),
        (("norm", "add", "sublayr"), "passes a sublayer 0 times"),
        (("fork", "sublayer", "norm"), "has 1 forks before its sublayer and 0 sums behind it"),
        (("norm", "sublayer", "add"), "has 0 forks before its sublayer and 1 sums behind it"),
        (("fork", "add", "sublayer", "add"), "adds before it forks"),
    ],
)
def test_a_wiring_that_leads_nowhere_is_caught(monkeypatch, wiring, message):
    spec = parse(LAYOUT.entry("pre_norm").spec, {"type": "pre_norm"})
    assert verdict("its_wiring_leads_through_a_layer", LAYOUT, spec) == ""
    monkeypatch.setattr(type(spec), "wiring", wiring)
    assert message in verdict("its_wiring_leads_through_a_layer", LAYOUT, spec)
