"""Token tagging: inputs, losses, answers, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import zoo
from registry import SpecError
from zoo.data.labels import Labels
from zoo.data.tokenizers.characters import TrainedCharacters
from zoo.errors import DataError
from zoo.kinds import TASK
from zoo.special_ids import BOS, EOS, N_SPECIAL, UNK
from zoo.tasks.prepared import prepare
from zoo.tasks.tagging import TagAnswer, Tagging
from zoo.tasks.task import Refusal

TAGS = ["N", "V", "X"]


def spec(**changes: Any) -> dict[str, Any]:
    """A small encoder with three tags, its keys changed by dotted paths."""
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12},
        "dropout": 0.0,
    }
    found: dict[str, Any] = {
        "model": {
            "type": "encoder_only",
            "d_model": 8,
            "inputs": {"type": "tokens", "vocab_size": 31},
            "encoder": {"n_layers": 2, "layer": layer},
            "head": {"type": "token_classifier", "n_classes": 3},
        },
        "task": {
            "type": "tagging",
            "data": {"type": "grammar_sentences"},
            "tokenizer": "characters",
            "max_length": 12,
        },
    }
    for path, value in changes.items():
        at = found
        *parents, last = path.split("__")
        for name in parents:
            at = at[name]
        at[last] = value
    return found


def built(**changes: Any) -> tuple[Tagging, nn.Module]:
    """The task with letters as pieces, and its model."""
    run = zoo.load(spec(**changes))
    coders = {"tokenizer": TrainedCharacters.of(list("abcdefg")), "labels": Labels(TAGS)}
    torch.manual_seed(5)
    return TASK.build(run.task, model=run.model, coders=coders), zoo.build(run.model).eval()


def row(tokens: str, tags: str) -> dict[str, Any]:
    return {"tokens": tokens.split(), "tags": tags.split()}


ROWS = [row("ab c", "N V"), row("d", "X"), row("abc de f a", "V V X N")]


def batch_of(task: Tagging, rows: list[dict[str, Any]]) -> Any:
    return task.collate([dict(each) for each in task.encode(rows, is_scored=True)])  # type: ignore[arg-type]


def test_a_word_stands_where_its_first_piece_does() -> None:
    task, _ = built()
    (example,) = task.encode([row("ab c xd", "N V X")], is_scored=False)
    a, b, c, d = (N_SPECIAL + "abcd".index(letter) for letter in "abcd")
    assert example["inputs"].tolist() == [BOS, a, b, c, UNK, d, EOS]  # type: ignore[index]
    assert example["places"].tolist() == [1, 3, 4]  # type: ignore[index]
    assert example["labels"].tolist() == [0, 1, 2]  # type: ignore[index]


def test_a_word_without_a_piece_is_unknown_and_a_text_is_words_with_spaces_between() -> None:
    task, _ = built()
    empty, text = task.encode(
        [{"tokens": ["a", "", "b"], "tags": ["N", "V", "N"]}, {"tokens": "a b", "tags": "N V"}],
        is_scored=True,
    )
    assert empty["inputs"].tolist()[2] == UNK  # type: ignore[index]
    assert empty["places"].tolist() == [1, 2, 3]  # type: ignore[index]
    assert text["labels"].tolist() == [0, 1]  # type: ignore[index]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_that_of_the_formula(smoothing: float) -> None:
    task, model = built(task__label_smoothing=smoothing)
    nll = expected = 0.0
    for given, firsts in zip(ROWS, ([1, 3], [1], [1, 4, 6, 7]), strict=True):
        p = torch.softmax(model(batch_of(task, [given])["inputs"]).double(), 2)[0]  # alone, without padding
        for place, tag in zip(firsts, given["tags"], strict=True):
            target = torch.full((3,), smoothing / 3, dtype=torch.float64)
            target[TAGS.index(tag)] += 1 - smoothing
            expected -= float((target * p.detach()[place].log()).sum())
            nll -= float(p.detach()[place, TAGS.index(tag)].log())
    loss = task.loss(model, batch_of(task, ROWS), is_training=True)
    assert float(loss.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(loss.nll) == pytest.approx(nll, rel=1e-5)
    assert (loss.n_predicted, loss.n_processed) == (7, 5 + 3 + 9)


def test_answers_are_the_heads_and_padding_has_no_influence() -> None:
    task, model = built()
    rows = [row("a b c d e f g a b c", " ".join(["N"] * 10)), *ROWS]
    together = task.predict(model, batch_of(task, rows), decoding=None)
    seen = set()
    for given, answer in zip(rows, together, strict=True):
        batch = batch_of(task, [given])
        logits = model(batch["inputs"])[0, batch["places"]]
        assert isinstance(answer, TagAnswer)
        assert answer.tags == tuple(TAGS[i] for i in logits.argmax(1).tolist())
        probabilities = logits.softmax(1).max(1).values
        torch.testing.assert_close(torch.tensor(answer.probabilities), probabilities, rtol=0, atol=1e-6)
        seen |= {*answer.tags}
    assert len(seen) > 1
    assert task.written(together[2]) == {
        "tags": list(together[2].tags),
        "probabilities": list(together[2].probabilities),
    }


def test_rows_to_answer_need_no_tags_and_what_the_model_cannot_take_is_refused() -> None:
    task, model = built()
    given: list[dict[str, Any]] = [
        {"tokens": ["a"]},
        {"tokens": []},
        {"tokens": ["a", "\udcff"]},
        {"tokens": ["abcdefgabcd"]},
    ]
    plain, empty, broken, long = task.read(given, model)
    assert "tags" not in plain
    assert empty == Refusal("no token in it")
    assert broken == Refusal("broken UTF-8 at character 1")
    assert long == Refusal("13 tokens with the first and the last, but the task takes 12")
    assert len(task.predict(model, task.collate([plain]), decoding=None)[0].tags) == 1  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("given", "reason", "detail"),
    [
        (row("a b", "N"), "unusable tags", "2 tokens, but 1 tags"),
        (row("", ""), "unusable tags", "no token in it"),
        (row("a", "Y"), "unusable tags", "'Y' is no label of the training data (N, V, X)"),
        ({"tokens": ["a"], "tags": ["N\nV"]}, "unusable tags", "a tag with a line end in it"),
        (row("abcdefgabcd", "N"), "over max_length", "13 tokens, over max_length 12"),
    ],
)
def test_rows_that_cannot_be_learnt_say_why(given: dict[str, Any], reason: str, detail: str) -> None:
    task, _ = built()
    (rejected,) = task.encode([given], is_scored=False)
    assert (rejected.reason, rejected.detail) == (reason, detail)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model__head": {"type": "pooled_classifier", "n_classes": 3}},
            "a head that learns from token labels",
        ),
        ({"model__head": {"type": "masked_language_model"}}, "needs a head with n_classes"),
        ({"model__inputs": {"type": "image_patches", "image_size": 8, "patch_size": 4}}, "reads tokens"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_in_the_spec(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        zoo.load(spec(**changes))


def prepared(folder: Path, train: str, *, dev: str = "", **changes: Any) -> Any:
    (folder / "train.conll").write_text(train, encoding="utf-8")
    (folder / "dev.conll").write_text(dev or train, encoding="utf-8")
    files = {split: str(folder / f"{split}.conll") for split in ("train", "dev")}
    data = {"type": "conll", "columns": {"tokens": 1, "tags": 2}, **files}
    run = zoo.load(spec(task__data=data, **changes))
    return prepare(
        run.task, model=run.model, folder=folder, tokens_per_batch=50, seed=1, is_resumed=False  # type: ignore[arg-type]
    )  # fmt: skip


LONG = "a\tN\nb\tV\n\nc\tX\n\nabcdefgabcdef\tN\n"


def test_a_long_sentence_is_left_out_and_counted_or_named_by_its_line(tmp_path: Path) -> None:
    found = prepared(tmp_path, LONG)
    assert found.counts["train"] == {"over max_length": 1}


def test_a_long_sentence_may_be_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.conll:6: 15 tokens, over max_length 12"):
        prepared(tmp_path, LONG, task__too_long="error")


def test_bad_tags_are_named_by_their_line_or_left_out_and_counted(tmp_path: Path) -> None:
    train, bad = "a\tN\nb\tV\nc\tX\n", "a\tN\n\nb\tY\n"
    with pytest.raises(
        DataError, match=r"dev\.conll:3: unusable tags: 'Y' is no label .*task\.bad_lines=skip"
    ):
        prepared(tmp_path, train, dev=bad)
    found = prepared(tmp_path, train, dev=bad, task__bad_lines="skip")
    assert found.counts["dev"] == {"unusable tags": 1}


def test_tags_that_are_not_as_many_as_the_heads_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has 2 labels \(N, V\).* set model\.head\.n_classes=2"):
        prepared(tmp_path, "a\tN\nb\tV\n")


def test_scores_of_spans_need_tags_of_spans(tmp_path: Path) -> None:
    metric = {"type": "tagging", "report": ["accuracy", "f1"]}
    with pytest.raises(
        DataError,
        match=r"asks for scores of spans, and 'N' is no tag of spans.*; task\.metric=tagging asks for",
    ):
        prepared(tmp_path, LONG, task__metric=metric)
    prepared(tmp_path, "a\tO\nb\tB-A\nc\tI-A\n", task__metric=metric)


def test_a_validation_is_worked_out_by_hand(tmp_path: Path) -> None:
    data = prepared(tmp_path, "a\tN\nb\tV\nc\tX\n\nd\tX\n")
    model = zoo.build(zoo.load(spec()).model).eval()
    with torch.no_grad():
        model.head.output.weight.zero_()  # type: ignore[union-attr, operator]
        model.head.output.bias.copy_(torch.tensor([0.0, 0.0, 2.0]))  # type: ignore[union-attr, operator]
        parts = [data.measure(model, data.part(key), decoding=None) for key in data.parts("dev")]
    found = data.validation(parts)
    assert found.metrics["accuracy"] == pytest.approx(50)
    assert found.loss == pytest.approx((4 * torch.tensor([0.0, 0, 2]).logsumexp(0) - 4) / 4)
