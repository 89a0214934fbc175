"""Algorithmic tasks: only what is asked for is learnt and scored, and what cannot be read is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import zoo
from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.cli.text import results_text
from zoo.data.cache import Rejected
from zoo.kinds import MODEL, TASK
from zoo.tasks.algorithmic import Algorithmic, Answered
from zoo.tasks.answering import answers
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.task import Refusal

DATA = {
    "type": "copy", "vocab_size": 11, "n_symbols": 2, "lengths": [5, 8], "test_lengths": [5, 13],
    "n_train": 31, "n_dev": 9, "n_test": 6,
}  # fmt: skip


class Parts(Spec):
    model: Annotated[Spec, MODEL]
    task: Annotated[Spec, TASK]

    def contexts(self) -> dict[str, Any]:
        return {"model": {}, "task": {"model": self.model}}


def parts(*, is_causal: bool = True, vocab_size: int = 15, head: Any = None, **data: Any) -> Parts:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    kind, slot, stack = (
        ("decoder_only", "tokens", "decoder") if is_causal else ("encoder_only", "inputs", "encoder")
    )
    usual = {"type": "language_model" if is_causal else "masked_language_model", "predicts": slot}
    model = {
        "type": kind,
        "d_model": 8,
        slot: {"type": "tokens", "vocab_size": vocab_size},
        "position": {"type": "learned", "max_len": 20},
        stack: {"n_layers": 2, "layer": layer},
        "head": head or usual,
    }
    return parse(Parts, {"model": model, "task": {"type": "algorithmic", "data": {**DATA, **data}}})


def made(spec: Parts, folder: Path) -> tuple[Algorithmic, PreparedTask, nn.Module]:
    prepared = prepare(
        spec.task, model=spec.model, folder=folder, tokens_per_batch=90, seed=3, is_resumed=False
    )
    assert isinstance(prepared.task, Algorithmic)
    torch.manual_seed(1)
    model = build(spec.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 3)  # so that every position counts
    return prepared.task, prepared, model


@pytest.mark.parametrize("is_causal", [True, False])
def test_the_loss_is_that_of_the_places_at_which_something_is_asked(tmp_path: Path, is_causal: bool) -> None:
    task, prepared, model = made(parts(is_causal=is_causal), tmp_path)
    n = 0
    with torch.no_grad():
        for key in prepared.parts("dev"):
            batch, expected = prepared.part(key), 0.0
            for example in batch.examples:
                logits = model(torch.from_numpy(example["tokens"].astype(np.int64))[None])[0]  # alone: [T, V]
                labels = torch.from_numpy(example["labels"].astype(np.int64))
                expected += float(F.cross_entropy(logits[-2:], labels[-2:], reduction="sum"))
                n += 2
            found = task.loss(model, batch, is_training=False)
            assert float(found.nll) == float(found.loss) == pytest.approx(expected, rel=1e-5)
            assert found.n_predicted == 2 * len(batch.examples)
    assert n == 18


@pytest.mark.parametrize("is_causal", [True, False])
def test_padding_has_no_influence(tmp_path: Path, is_causal: bool) -> None:
    task, prepared, model = made(parts(is_causal=is_causal), tmp_path)
    examples = [example for key in prepared.parts("dev") for example in prepared.part(key).examples]
    short, long = (next(each for each in examples if len(each["tokens"]) == length) for length in (5, 8))
    with torch.no_grad():
        both = task.collate([short, long])
        losses = [
            float(task.loss(model, task.collate([each]), is_training=False).nll) for each in (short, long)
        ]
        assert float(task.loss(model, both, is_training=False).nll) == pytest.approx(sum(losses), rel=1e-5)
        found = task.predict(model, both, decoding=None)
    assert both.n_processed == 13
    assert [len(answer.tokens) for answer in found] == [5, 8]


def test_an_answer_is_the_most_probable_id_of_each_place(tmp_path: Path) -> None:
    task, _, model = made(parts(), tmp_path)
    rows = [{"tokens": [3, 4, 1, 2, 2]}, {"tokens": "5 13 1 1 1 2 2"}, {"tokens": [14]}]
    with torch.no_grad():
        found = list(answers(task, model, rows, decoding=None))
        for tokens, answer in zip([[3, 4, 1, 2, 2], [5, 13, 1, 1, 1, 2, 2], [14]], found, strict=True):
            assert answer == Answered(model(torch.tensor([tokens]))[0].argmax(-1).tolist())
    assert task.written(found[2]) == {"tokens": found[2].tokens}


def test_a_row_is_shown_with_what_is_asked_and_a_sample_with_its_answer(tmp_path: Path) -> None:
    task, _, _ = made(parts(), tmp_path)
    row = {"tokens": np.array([3, 4, 1, 2, 2]), "labels": np.array([-1, -1, -1, 3, 4])}
    assert task.shown(row) == "3 4 1 2 2 → 3 4"
    assert task.sample(row, Answered([9, 9, 9, 3, 7])) == {
        "tokens": "3 4 1 2 2",
        "answer": "3 7",
        "label": "3 4",
    }
    assert task.sample(row, Refusal("too long"))["answer"] == "too long"


@pytest.mark.parametrize(
    ("tokens", "why"),
    [
        ([], "no token in it"),
        ("", "no token in it"),
        ([3, 15], "ids from 3 to 15, but the model's are 0 to 14"),
        ([-1, 3], "ids from -1 to 3, but the model's are 0 to 14"),
        ([3.0, 4.0], "it is no list of whole numbers"),
        ([True, False], "it is no list of whole numbers"),
        ([[3, 4], [5, 6]], "it is no list of whole numbers"),
        ([[3, 4], [5]], "inhomogeneous shape"),
        ("3 x", "invalid literal for int"),
        ([3] * 21, "21 tokens, but the model has positions for 20"),
    ],
)
def test_a_sequence_that_the_model_cannot_take_is_refused(tmp_path: Path, tokens: Any, why: str) -> None:
    task, _, model = made(parts(), tmp_path)
    (found,) = task.read([{"tokens": tokens}], model)
    assert isinstance(found, Refusal)
    assert why in found.why


@pytest.mark.parametrize(
    ("tokens", "labels", "why"),
    [
        ([3, 4, 2], [-1, 3], "3 tokens, but 2 labels"),
        (
            [3, 4, 2],
            [-1, -1, 15],
            "labels are ids below 15, or -1 (or -100) where nothing is asked, and here they go from -1 to 15",
        ),
        (
            [3, 4, 2],
            [-1, -2, 3],
            "labels are ids below 15, or -1 (or -100) where nothing is asked, and here they go from -2 to 3",
        ),
        ([3, 4, 2], [-1, -1, -1], "nothing is asked in it"),
        ([3, 4, 2], [0.5, 1.5, 2.5], "it is no list of whole numbers"),
        ([3, 4, 99], [-1, -1, 3], "ids from 3 to 99, but the model's are 0 to 14"),
    ],
)
def test_a_row_that_cannot_be_learnt_from_is_bad(
    tmp_path: Path, tokens: list[int], labels: list[float], why: str
) -> None:
    task, _, _ = made(parts(), tmp_path)
    (found,) = task.encode([{"tokens": tokens, "labels": labels}], is_scored=False)
    assert found == Rejected("unusable sequence", why, is_bad=True)


def test_labels_of_minus_100_ask_nothing_as_in_torch(tmp_path: Path) -> None:
    task, _, _ = made(parts(), tmp_path)
    ours, theirs = ({"tokens": [3, 4, 1, 2, 2], "labels": [label] * 3 + [3, 4]} for label in (-1, -100))
    encoded = [task.encode([row], is_scored=False)[0]["labels"].tolist() for row in (ours, theirs)]  # type: ignore[index]
    assert encoded[0] == encoded[1] == [-1, -1, -1, 3, 4]
    assert task.compared(theirs)["labels"].tolist() == [-1, -1, -1, 3, 4]
    assert task.shown(theirs) == task.shown(ours) == "3 4 1 2 2 → 3 4"
    assert task.sample(theirs, Answered([9, 9, 9, 3, 7])) == task.sample(ours, Answered([9, 9, 9, 3, 7]))


def test_labels_that_are_no_numbers_refuse_the_row_that_is_asked_about(tmp_path: Path) -> None:
    task, _, model = made(parts(), tmp_path)
    (found,) = task.read([{"tokens": [3, 4], "labels": [0.5, 1.5]}], model)
    assert found == Refusal("it is no list of whole numbers")


@pytest.mark.parametrize("kind", ["json_lines", "parquet"])
def test_own_files_have_the_fields_of_the_task_under_their_own_names(tmp_path: Path, kind: str) -> None:
    data = {"type": kind, "train": "a.jsonl", "dev": "b.jsonl"}
    named = {"tokens": "tokens", "labels": "labels"}
    run = zoo.load("long_range", f"task.data={json.dumps(data)}", scale="tiny")
    assert run.task is not None
    assert zoo.load("long_range", f"task.data={json.dumps({**data, 'columns': named})}", scale="tiny") == run
    assert run.task.data.columns == named  # type: ignore[attr-defined]
    with pytest.raises(SpecError, match="rows of text are given, and this task reads tokens, labels"):
        zoo.load("long_range", f"task.data={json.dumps({**data, 'columns': {'text': 'text'}})}", scale="tiny")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"vocab_size": 13},
            r"sequences have 14 ids, marks included, .* has 13; set model\.tokens\.vocab_size=14",
        ),
        ({"head": "none"}, "needs a head that learns from token labels"),
        (
            {"is_causal": False, "head": {"type": "token_classifier", "n_classes": 15}},
            "a head that predicts a vocab",
        ),
    ],
)
def test_what_does_not_go_together_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parts(**given)


def test_a_model_of_two_inputs_is_refused() -> None:
    layer = {"self_attention": "multi_head", "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"}}
    model = {
        "type": "encoder_decoder",
        "source": {"type": "tokens", "vocab_size": 15},
        "target": {"share": "source"},
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": "multi_head"},
        "head": {"type": "language_model", "predicts": "target"},
    }
    with pytest.raises(SpecError, match="needs a model of one input; encoder_decoder has source, target"):
        parse(Parts, {"model": model, "task": {"type": "algorithmic", "data": DATA}})


def test_positions_that_end_before_the_longest_sequence_are_refused() -> None:
    with pytest.raises(
        SpecError, match=r"max_len \(8\) must be at least 9, for task\.data\.lengths or task\.data\.test"
    ):
        zoo.load("long_range", "model.position={type: learned, max_len: 8}", scale="tiny")


def test_results_tell_the_accuracy_at_each_length(tmp_path: Path) -> None:
    run = zoo.load("long_range", "training.max_steps=30", "training.precision=fp32", scale="tiny")
    folder = zoo.train(run, tmp_path / "run", progress=False)
    found = zoo.evaluate(folder)
    kept = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert kept["by_length"] == found["by_length"]
    rows = [json.loads(line) for line in (folder / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    asked = zoo.open(folder).task.data
    assert [len(row["tokens"]) for row in rows] == [5, 9] * 20
    assert list(found["by_length"]["accuracy"]) == [str(length) for length in asked.test_lengths]  # type: ignore[attr-defined]
    halves = found["by_length"]["accuracy"].values()  # each with as many rows, and two asked for in each
    assert found["accuracy"] == pytest.approx(sum(halves) / 2)
    five, nine = (f"{length}: {found['by_length']['exact'][str(length)]:.2f}" for length in (5, 9))
    assert f"Exact {found['exact']:.2f}  by length {five}, {nine}" in results_text(found).splitlines()
