"""Outputs side by side, and tests between them: of which rows, of which seeds, and why there are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import sacrebleu

from tests.ablation.report.conftest import HOSTILE
from zoo.ablation.corpus_tests import CorpusTest, compare_corpora
from zoo.ablation.plan import Plan
from zoo.ablation.planning import make_plan
from zoo.ablation.report.texts import SeedTest, Texts, _given, outcomes, output_tests, side_by_side
from zoo.ablation.results import Results
from zoo.ablation.spec import read
from zoo.data.bad_lines import BadLines
from zoo.kinds import CORPUS


def rows(plan: Plan) -> list[dict[str, str]]:
    corpus = CORPUS.build(plan.base.run.task.data)  # type: ignore[union-attr]
    return list(corpus.rows("test", bad_lines=BadLines("error")))


def lines_of(plan: Plan, folder: Path, variant: str, seed: int) -> Path:
    trial = next(each for each in plan.trials if each.variant == variant and each.seed == seed)
    return folder / trial.place / "hypotheses.txt"


def test_outputs_stand_beside_their_row(plan: Plan, results: Results, folder: Path) -> None:
    found = side_by_side(plan, results, folder)
    assert isinstance(found, Texts)
    assert found.variants == ("base", "rotary", HOSTILE)
    assert found.seed == 1
    assert [each.number for each in found.examples[:3]] == [1, 2, 3]
    for example in found.examples:
        row = rows(plan)[example.number - 1]
        assert example.given == {"source": row["source"], "target": row["target"]}
        assert example.outputs == tuple(f"{name} 1 {example.number - 1}" for name in found.variants)


def test_rows_where_outputs_differ_most_are_shown(plan: Plan, results: Results, folder: Path) -> None:
    same = ["the same words"] * 20
    for variant in ("base", "rotary", HOSTILE):
        own = list(same)
        if variant == "rotary":
            own[11], own[17] = "quite other ones", "the other words"
        lines_of(plan, folder, variant, 1).write_text("".join(f"{each}\n" for each in own), encoding="utf-8")
    found = side_by_side(plan, results, folder)
    assert isinstance(found, Texts)
    chosen = [each.number for each in found.examples if each.is_chosen]
    assert chosen[:2] == [12, 18]
    assert len(found.examples) == 8


def test_an_unequal_number_of_lines_is_not_guessed_at(plan: Plan, results: Results, folder: Path) -> None:
    lines_of(plan, folder, "rotary", 1).write_text("one\n", encoding="utf-8")
    found = side_by_side(plan, results, folder)
    assert isinstance(found, str)
    assert "not the same number of rows" in found
    assert not [
        each
        for each in output_tests(plan, results, folder, n_shuffles=10)
        if each.variant == "rotary" and each.seed == 1
    ]


def test_every_reference_of_a_row_is_shown() -> None:
    row = {"source": "a", "target": "b", "references": ["c\nd", "e"], "length": 3}
    assert _given(row) == {"source": "a", "target": "b", "references 1": "c d", "references 2": "e"}


def test_no_output_says_so(plan: Plan, results: Results, tmp_path: Path) -> None:
    assert side_by_side(plan, results, tmp_path) == "No training has left its outputs."


def test_a_task_that_writes_no_text_says_so(results: Results, tmp_path: Path) -> None:
    document = read({"base": "tagger_small", "scale": "tiny", "variants": {"a": {"model.position": "none"}}})
    plan = make_plan(document)
    assert side_by_side(plan, results, tmp_path) == "This task writes no text."
    assert not list(output_tests(plan, results, tmp_path))


def test_outputs_are_tested_by_sacrebleu_seed_by_seed(plan: Plan, results: Results, folder: Path) -> None:
    told: list[tuple[int, int]] = []
    found = list(output_tests(plan, results, folder, n_shuffles=50, progress=lambda *each: told.append(each)))
    assert [(each.variant, each.seed, each.result.metric) for each in found] == [
        (variant, seed, metric)
        for variant in ("rotary", HOSTILE)
        for seed in (1, 2)
        for metric in ("BLEU", "chrF2")
    ]
    assert told == [(i, 8) for i in range(1, 9)]
    own, base = (
        lines_of(plan, folder, name, 2).read_text(encoding="utf-8").split("\n")[:-1]
        for name in ("rotary", "base")
    )
    references = [[row["target"] for row in rows(plan)]]
    metric = sacrebleu.CHRF()
    assert found[3].result == compare_corpora(own, base, references, metric, n_samples=50)


def test_a_training_that_is_not_done_has_no_outputs(plan: Plan, results: Results, folder: Path) -> None:
    trials = tuple(
        replace(each, status="diverged") if each.variant == "rotary" else each  # type: ignore[arg-type]
        for each in results.trials
    )
    found = side_by_side(plan, replace(results, trials=trials), folder)
    assert isinstance(found, Texts)
    assert found.variants == ("base", HOSTILE)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([(1.0, 0.01), (0.5, 0.05), (-1.0, 0.04)], "2 higher, 1 lower of 3 seeds"),
        ([(1.0, 0.06)], "none apart of 1 seed"),
        ([(-1.0, 0.001), (0.0, 1.0)], "1 lower of 2 seeds"),
    ],
)
def test_outcomes_count_seeds(results: list[tuple[float, float]], expected: str) -> None:
    tests = [
        SeedTest("a", seed, CorpusTest("BLEU", 1.0, 1.0, d, p, "approximate_randomisation", 5, 9, "s"))
        for seed, (d, p) in enumerate(results)
    ]
    assert outcomes(tests) == {"a": {"BLEU": expected}}
