"""Sampling: what is drawn from, against transformers, and that it is drawn fairly and again the same."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from registry import parse
from zoo.assembly.build import build
from zoo.errors import DivergedError
from zoo.generation.strategies.sampling import Sampling, _drawn
from zoo.kinds import DECODING, MODEL
from zoo.special_ids import BOS, EOS, PAD

V = 23


def sampling(**given: Any) -> Sampling:
    built: Sampling = DECODING.build(parse(DECODING.entry("sampling").spec, {"type": "sampling", **given}))
    return built


def language_model() -> nn.Module:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    spec = {
        "type": "decoder_only",
        "d_model": 8,
        "tokens": {"type": "tokens", "vocab_size": V},
        "decoder": {"n_layers": 2, "layer": layer},
        "head": {"type": "language_model", "predicts": "tokens", "tied": False},
    }
    torch.manual_seed(3)
    model = build(parse(MODEL.entry("decoder_only").spec, spec, path="model"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 2)
    return model.eval()


SETTINGS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.7},
    {"top_k": 4},
    {"top_p": 0.6},
    {"top_p": 0.01},
    {"min_p": 0.2},
    {"repetition_penalty": 1.7},
    {"repetition_penalty": 0.4},
    {"no_repeat_ngram": 1},
    {"no_repeat_ngram": 2},
    {"no_repeat_ngram": 3},
    {"min_length": 5},
    {
        "temperature": 1.3, "top_k": 12, "top_p": 0.8, "min_p": 0.05, "repetition_penalty": 1.3,
        "no_repeat_ngram": 2, "min_length": 4,
    },
]  # fmt: skip


@pytest.mark.parametrize("n_written", [0, 4, 9])
@pytest.mark.parametrize("given", SETTINGS, ids=str)
def test_what_is_drawn_from_is_what_transformers_draws_from(given: dict[str, Any], n_written: int) -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(n_written)
    scores = 2 * torch.randn(3, V)
    before = torch.randint(4, 8, (3, 9))
    chain: Tensor = scores
    steps = []
    if "repetition_penalty" in given:
        steps.append(transformers.RepetitionPenaltyLogitsProcessor(given["repetition_penalty"]))
    if "no_repeat_ngram" in given:
        steps.append(transformers.NoRepeatNGramLogitsProcessor(given["no_repeat_ngram"]))
    if "min_length" in given:
        # Of a decoder-only model's new tokens; there the prompt's length is given.
        length, n = before.shape[1] - n_written, given["min_length"]
        steps.append(transformers.MinNewTokensLengthLogitsProcessor(length, n, EOS))
    if "temperature" in given:
        steps.append(transformers.TemperatureLogitsWarper(given["temperature"]))
    if "top_k" in given:
        steps.append(transformers.TopKLogitsWarper(given["top_k"]))
    if "top_p" in given:
        steps.append(transformers.TopPLogitsWarper(given["top_p"]))
    if "min_p" in given:
        steps.append(transformers.MinPLogitsWarper(given["min_p"]))
    for step in steps:
        chain = step(before, chain.clone())
    search, n = sampling(**given), before.shape[1] - n_written
    found = search.narrowed(search.constraints(scores, before[:, :n], before[:, n:]))
    torch.testing.assert_close(found, chain)


def test_tokens_come_as_often_as_they_are_probable() -> None:
    model, n = language_model(), 1500
    prompts = torch.randint(4, V, (n, 3), generator=torch.Generator().manual_seed(5))
    # One step each: what is drawn first, over many prompts, against the sum of their probabilities.
    found = sampling(max_length=1)(model, prompts)
    first: Counter[int] = Counter(
        hypotheses[0].tokens[0] if hypotheses[0].tokens else EOS for hypotheses in found
    )
    with torch.no_grad():
        logits = model(prompts)[:, -1].double()
    logits[:, [PAD, BOS]] = -math.inf
    p = logits.softmax(-1)
    for token in range(V):
        mean, deviation = float(p[:, token].sum()), float((p * (1 - p))[:, token].sum().sqrt())
        assert abs(first[token] - mean) <= 4 * deviation + 3 * (0 < mean < 3), (
            token
        )  # few are no normal distribution


def test_numbers_spread_evenly_draw_each_token_by_its_share() -> None:
    scores = torch.tensor([0.1, 0.0, 0.4, 0.2, 0.3]).log()  # of the second none
    numbers = [(i + 0.5) / 1000 for i in range(1000)]
    counts = Counter(_drawn(scores.expand(1000, -1), numbers).tolist())
    assert counts == {0: 100, 2: 400, 3: 200, 4: 300}
    assert _drawn(scores[None], [0.0]).tolist() == [0]
    assert _drawn(scores[None], [math.nextafter(1.0, 0)]).tolist() == [4]


def test_an_output_depends_on_seed_and_input_and_not_on_the_batch() -> None:
    model = language_model()
    prompts = torch.tensor([[5, 6, 7, 8], [9, 4, 0, 0], [11, 0, 0, 0], [5, 6, 7, 8]])
    mask = prompts != 0
    given = {"max_length": 12, "top_p": 0.95, "repetition_penalty": 1.1, "no_repeat_ngram": 3}
    together = [found[0] for found in sampling(**given)(model, prompts, mask)]
    assert together[0].tokens == together[3].tokens
    for row, expected in zip(prompts, together, strict=True):
        (alone,) = sampling(**given)(model, row[row != 0][None])
        assert alone[0].tokens == expected.tokens
        assert alone[0].score == pytest.approx(expected.score, rel=1e-4)
    other = [found[0].tokens for found in sampling(**given, seed=2)(model, prompts, mask)]
    assert other != [hypothesis.tokens for hypothesis in together]
    assert len({tuple(hypothesis.tokens) for hypothesis in together}) == 3


def test_the_score_is_the_models_own_log_probability() -> None:
    model = language_model()
    prompt = torch.tensor([[5, 6, 7]])
    for seed in range(5):
        ((found,),) = sampling(max_length=9, temperature=2.0, top_k=9, seed=seed)(model, prompt)
        row = torch.tensor([[5, 6, 7, *found.tokens, EOS]])
        with torch.no_grad():
            log_probs = model(row)[0].log_softmax(-1)
        expected = sum(float(log_probs[2 + i, token]) for i, token in enumerate(row[0, 3:].tolist()))
        assert found.score == found.log_probability == pytest.approx(expected, rel=1e-4)
        assert not {PAD, BOS} & set(found.tokens)


def test_almost_cold_it_is_greedy_and_it_keeps_what_was_asked() -> None:
    model = language_model()
    prompts = torch.randint(4, V, (7, 4), generator=torch.Generator().manual_seed(2))
    greedy = DECODING.build(parse(DECODING.entry("greedy").spec, {"type": "greedy", "max_length": 9}))
    expected = [found[0].tokens for found in greedy(model, prompts)]
    for given in ({"top_k": 1}, {"temperature": 1e-3}):
        assert [found[0].tokens for found in sampling(**given, max_length=9)(model, prompts)] == expected
    long = [found[0].tokens for found in sampling(min_length=6, max_length=9)(model, prompts)]
    assert all(6 <= len(tokens) <= 9 for tokens in long)
    for tokens, prompt in zip(
        [found[0].tokens for found in sampling(no_repeat_ngram=1, max_length=9)(model, prompts)],
        prompts.tolist(),
        strict=True,
    ):
        assert len(set(tokens)) == len(tokens)
        assert not set(tokens) & set(prompt)


def test_a_model_without_finite_logits_has_diverged() -> None:
    model = language_model()
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)
    with pytest.raises(DivergedError, match="not finite"):
        sampling(max_length=3)(model, torch.tensor([[5, 6]]))
