"""The masked language model: what is hidden, its loss by the formula, guesses, and what they are scored by."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from torch import nn

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError
from zoo.kinds import MODEL, TASK
from zoo.metrics.masked_tokens import Guesses, MaskedTokensMetric
from zoo.special_ids import BOS, EOS, N_SPECIAL, PAD
from zoo.tasks.answering import answers
from zoo.tasks.masked_language_model import MaskedLanguageModelling
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.task import Refusal, random_of

V = 97
MASK = V - 1


class Parts(Spec):
    model: Annotated[Spec, MODEL]
    task: Annotated[Spec, TASK]

    def contexts(self) -> dict[str, dict[str, Any]]:
        return {"model": {}, "task": {"model": self.model}}


def parts(*, vocab_size: int = V, head: Any = "masked_language_model", **task: Any) -> Parts:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    model = {
        "type": "encoder_only",
        "d_model": 8,
        "inputs": {"type": "tokens", "vocab_size": vocab_size},
        "encoder": {"n_layers": 1, "layer": layer},
        "head": head,
    }
    data = {"type": "grammar_text", "n_train": 23, "n_dev": 9, "n_test": 5}
    return parse(
        Parts,
        {
            "model": model,
            "task": {"type": "masked_language_model", "data": data, "tokenizer": "words", **task},
        },
    )


def made(folder: Path, **task: Any) -> tuple[MaskedLanguageModelling, PreparedTask, nn.Module]:
    spec = parts(**task)
    prepared = prepare(
        spec.task, model=spec.model, folder=folder, tokens_per_batch=150, seed=3, is_resumed=False
    )
    assert isinstance(prepared.task, MaskedLanguageModelling)
    torch.manual_seed(1)
    return prepared.task, prepared, build(spec.model).eval()


def varied(
    task: MaskedLanguageModelling, tokens: Sequence[int], *, row: int = 0, is_training: bool = True
) -> Any:
    return task.vary({"text": np.array(tokens)}, random_of(3, 1, row), is_training=is_training)


@pytest.mark.parametrize(("n", "n_hidden"), [(1, 1), (3, 1), (10, 2), (33, 5)])
def test_the_share_that_the_rate_says_is_hidden_and_at_least_one_token(
    tmp_path: Path, n: int, n_hidden: int
) -> None:
    task, _, _ = made(tmp_path)
    found = varied(task, range(N_SPECIAL, N_SPECIAL + n))
    assert len(found["labels"]) == len(set(found["places"].tolist())) == n_hidden
    assert found["labels"].tolist() == found["original"][found["places"]].tolist()
    elsewhere = np.setdiff1d(np.arange(n), found["places"])
    assert found["tokens"][elsewhere].tolist() == found["original"][elsewhere].tolist()


def test_of_the_hidden_tokens_eight_in_ten_are_masked_one_replaced_and_one_stays(tmp_path: Path) -> None:
    task, _, _ = made(tmp_path, max_length=10**5, rate=0.5)
    tokens = np.resize(np.arange(N_SPECIAL, 90), 40_000)
    found = varied(task, tokens)
    now = found["tokens"][found["places"]]
    shares = [
        np.mean(now == MASK),
        np.mean((now != MASK) & (now != found["labels"])),
        np.mean(now == found["labels"]),
    ]
    assert shares == pytest.approx([0.8, 0.1, 0.1], abs=0.01)  # of the replaced, one in ninety by itself
    assert now[now != MASK].min() >= N_SPECIAL
    assert now[now != MASK].max() < task.tokenizer.vocab_size


def test_each_epoch_hides_anew_and_what_is_measured_is_always_the_same(tmp_path: Path) -> None:
    _, prepared, _ = made(tmp_path)
    key = prepared.epoch(0)[0]
    assert not torch.equal(prepared.batch(key)["places"], prepared.batch(key._replace(epoch=1))["places"])
    dev = prepared.parts("dev")[0]
    assert torch.equal(prepared.part(dev)["tokens"], prepared.part(dev)["tokens"])
    assert not torch.equal(prepared.part(dev)["tokens"], prepared.part(dev)["original"])


@pytest.mark.parametrize("tokenizer", ["words", "characters", "sentencepiece"])
def test_words_are_hidden_as_a_whole_where_that_is_asked(tmp_path: Path, tokenizer: str) -> None:
    task, prepared, _ = made(
        tmp_path, vocab_size=200, tokenizer=tokenizer, whole_words=True, rate=0.3, max_length=120
    )
    texts = [row["text"] for row in prepared._corpus.rows("train", bad_lines=BadLines("error"))]
    text = min((each for each in texts if len(each) > 40), key=len)
    tokens = task.tokenizer.encode([text])[0]
    words = re.findall(r"\w+|[^\w\s]", text)
    for row in range(20):
        places = varied(task, tokens, row=row)["places"]
        shown = "".join(
            re.sub(r"\S", "#", piece) if i in places else piece
            for i, piece in enumerate(spelled(task, tokens))
        )
        hidden = [shown[match.start() : match.end()] for match in re.finditer(r"\w+|[^\w\s]", text)]
        assert "#" in shown
        assert all(set(now) == {"#"} or now == word for now, word in zip(hidden, words, strict=True))
        assert shown.count("#") < len(text) / 2


def spelled(task: MaskedLanguageModelling, tokens: list[int]) -> list[str]:
    """What each token adds to the text; a space stays where it is, whether the token is hidden or not."""
    texts = [""] + [task.tokenizer.decode([tokens[: i + 1]])[0] for i in range(len(tokens))]
    return [after[len(before) :] for before, after in itertools.pairwise(texts)]


@pytest.mark.parametrize("is_training", [True, False])
def test_a_long_text_gives_a_stretch(tmp_path: Path, is_training: bool) -> None:
    task, _, _ = made(tmp_path, max_length=9)
    tokens = list(range(10, 50))
    found = [varied(task, tokens, row=row, is_training=is_training)["original"].tolist() for row in range(30)]
    assert all(each == list(range(each[0], each[0] + 7)) for each in found)
    assert ({each[0] for each in found} == {10}) != is_training


def test_texts_of_which_a_stretch_is_read_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _, prepared, _ = made(tmp_path)
    whole = sorted(len(example["text"]) + 2 for example in prepared._splits["dev"])  # type: ignore[attr-defined]
    assert "longer" not in caplog.text
    bound = whole[5]
    task, _, model = made(tmp_path, max_length=bound)
    n = sum(length > bound for length in whole)
    assert 1 < n < 9
    assert f"{n} of 9 rows are longer than {bound} tokens and cut (task.max_length)" in caplog.text
    rows = [{"text": " ".join(["dog"] * 99)}, {"text": "a dog"}, {"text": "a [MASK] dog"}]
    cuts: list[int] = []
    with torch.no_grad():
        list(answers(task, model, rows, decoding=None, cuts=cuts.extend))
    assert cuts == [99 + 2 - bound, 0, 0]


def test_the_loss_is_the_formulas(tmp_path: Path) -> None:
    task, prepared, model = made(tmp_path)
    batch = prepared.part(prepared.parts("dev")[0])
    loss = task.loss(model, batch, is_training=True)
    expected, n = 0.0, 0
    for example in batch.examples:
        tokens = torch.tensor([[BOS, *example["tokens"].tolist(), EOS]])
        log_probs = torch.log_softmax(model(tokens)[0].detach().double(), -1)
        for place, label in zip(example["places"].tolist(), example["labels"].tolist(), strict=True):
            expected -= float(log_probs[place + 1, label])
            n += 1
    assert batch.get("mask") is not None  # something is padded, and has no influence
    assert loss.n_predicted == n
    assert float(loss.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(loss.nll) == pytest.approx(expected, rel=1e-5)


def test_guesses_are_the_most_probable_tokens_alone_as_in_a_batch(tmp_path: Path) -> None:
    task, prepared, model = made(tmp_path)
    rows = list(prepared._corpus.rows("dev", bad_lines=BadLines("error")))
    with torch.no_grad():
        together = list(answers(task, model, rows, decoding=None))
        for i, (row, found) in enumerate(zip(rows, together, strict=True)):
            example = task.vary(task.read([row], model)[0], random_of(0, 0, i), is_training=False)  # type: ignore[arg-type]
            tokens = torch.tensor([[BOS, *example["tokens"].tolist(), EOS]])
            probs = model(tokens)[0].softmax(-1)[example["places"] + 1]
            assert found.tokens == probs.argmax(-1).tolist()
            assert found.probabilities == pytest.approx(probs.amax(-1).tolist(), rel=1e-5)
            surprise = -probs.log()[range(len(probs)), example["labels"]].sum()
            assert found.nll == pytest.approx(float(surprise), rel=1e-5)


def test_pseudo_perplexity_hides_each_token_alone(tmp_path: Path) -> None:
    task, _, model = made(tmp_path, pseudo_perplexity=True)
    rows = [{"text": "The mother found the book."}, {"text": "The son forgot the old garden key."}]
    metric = task.metric()
    with torch.no_grad():
        list(answers(task, model, rows, decoding=None, metric=metric))
        expected, n = 0.0, 0
        for row in rows:
            tokens = [BOS, *task.tokenizer.encode([row["text"]])[0], EOS]
            for i in range(1, len(tokens) - 1):
                hidden = torch.tensor([[*tokens[:i], MASK, *tokens[i + 1 :]]])
                expected -= float(model(hidden)[0, i].log_softmax(-1)[tokens[i]])
                n += 1
    found = metric.scores(["pseudo_perplexity"]).values["pseudo_perplexity"]
    assert found == pytest.approx(math.exp(expected / n), rel=1e-5)
    assert "pseudo_perplexity" in metric.report


def test_a_users_masks_are_filled_and_nothing_else_is_hidden(tmp_path: Path) -> None:
    task, _, model = made(tmp_path)
    with torch.no_grad():
        (found,) = answers(task, model, [{"text": "The [MASK] found the [MASK]."}], decoding=None)
    known = task.tokenizer.encode(["The", " found the", "."])
    (example,) = task.read([{"text": "The [MASK] found the [MASK]."}], model)
    assert example["marked"].tolist() == [*known[0], MASK, *known[1], MASK, *known[2]]  # type: ignore[index]
    assert len(found.tokens) == 2
    assert found.nll == 0


def test_what_cannot_be_read_is_refused_with_its_reason(tmp_path: Path) -> None:
    task, _, model = made(tmp_path, max_length=8)
    rows = [{"text": ""}, {"text": "a \udcff"}, {"text": "[MASK] " * 9}]
    found = task.read(rows, model)
    assert [each.why if isinstance(each, Refusal) else "" for each in found] == [
        "too short: 0 tokens, and the least is 1",
        "broken UTF-8 at character 3",
        "11 tokens, begin and end included, over task.max_length 8",
    ]


def test_the_mask_is_the_vocabularys_last_id_and_no_token(tmp_path: Path) -> None:
    task, prepared, _ = made(tmp_path)
    assert task.tokenizer.vocab_size == MASK
    assert max(int(prepared.batch(key)["labels"].max()) for key in prepared.epoch(0)) < MASK
    assert any((prepared.batch(key)["tokens"] == MASK).any() for key in prepared.epoch(0))
    assert all((prepared.batch(key)["tokens"][:, 0] == BOS).all() for key in prepared.epoch(0))
    assert any((prepared.batch(key)["tokens"] == PAD).any() for key in prepared.epoch(0))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        (
            {"head": {"type": "token_classifier", "n_classes": 3}},
            "needs a head that predicts a vocabulary; token_classifier",
        ),
        ({"head": "none"}, "needs a head that learns from token labels; none learns nothing"),
        ({"vocab_size": 5}, r"vocab_size \(5\) must be above 5"),
        ({"masked": 0.9, "replaced": 0.2}, r"masked \(0.9\) and replaced \(0.2\) must be at most 1"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        parts(**changes)


def test_scores_by_hand() -> None:
    def guesses(tokens: list[int], nll: float) -> Guesses:
        return Guesses(tokens, [0.5] * len(tokens), nll, "", [])

    one, other = (MaskedTokensMetric(report=["accuracy"], score="accuracy") for _ in range(2))
    one.update([guesses([7, 8], 1.0), Refusal("no")], [{"labels": np.array([7, 9])}, {}])
    other.update([guesses([5], 0.5)], [{"labels": np.array([5])}])
    one.merge(other.state())
    found = one.scores(["accuracy", "loss", "perplexity"])
    assert found.values == pytest.approx({"accuracy": 200 / 3, "loss": 0.5, "perplexity": math.exp(0.5)})
    assert found.n_rows == 2
    with pytest.raises(DataError, match=r"task\.pseudo_perplexity=true"):
        one.scores(["pseudo_perplexity"])


def test_its_vectors_are_those_of_the_text_with_nothing_hidden(tmp_path: Path) -> None:
    task, _, model = made(tmp_path)
    (example,) = task.read([{"text": "the old house sees the small dog"}], model)
    assert not isinstance(example, Refusal)
    batch = task.collate([task.vary(example, random_of(0, 0, 0), is_training=False)])
    with torch.no_grad():
        vectors, mask = task.hidden(model, batch)
        tokens = torch.tensor([[BOS, *example["text"].tolist(), EOS]])
        torch.testing.assert_close(vectors, model.encode(tokens))  # type: ignore[operator]
        assert not torch.allclose(vectors, model.encode(batch["tokens"]))  # type: ignore[operator]
    assert mask is None
