"""A trained run in use: answers to whatever it is given, and why there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from registry import SpecError
from zoo.data.labels import Labels
from zoo.errors import RunError
from zoo.run.using import TrainedRun, generate
from zoo.special_ids import EOS
from zoo.tasks.task import Refusal
from zoo.tasks.translation import Translation, TranslationSpec

LONG = " ".join(["the"] * 20)


def test_generating_answers_every_line_and_says_why_one_has_no_translation(run: Path) -> None:
    lines = ["the man sees", LONG, "", "the woman"]
    assert [bool(text) for text in generate(run, lines)] == [True, False, False, True]
    answers = list(TrainedRun(run).answers_to_lines(lines))
    assert answers[1:3] == [
        Refusal("21 tokens, its end included, but the model has positions for 20"),
        Refusal("no token in it"),
    ]
    assert [answer[0].text for answer in (answers[0], answers[3])] == generate(run, [lines[0], lines[3]])


def test_rows_are_answered_as_their_lines_are(run: Path) -> None:
    trained = TrainedRun(run)
    lines = ["the man sees", "the woman"]
    rows = [{"source": line, "target": "whatever"} for line in lines]
    assert list(trained.answers(rows)) == list(trained.answers_to_lines(lines))
    refused = Refusal("not read")
    assert next(trained.answers_to_lines([refused, lines[0]])) is refused


def test_a_task_that_reads_no_text_has_no_answers_to_lines(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = TrainedRun(run)
    monkeypatch.setattr(TranslationSpec, "reads", ("image",))
    with pytest.raises(SpecError, match="task: translation reads image, no lines of text"):
        trained.answers_to_lines(["the man"])


def test_a_task_that_writes_no_text_generates_none(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Translation, "writes_text", False)
    with pytest.raises(SpecError, match="task: translation writes no text"):
        generate(run, ["the man"])


def test_a_run_without_its_coder_is_not_used(run: Path) -> None:
    (run / "tokenizer.json").unlink()
    with pytest.raises(RunError, match=r"tokenizer\.json: cannot be read: No such file"):
        TrainedRun(run)


def test_a_run_with_another_kind_of_coder_is_not_used(run: Path) -> None:
    Labels.of(["a", "b"]).save(run, "tokenizer")
    with pytest.raises(RunError, match="holds a labels tokenizer; the spec asks for words"):
        TrainedRun(run)


def test_an_output_stays_within_the_positions_whatever_the_search_allows(run: Path) -> None:
    trained = TrainedRun(run, "task.max_length=10", "generation.max_length=source + 10")
    head = trained.model.head
    with torch.no_grad():
        head.weight[EOS] = 0  # type: ignore[index,operator]
    answers = list(trained.answers_to_lines([" ".join(["the"] * n) for n in (3, 19)]))
    assert (
        max(len(answer[0].tokens) for answer in answers) == 19
    )  # what begins them has the twentieth position
