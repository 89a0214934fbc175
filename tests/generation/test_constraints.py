"""What an output may not hold, against slow searches written from the definitions."""

from __future__ import annotations

import functools
import math
import random
from typing import Any

import pytest
import torch
from torch import Tensor

from registry import parse
from zoo.generation.constraints import NOTHING, Constraints
from zoo.kinds import DECODING, MODEL
from zoo.special_ids import EOS, SpecialIds

V = 9


class Prompted:
    """Logits drawn at random for each (sentence, prefix), behind prompts of different lengths."""

    room = None

    def __init__(self, seed: int) -> None:
        self.seed, self.prompts = seed, [(4, 5, 4, 6), (7,), (5, 5)]
        self.lengths = [len(prompt) for prompt in self.prompts]
        rows = [[NOTHING] * (4 - len(prompt)) + list(prompt) for prompt in self.prompts]
        self.before, self.sentences = torch.tensor(rows), [0, 1, 2]
        self.rows: list[tuple[int, tuple[int, ...]]] = [(sentence, ()) for sentence in self.sentences]

    @functools.cache  # noqa: B019
    def logits(self, sentence: int, prefix: tuple[int, ...]) -> tuple[float, ...]:
        draw = random.Random(repr((self.seed, sentence, prefix)))
        return tuple(draw.gauss(0.5 if token == EOS else 0.0, 2.0) for token in range(V))

    def start(self) -> Tensor:
        return torch.tensor([self.logits(*row) for row in self.rows], dtype=torch.float64)

    def step(self, tokens: Tensor) -> Tensor:
        self.rows = [(s, (*prefix, t)) for (s, prefix), t in zip(self.rows, tokens.tolist(), strict=True)]
        return self.start()

    def reorder(self, rows: Tensor) -> None:
        self.rows = [self.rows[row] for row in rows.tolist()]

    def select(self, sentences: Tensor) -> None:
        pass


def slow_scores(
    scores: list[float], prompt: tuple[int, ...], written: tuple[int, ...], given: dict[str, Any]
) -> Any:
    """The definition, token by token."""
    tokens, n = (*prompt, *written), given.get("no_repeat_ngram", 0)
    known = {tokens[i : i + n] for i in range(len(tokens) - n + 1)} if n else set()
    penalty, ids = given.get("repetition_penalty", 1.0), SpecialIds(**given.get("ids", {}))
    found = []
    for token, score in enumerate(scores):
        value = (score * penalty if score < 0 else score / penalty) if token in tokens else score
        is_out = n > 0 and (*tokens, token)[-n:] in known
        is_out |= token in ids.ends and len(written) < given.get("min_length", 0)
        is_out |= token in ids.never or (not written and token in ids.not_first)
        found.append(-math.inf if is_out else value)
    if max(found) == -math.inf:
        found[EOS] = scores[EOS]
    return found


def log_softmax(logits: tuple[float, ...]) -> list[float]:
    total = math.log(sum(math.exp(x) for x in logits))
    return [x - total for x in logits]


def slow_greedy(
    model: Prompted, sentence: int, limit: int, given: dict[str, Any]
) -> tuple[tuple[int, ...], float]:
    written: tuple[int, ...] = ()
    total = 0.0
    while True:
        logits = model.logits(sentence, written)
        scores = slow_scores(list(logits), model.prompts[sentence], written, given)
        token = EOS if len(written) == limit else max(range(V), key=scores.__getitem__)
        total += log_softmax(logits)[token]
        if token == EOS:
            return written, total
        written = (*written, token)


def slow_beam(
    model: Prompted, sentence: int, limit: int, given: dict[str, Any], size: int
) -> list[tuple[float, float, tuple[int, ...]]]:
    """(score, log probability, tokens), best first: of a search that runs to its limit, scores divided by n."""
    live, finished = [(0.0, 0.0, ())], []
    for n in range(1, limit + 2):
        candidates = []
        for total, own, written in live:
            log_probs = log_softmax(model.logits(sentence, written))
            scores = slow_scores(log_probs, model.prompts[sentence], written, given)
            if n > limit:
                scores = [log_probs[token] if token == EOS else -math.inf for token in range(V)]
            candidates += [
                (total + scores[token], own + log_probs[token], written, token)
                for token in range(V)
                if scores[token] > -math.inf
            ]
        candidates = sorted(candidates, key=lambda each: -each[0])[: 2 * size]
        finished += [(total / n, own, text) for total, own, text, token in candidates[:size] if token == EOS]
        live = [(total, own, (*text, token)) for total, own, text, token in candidates if token != EOS][:size]
    return sorted(finished, key=lambda each: -each[0])


def language_model() -> Any:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    spec = {
        "type": "decoder_only",
        "d_model": 8,
        "tokens": {"type": "tokens", "vocab_size": 23},
        "decoder": {"n_layers": 2, "layer": layer},
        "head": {"type": "language_model", "predicts": "tokens", "tied": False},
    }
    torch.manual_seed(3)
    model = MODEL.build(parse(MODEL.entry("decoder_only").spec, spec))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 2)
    return model.eval()


