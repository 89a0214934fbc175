"""Text classification and regression: inputs, losses, answers, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from registry import SpecError
from zoo.data.labels import Labels
from zoo.data.tokenizers.words import TrainedWords
from zoo.errors import DataError
from zoo.kinds import TASK
from zoo.special_ids import BOS, EOS, N_SPECIAL
from zoo.tasks.prepared import prepare
from zoo.tasks.task import Refusal
from zoo.tasks.text_classification import ClassAnswer, NumberAnswer, TextClassification

WORDS = [*"abcdefg", *(f" {letter}" for letter in "abcdefg")]


def spec(**changes: Any) -> dict[str, Any]:
    """A small encoder with three classes, its keys changed by dotted paths."""
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12},
        "dropout": 0.0,
    }
    found: dict[str, Any] = {
        "model": {
            "type": "encoder_only",
            "d_model": 8,
            "inputs": {"type": "tokens", "vocab_size": 31, "n_types": 2},
            "encoder": {"n_layers": 2, "layer": layer},
            "head": {"type": "pooled_classifier", "n_classes": 3},
        },
        "task": {
            "type": "text_classification",
            "data": {"type": "grammar_sentences"},
            "tokenizer": "words",
            "max_length": 9,
        },
    }
    for path, value in changes.items():
        at = found
        *parents, last = path.split("__")
        for name in parents:
            at = at[name]
        at[last] = value
    return found


DECODER = {
    "type": "decoder_only",
    "d_model": 8,
    "tokens": {"type": "tokens", "vocab_size": 31},
    "decoder": {"n_layers": 2, "layer": {"self_attention": {"type": "multi_head", "n_heads": 2},
                                         "ffn": {"type": "mlp", "d_ff": 12}, "dropout": 0.0}},
    "head": {"type": "pooled_classifier", "n_classes": 3, "pool": "last"},
}  # fmt: skip


def built(**changes: Any) -> tuple[TextClassification, nn.Module]:
    run = zoo.load(spec(**changes))
    coders = {"tokenizer": TrainedWords.of(WORDS), "labels": Labels(["bad", "fair", "good"])}
    torch.manual_seed(5)
    return TASK.build(run.task, model=run.model, coders=coders), zoo.build(run.model).eval()


def row(text: str, label: Any = "fair", **more: str) -> dict[str, Any]:
    return {"text": text, "label": label, **more}


def inputs(task: TextClassification, given: dict[str, Any]) -> list[int]:
    (example,) = task.encode([given], is_scored=False)
    assert isinstance(example, dict)
    return example["inputs"].tolist()  # type: ignore[no-any-return]


def numbers(text: str) -> list[int]:
    """a is 0, and so on; after a space it is another token."""
    return [N_SPECIAL + WORDS.index(word) for word in TrainedWords.of(WORDS).split(text)]


def test_an_input_is_the_text_between_its_ends() -> None:
    task, _ = built()
    assert inputs(task, row("a b")) == [BOS, *numbers("a b"), EOS]
    pair = row("a b", text_pair="c")
    assert inputs(task, pair) == [BOS, *numbers("a b"), EOS, *numbers("c"), EOS]
    (example,) = task.encode([pair], is_scored=True)
    assert example["types"].tolist() == [0, 0, 0, 0, 1, 1]  # type: ignore[index]
    assert example["label"].tolist() == [1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("text", "pair", "truncation", "expected"),
    [
        ("a b c d e f g", None, "head", "a b c d e"),
        ("a b c d e f g", None, "head_and_tail", "a d e f g"),
        ("a b c d e f g", "a b", "head", "a b | a b"),
        ("a b", "a b c d e", "head", "a b | a b"),
        ("a b c d e", "c d e f g", "head_and_tail", "d e | f g"),
        ("a b c d", "c", "head", "a b c | c"),
    ],
)
def test_a_long_text_is_cut_and_of_a_pair_the_longer_one_first(
    text: str, pair: str | None, truncation: str, expected: str
) -> None:
    task, _ = built(task__max_length=7, task__truncation=truncation)
    given = row(text, **({"text_pair": pair} if pair else {}))
    found = inputs(task, given)
    assert len(found) == 7
    parts = "".join("|" if token == EOS else WORDS[token - N_SPECIAL].strip() for token in found[1:-1])
    assert parts == expected.replace(" ", "")


ROWS = [row("a", "bad"), row("b c d e f", "good"), row("c d", "fair", text_pair="a b"), row("d d d", "bad")]


def batch_of(task: TextClassification, rows: Sequence[dict[str, Any]]) -> Any:
    return task.collate([dict(each) for each in task.encode(rows, is_scored=True)])  # type: ignore[arg-type]


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_that_of_the_formula(smoothing: float) -> None:
    task, model = built(task__label_smoothing=smoothing)
    expected_nll = expected = 0.0
    for given in ROWS:
        batch = batch_of(task, [given])  # alone, without padding
        p = torch.softmax(model(batch["inputs"], types=batch["types"]).double(), 1)[0]
        target = torch.full((3,), smoothing / 3, dtype=torch.float64)
        target[["bad", "fair", "good"].index(given["label"])] += 1 - smoothing
        expected -= float((target * p.detach().log()).sum())
        expected_nll -= float(p.detach()[["bad", "fair", "good"].index(given["label"])].log())
    loss = task.loss(model, batch_of(task, ROWS), is_training=True)
    assert float(loss.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(loss.nll) == pytest.approx(expected_nll, rel=1e-5)
    assert (loss.n_predicted, loss.n_processed) == (4, 3 + 7 + 7 + 5)
    unsmoothed = task.loss(model, batch_of(task, ROWS), is_training=False).loss
    assert float(unsmoothed.detach()) == pytest.approx(expected_nll, rel=1e-5)


@pytest.mark.parametrize("model", [None, DECODER], ids=["encoder", "decoder"])
def test_answers_are_the_heads_and_padding_has_no_influence(model: Any) -> None:
    task, network = built(**({} if model is None else {"model": model}))
    together = task.predict(network, batch_of(task, ROWS), decoding=None)
    for given, answer in zip(ROWS, together, strict=True):
        (alone,) = task.predict(network, batch_of(task, [given]), decoding=None)
        assert isinstance(answer, ClassAnswer)
        assert isinstance(alone, ClassAnswer)
        assert dict(answer.probabilities) == pytest.approx(dict(alone.probabilities), abs=1e-6)
        assert (
            answer.label
            == alone.label
            == max(alone.probabilities, key=lambda name: alone.probabilities[name])
        )
        assert sum(alone.probabilities.values()) == pytest.approx(1)
    assert len({answer.probabilities["bad"] for answer in together}) == 4  # type: ignore[union-attr]
    assert task.written(together[0]).keys() == {"label", "probabilities"}


def test_the_second_text_is_told_from_the_first_by_its_type() -> None:
    task, model = built()
    batch = batch_of(task, [row("a", text_pair="b")])
    (answer,) = task.predict(model, batch, decoding=None)
    batch.tensors["types"] = torch.zeros_like(batch["types"])
    assert answer != task.predict(model, batch, decoding=None)[0]


def test_a_head_of_one_class_learns_numbers() -> None:
    task, model = built(model__head__n_classes=1)
    rows = [row("a", "2.5"), row("b c", -1), row("d", 1e-3)]
    batch = batch_of(task, rows)
    found = task.predict(model, batch, decoding=None)
    assert all(isinstance(answer, NumberAnswer) for answer in found)
    expected = sum((answer.value - value) ** 2 for answer, value in zip(found, (2.5, -1, 1e-3), strict=True))  # type: ignore[union-attr]
    loss = task.loss(model, batch, is_training=True)
    assert float(loss.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert task.metric().titles["mse"] == "MSE"
    assert task.coder_names == ("tokenizer",)
    assert task.written(found[0]) == {"value": found[0].value}  # type: ignore[union-attr]


@pytest.mark.parametrize("label", ["x", "", "nan", "inf", "1_000", "1e999", "3,5", True])
def test_what_is_no_number_is_refused(label: Any) -> None:
    task, _ = built(model__head__n_classes=1)
    (rejected,) = task.encode([row("a", label)], is_scored=False)
    assert "is no number" in rejected.detail  # type: ignore[union-attr]


def test_rows_to_answer_need_no_label_and_broken_text_is_refused() -> None:
    task, model = built()
    plain, broken, labelled = task.read([{"text": "a"}, {"text": "\udcff"}, row("b", "good")], model)
    assert "label" not in plain
    assert broken == Refusal("broken UTF-8 at character 1")
    assert labelled["label"].tolist() == [2]  # type: ignore[index]
    with pytest.raises(
        DataError, match=r"'new' is no label of the training data \(bad, fair, good\); the text is 'b'"
    ):
        task.read([row("b", "new")], model)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model__head": {"type": "token_classifier", "n_classes": 3}}, "a head that learns from sequence labels"),
        ({"model": {**DECODER, "head": {**DECODER["head"], "pool": "first"}}}, "sees no other; set pool=last or mean"),
        ({"model__head__n_classes": 1, "task__label_smoothing": 0.1}, "label_smoothing is of classes"),
        ({"model__head__n_classes": 1, "task__metric": "classification"}, "compares classes; .* gives numbers"),
        ({"task__metric": "regression"}, "compares numbers; .* gives classes"),
        ({"model__inputs": {"type": "image_patches", "image_size": 8, "patch_size": 4}}, "reads tokens"),
    ],
)  # fmt: skip
def test_a_model_that_does_not_fit_is_refused_in_the_spec(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        zoo.load(spec(**changes))


def prepared(folder: Path, train: str, dev: str = "fair\tb\n", **changes: Any) -> Any:
    (folder / "train.tsv").write_text(train, encoding="utf-8")
    (folder / "dev.tsv").write_text(dev, encoding="utf-8")
    data = {"type": "columns", "columns": ["label", "text"]}
    data |= {split: str(folder / f"{split}.tsv") for split in ("train", "dev")}
    run = zoo.load(spec(task__data=data, **changes))
    return prepare(
        run.task, model=run.model, folder=folder, tokens_per_batch=50, seed=1, is_resumed=False  # type: ignore[arg-type]
    )  # fmt: skip


GOOD = "bad\ta\nfair\tb\ngood\tc\n"


def test_labels_that_are_not_as_many_as_the_heads_classes_are_refused(tmp_path: Path) -> None:
    message = r"has 4 labels \(1, 2, 9, 10\), and model\.head\.n_classes is 3; set model\.head\.n_classes=4"
    with pytest.raises(DataError, match=message):
        prepared(tmp_path, "10\ta\n9\tb\n1\tc\n2\td\n")
    with pytest.raises(DataError, match=r"set model\.head\.n_classes=2"):
        prepared(tmp_path, "x\ta\ny\tb\n")


def test_a_label_of_dev_that_train_does_not_have_is_named_by_its_line_or_left_out(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"dev\.tsv:2: unusable label: 'new' is no label of the training data \(bad, fair, good\)",
    ):
        prepared(tmp_path, GOOD, "good\ta\nnew\tb\n")
    found = prepared(tmp_path, GOOD, "good\ta\nnew\tb\n", task__bad_lines="skip")
    assert found.counts["dev"] == {"unusable label": 1}


def test_a_number_that_is_none_is_named_by_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.tsv:2: unusable label: the label 'x' is no number"):
        prepared(tmp_path, "1\ta\nx\tb\n", "2\tb\n", model__head__n_classes=1)


def test_a_validation_is_worked_out_by_hand(tmp_path: Path) -> None:
    data = prepared(tmp_path, GOOD, "good\ta\nbad\tb\nfair\tc d\n")
    run = zoo.load(spec())
    model = zoo.build(run.model).eval()
    with torch.no_grad():
        model.head.output.weight.zero_()  # type: ignore[union-attr, operator]
        model.head.output.bias.copy_(torch.tensor([0.0, 0.0, 1.0]))  # type: ignore[union-attr, operator]
        parts = [data.measure(model, data.part(key), decoding=None) for key in data.parts("dev")]
    found = data.validation(parts, is_report=True)
    z = np.log(2 + np.e)
    assert found.loss == pytest.approx((z - 1 + z + z) / 3)
    assert found.metrics["accuracy"] == pytest.approx(100 / 3)
    assert found.metrics["macro_f1"] == pytest.approx(100 * (0 + 0 + 2 / 4) / 3)
    assert data.score_name == "Accuracy"


def test_a_column_that_no_task_reads_is_a_mistake() -> None:
    columns = "{label: score, text: first, text_b: second}"
    data = f"task.data={{type: columns, train: a, dev: a, heading: true, columns: {columns}}}"
    with pytest.raises(
        SpecError, match=r"task\.data\.columns: text_b: no field that text_classification reads; did you"
    ):
        zoo.load("text_classifier_small", data)
    zoo.load("text_classifier_small", data.replace("text_b", "text_pair"))
    zoo.load(
        "text_classifier_small", "task.data={type: columns, train: a, dev: a, columns: [label, _, text]}"
    )
