"""Every registered component under every law of its kind; and every law against a part that breaks it."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from registry import kinds, parse
from zoo.components.attention.multi_head import MultiHeadAttention
from zoo.components.embedding.tokens import TokenEmbedding
from zoo.components.ffn.mlp import MLP
from zoo.components.head.ctc import CTC
from zoo.components.head.flattened_regression import FlattenedRegression
from zoo.components.head.language_model import LanguageModelHead
from zoo.components.head.pooled_classifier import PooledClassifier
from zoo.components.head.regression import Regression
from zoo.components.initialization.normal import NormalInitialization
from zoo.components.layout.pre_norm import PreNorm
from zoo.components.norm.layer_norm import LayerNorm
from zoo.components.position.learned import Learned
from zoo.components.position.rotary import Rotary
from zoo.conformance.laws import laws, part_of
from zoo.kernels.cache import KeyValueCache, MemoryCache
from zoo.kinds import ATTENTION, EMBEDDING, FFN, HEAD, INITIALIZATION, LAYOUT, MIXER, NORM, POSITION, Position
from zoo.masks import Mask

COMPONENTS = [ATTENTION, MIXER, FFN, NORM, POSITION, LAYOUT, EMBEDDING, HEAD, INITIALIZATION]


def cases():
    for kind in COMPONENTS:
        for name in kind.names():
            for i, spec in enumerate(kind.examples(name)):
                part = part_of(kind, spec)
                for law in laws(part):
                    marks = [pytest.mark.slow] if law.is_slow else []
                    if law.name in part.expected:
                        marks.append(pytest.mark.xfail(reason=part.expected[law.name], strict=True))
                    yield pytest.param(law, part, id=f"{kind.name}-{name}-{i}-{law.name}", marks=marks)


@pytest.mark.parametrize(("law", "part"), list(cases()))
def test_law(law, part):
    law.check(part)


@pytest.mark.parametrize("kind", COMPONENTS, ids=lambda kind: kind.name)
def test_every_component_has_an_example(kind):
    assert kind in kinds()
    assert [name for name in kind.names() if not kind.examples(name)] == []


def wrapped(cls, change):
    """A forward that calls the true one and spoils its output, or its arguments, by `change`."""
    true = cls.forward
    return "forward", lambda self, *given, **named: change(true, self, *given, **named)


def no_gradient(true, self, *given, **named):
    weights = [p for p in self.parameters() if p.requires_grad]
    weights[0].requires_grad_(False)
    out = true(self, *given, **named)
    weights[0].requires_grad_(True)
    return out


def noisy(true, self, *given, **named):
    return true(self, *given, **named) + torch.rand(1, dtype=torch.float64)


def without(*names):
    """Attention that forgets parts of its mask."""

    def attend(true, self, query, memory=None, *, mask, position, cache):
        kept = {name: getattr(mask, name) for name in ("causal", "keys", "offset") if name not in names}
        return true(self, query, memory, mask=Mask(**kept), position=position, cache=cache)

    return attend


def stateful(true, self, *given, **named):
    if not hasattr(self, "hidden_state"):
        self.hidden_state = torch.rand(1, dtype=torch.float64)
    return true(self, *given, **named) + self.hidden_state


def narrow(true, self, *given, **named):
    return true(self, *given, **named)[..., :-1]


def narrow_vectors(true, self, *given, **named):
    vectors, mask = true(self, *given, **named)
    return vectors[..., :-1], mask


def forgotten_mask(true, self, *given, **named):
    return true(self, *given, **named)[0], None


def mixed(true, self, hidden, *, mask=None):
    return true(self, hidden + hidden.mean(dim=1, keepdim=True), mask=mask)


def not_finite(true, self, *given, **named):
    out = true(self, *given, **named)
    return out + (float("nan") if given[0].requires_grad else 0)


def neighbourly(true, self, x):
    return true(self, x) + x.roll(1, dims=1)


def backwards(true, self, x, sublayers):
    return true(self, x, sublayers[::-1])


def remembering(true, self, x):
    """What training changes is out of the state."""
    if self.training:
        self.seen = x.mean()
    return true(self, x) + getattr(self, "seen", 0.0)


LANGUAGE_MODEL = {"type": "language_model", "predicts": "target"}
TOKENS = {"type": "tokens", "vocab_size": 9}
CLASSIFIER = {"type": "pooled_classifier", "n_classes": 3}
MULTI_HEAD = {"type": "multi_head", "n_heads": 3, "bias": True}
BROKEN = [
    ("output_has_its_shape_and_is_finite", ATTENTION, MULTI_HEAD, MultiHeadAttention, narrow),
    ("every_parameter_gets_a_gradient", ATTENTION, MULTI_HEAD, MultiHeadAttention, no_gradient),
    ("every_parameter_gets_a_gradient", FFN, {"type": "mlp", "d_ff": 5}, MLP, no_gradient),
    ("state_round_trips", ATTENTION, MULTI_HEAD, MultiHeadAttention, stateful),
    ("state_round_trips", NORM, {"type": "layer_norm"}, LayerNorm, remembering),
    ("evaluation_is_deterministic", FFN, {"type": "mlp", "d_ff": 5}, MLP, noisy),
    ("future_tokens_have_no_influence", ATTENTION, MULTI_HEAD, MultiHeadAttention, without("causal")),
    ("padded_tokens_have_no_influence", ATTENTION, MULTI_HEAD, MultiHeadAttention, without("keys")),
    ("rows_with_nothing_to_attend_stay_finite", ATTENTION, MULTI_HEAD, MultiHeadAttention, not_finite),
    ("across_two_sequences_the_queries_give_the_shape", ATTENTION, MULTI_HEAD, MultiHeadAttention, narrow),
    ("padding_of_the_memory_has_no_influence", ATTENTION, MULTI_HEAD, MultiHeadAttention, without("keys")),
    ("each_position_by_itself", FFN, {"type": "mlp", "d_ff": 5}, MLP, neighbourly),
    ("each_position_by_itself", NORM, {"type": "layer_norm"}, LayerNorm, neighbourly),
    ("each_sublayer_runs_once_and_in_order", LAYOUT, {"type": "pre_norm"}, PreNorm, backwards),
    ("output_has_its_shape_and_is_finite", EMBEDDING, TOKENS, TokenEmbedding, narrow_vectors),
    ("the_mask_fits_the_vectors", EMBEDDING, TOKENS, TokenEmbedding, forgotten_mask),
    ("padded_vectors_do_not_reach_the_output", HEAD, CLASSIFIER, PooledClassifier, mixed),
    ("output_has_its_shape_and_is_finite", HEAD, LANGUAGE_MODEL, LanguageModelHead, narrow),
    ("in_a_decoder_the_future_is_hidden", ATTENTION, MULTI_HEAD, MultiHeadAttention, without("causal")),
    ("in_an_encoder_padding_is_ignored", ATTENTION, MULTI_HEAD, MultiHeadAttention, without("keys")),
]  # fmt: skip


def part_with(kind, data):
    return part_of(kind, parse(kind.entry(data["type"]).spec, data))


def must_fail(law, kind, data):
    part = part_with(kind, data)
    check = {each.name: each.check for each in laws(part)}[law]
    with pytest.raises(AssertionError, match=r"\w+ "):
        check(part)


@pytest.mark.parametrize(
    ("law", "kind", "data", "cls", "change"), BROKEN, ids=[f"{b[1].name}-{b[0]}" for b in BROKEN]
)
def test_a_law_catches_a_part_that_breaks_it(monkeypatch, law, kind, data, cls, change):
    monkeypatch.setattr(cls, *wrapped(cls, change))
    must_fail(law, kind, data)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "kind", "data", "cls", "change"), BROKEN, ids=[f"{b[1].name}-{b[0]}" for b in BROKEN]
)
def test_few_laws_catch_what_is_wrong_in_one_way(monkeypatch, law, kind, data, cls, change):
    part = part_with(kind, data)
    monkeypatch.setattr(cls, *wrapped(cls, change))
    caught = []
    for each in (each for each in laws(part) if not each.is_slow):
        try:
            each.check(part)
        except Exception:
            caught.append(each.name)
    assert law in caught
    assert len(caught) <= 8, caught


def test_cache_laws_catch_a_cache_that_changes_what_it_holds(monkeypatch):
    append = KeyValueCache.append
    monkeypatch.setattr(KeyValueCache, "append", lambda self, k, v: append(self, k, v * 1.01))
    must_fail("cached_equals_full", ATTENTION, MULTI_HEAD)
    must_fail("in_a_decoder_cached_equals_full", FFN, {"type": "mlp", "d_ff": 5})


@pytest.mark.parametrize(("cls", "name"), [(KeyValueCache, "reorder"), (MemoryCache, "select")])
def test_cache_laws_catch_rows_that_stay_where_they_were(monkeypatch, cls, name):
    true = getattr(cls, name)
    monkeypatch.setattr(cls, name, lambda self, rows: true(self, torch.zeros_like(rows)))
    law = {"reorder": "reordered_rows_continue_what_they_name", "select": "cached_memory_equals_memory"}[name]
    must_fail(law, ATTENTION, MULTI_HEAD)


def test_memory_law_catches_a_memory_that_changes(monkeypatch):
    monkeypatch.setattr(
        MemoryCache,
        "__setattr__",
        lambda self, name, value: object.__setattr__(self, name, None if value is None else value + 1),
    )
    must_fail("cached_memory_equals_memory", ATTENTION, MULTI_HEAD)


def test_meta_law_catches_a_parameter_on_the_cpu(monkeypatch):
    init = MLP.__init__

    def eager(self, **sizes):
        init(self, **sizes)
        self.extra = nn.Parameter(torch.zeros(3, device="cpu"))

    monkeypatch.setattr(MLP, "__init__", eager)
    must_fail("meta_build_has_the_same_shapes", FFN, {"type": "mlp", "d_ff": 5})


def test_position_laws_catch_relative_counting_and_a_lost_feature(monkeypatch):
    monkeypatch.setattr(Learned, "embed", lambda self, x, *, mask: x + self.table(torch.arange(x.shape[1])))
    must_fail("later_positions_alone_equal_those_of_the_whole", POSITION, {"type": "learned", "max_len": 9})
    monkeypatch.setattr(Rotary, "rotate", lambda self, x, *, mask: x[..., 1:])
    must_fail("hooks_keep_their_shapes", POSITION, {"type": "rotary"})


def test_the_law_of_given_positions_catches_those_that_count_places(monkeypatch):
    monkeypatch.setattr(Mask, "query_positions", Mask.query_places)
    monkeypatch.setattr(Mask, "key_positions", Mask.key_places)
    must_fail("given_positions_are_those_that_count", POSITION, {"type": "alibi"})
    monkeypatch.setattr(Mask, "token_positions", lambda self, n, device: self.query_places(n, device))
    must_fail("given_positions_are_those_that_count", POSITION, {"type": "learned", "max_len": 9})


def test_the_law_of_keys_catches_those_that_are_turned_as_queries(monkeypatch):
    project = MultiHeadAttention.project

    def alike(self, query, memory, *, mask, position, cache):
        turning = Position()
        turning.rotate = position.rotate
        return project(self, query, memory, mask=mask, position=turning, cache=cache)

    monkeypatch.setattr(MultiHeadAttention, "project", alike)
    must_fail("keys_turn_by_the_hook_of_keys", ATTENTION, MULTI_HEAD)


def test_loss_law_catches_a_loss_of_other_logits(monkeypatch):
    loss = LanguageModelHead.loss
    monkeypatch.setattr(
        LanguageModelHead,
        "loss",
        lambda self, hidden, labels, **named: loss(self, hidden * 1.1, labels, **named),
    )
    must_fail("the_loss_is_that_of_the_logits", HEAD, LANGUAGE_MODEL)


def mean_loss(true, given, targets, **named):
    sums = true(given, targets, **named)
    return replace(sums, loss=sums.loss / sums.count)


def one_row_counted(true, given, targets, **named):
    return replace(true(given, targets, **named), count=1)


def graph_of_nll(true, given, targets, **named):
    sums = true(given, targets, **named)
    return replace(sums, nll=sums.loss)


@pytest.mark.parametrize("spoilt", [mean_loss, one_row_counted, graph_of_nll])
@pytest.mark.parametrize(
    ("cls", "data"),
    [
        (LanguageModelHead, LANGUAGE_MODEL),
        (PooledClassifier, CLASSIFIER),
        (PooledClassifier, CLASSIFIER | {"n_classes": 1}),
        (CTC, {"type": "ctc", "vocab_size": 5}),
        (Regression, {"type": "regression", "n_outputs": 3}),
        (FlattenedRegression, {"type": "flattened_regression", "n_places": 5, "n_outputs": 3}),
    ],
)
def test_loss_law_catches_sums_that_do_not_add_up(monkeypatch, cls, data, spoilt):
    loss = cls.loss
    monkeypatch.setattr(
        cls, "loss", lambda self, *given, **named: spoilt(partial(loss, self), *given, **named)
    )
    must_fail("the_loss_adds_up", HEAD, data)


def test_initialization_law_catches_a_constant(monkeypatch):
    monkeypatch.setattr(
        NormalInitialization, "__call__", lambda self, model: [nn.init.ones_(p) for p in model.parameters()]
    )
    must_fail("one_seed_gives_one_set_of_weights", INITIALIZATION, {"type": "normal"})