GIVEN: list[dict[str, Any]] = [
    {},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.6},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3},
    {"min_length": 3},
    {"min_length": 30},
    {"ids": {"not_first": [EOS, 5, 7]}},
    {"ids": {"never": [0, 2, 5, 8]}},
    {
        "repetition_penalty": 1.2,
        "no_repeat_ngram": 2,
        "min_length": 2,
        "ids": {"never": [0], "not_first": [4, 5]},
    },
]


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_greedy_is_the_plain_search(given: dict[str, Any]) -> None:
    for seed in range(8):
        spec = parse(DECODING.entry("greedy").spec, {"type": "greedy", "max_length": 6, **given})
        found = DECODING.build(spec).search(Prompted(seed))
        for sentence, [hypothesis] in enumerate(found):
            written, total = slow_greedy(Prompted(seed), sentence, 6, given)
            assert tuple(hypothesis.tokens) == written
            assert hypothesis.log_probability == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize("given", GIVEN, ids=str)
def test_beams_are_the_plain_search(given: dict[str, Any]) -> None:
    fields = {
        "beam_size": 3,
        "n_best": 3,
        "max_length": "source + 2",
        "length_penalty": {"type": "power", "alpha": 1.0},
    }
    for seed in range(8):
        spec = parse(DECODING.entry("beam").spec, {"type": "beam", **fields, **given})
        found = DECODING.build(spec).search(Prompted(seed))
        for sentence, hypotheses in enumerate(found):
            model = Prompted(seed)
            expected = slow_beam(model, sentence, model.lengths[sentence] + 2, given, 3)[: len(hypotheses)]
            assert [tuple(h.tokens) for h in hypotheses] == [tokens for _, _, tokens in expected]
            for hypothesis, (score, own, _) in zip(hypotheses, expected, strict=True):
                assert hypothesis.score == pytest.approx(score, rel=1e-12)
                assert hypothesis.log_probability == pytest.approx(own, rel=1e-12)


def test_where_everything_is_forbidden_the_end_follows() -> None:
    for name in ("greedy", "beam"):
        given = {"type": name, "max_length": 50, "no_repeat_ngram": 1, "min_length": 40}
        found = DECODING.build(parse(DECODING.entry(name).spec, given)).search(Prompted(1))
        for hypotheses, prompt in zip(found, Prompted(1).prompts, strict=True):
            assert {*hypotheses[0].tokens, *prompt} == {1, 4, 5, 6, 7, 8}


@pytest.mark.parametrize("name", DECODING.names())
def test_constraints_that_forbid_nothing_change_nothing(name: str) -> None:
    """As long as no n-gram is: they are looked for, and none is found."""
    model, prompts = language_model(), torch.tensor([[5, 6, 7, 8], [9, 4, 0, 0], [11, 0, 0, 0]])

    def found(**given: Any) -> Any:
        ids = {"end": [3, *range(12, 23)], **given.pop("ids", {})}
        spec = parse(DECODING.entry(name).spec, {"type": name, "max_length": 9, **given, "ids": ids})
        return DECODING.build(spec)(model, prompts, prompts != 0)

    assert found() == found(no_repeat_ngram=14)
    assert found() == found(ids={"not_first": [7000]})
    assert found(ids={"end": 3}) != found(ids={"end": 3}, no_repeat_ngram=1)


@pytest.mark.parametrize("given", [{"no_repeat_ngram": 1}, {"repetition_penalty": 2.0}], ids=str)
def test_what_fills_up_a_row_is_no_token(given: dict[str, Any]) -> None:
    fields = {"repetition_penalty": 1.0, "no_repeat_ngram": 0, "min_length": 0, "ids": SpecialIds(), **given}
    rules, written = Constraints(**fields), torch.empty(1, 0, dtype=torch.int64)
    scores = torch.randn(1, V, generator=torch.Generator().manual_seed(3))
    found = rules(scores, torch.tensor([[NOTHING, NOTHING, 4, 5]]), written)
    assert torch.equal(found, rules(scores, torch.tensor([[4, 5]]), written))
    assert (found != scores).nonzero()[:, 1].tolist() == [4, 5]


def test_of_several_ends_each_is_held_to_what_is_asked() -> None:
    ids = SpecialIds(end=(3, 5), not_first=(5,))
    rules = Constraints(repetition_penalty=1.0, no_repeat_ngram=0, min_length=0, ids=ids)
    scores = torch.randn(4, V, generator=torch.Generator().manual_seed(2))
    found = rules(scores, torch.tensor([[4], [6]]), torch.empty(4, 0, dtype=torch.int64))
    assert (found[:, 5] == -math.inf).all()
    assert torch.equal(found[:, [0, 1, 2, 3, 4, 6, 7, 8]], scores[:, [0, 1, 2, 3, 4, 6, 7, 8]])
    rules = Constraints(repetition_penalty=1.0, no_repeat_ngram=0, min_length=1, ids=ids)
    found = rules(scores, torch.tensor([[4], [6]]), torch.empty(4, 0, dtype=torch.int64))
    assert (found[:, [3, 5]] == -math.inf).all()


def test_only_what_is_asked_costs_anything() -> None:
    def rules(**given: Any) -> Constraints:
        fields = {"repetition_penalty": 1.0, "no_repeat_ngram": 0, "min_length": 0, "ids": SpecialIds()}
        return Constraints(**{**fields, **given})

    assert not rules().act(0)
    assert [rules(min_length=2).act(n) for n in range(4)] == [True, True, False, False]
    assert [rules(ids=SpecialIds(not_first=(4,))).act(n) for n in range(2)] == [True, False]
    assert rules(no_repeat_ngram=3).act(7)
    assert rules(repetition_penalty=0.9).act(7)
