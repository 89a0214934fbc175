"""The ledger: the paper's counts out of the presets, its training cost by formula, runs beside their rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import zoo
from registry import differences
from zoo.analysis.ledger import BASE, LEDGER, TABLE_2, VOCABULARY, Row, counted, training_operations
from zoo.cli.main import app

TABLE_3 = [row for row in LEDGER if row.table == 3]


@pytest.mark.parametrize("row", TABLE_3, ids=lambda row: row.preset)
def test_the_papers_counts_come_out_to_the_million(row: Row) -> None:
    there = zoo.load(row.preset, f"model.source.vocab_size={VOCABULARY}").model
    found = counted(row, zoo.load(row.preset).model, there)
    if row.preset == "transformer_big":  # whose 213 million need 35,800 entries
        assert found.agrees is False
        assert round(found.n_parameters / 1e6) == 214
    elif row.parameters is not None:
        assert found.agrees
    else:  # the paper leaves the base's out
        assert found.agrees is None
        assert found.n_parameters_there is not None
        assert round(found.n_parameters_there / 1e6) in (65, 66)


@pytest.mark.parametrize("row", [row for row in TABLE_3 if "/" in row.preset], ids=lambda row: row.preset)
def test_a_row_changes_one_thing_of_the_base(row: Row) -> None:
    base, run = zoo.load(BASE), zoo.load(row.preset)
    found = {each.of_type().path.rpartition(".")[2] for each in differences(base, run)}
    allowed = {
        "A": {"n_heads"},
        "B": {"d_k", "d_v"},
        "C": {"n_layers", "d_model", "d_ff"},
        "D": {"dropout", "input_dropout", "label_smoothing"},
        "E": {"type", "max_length"},
    }[row.rows]
    assert found
    assert found <= allowed


def test_operations_of_a_training_by_hand() -> None:
    # Of each token of both sides, forward: the base's stacks have 6·(4·512² + 2·512·2048) and 6·(8·512² + 2·512·2048)
    # weights, the head 37,000·512; two products of 512·32 a layer and attention; training three times as much.
    weights = 6 * (12 * 512**2 + 4 * 512 * 2048) + 37_000 * 512
    attention = 3 * 6 * 2 * 512 * 32
    by_hand = 3 * 2 * (weights + attention) * 25_000 * 100_000
    assert training_operations(zoo.load(BASE).model, 100_000) == pytest.approx(by_hand, rel=1e-3)
    assert 0.2 < by_hand / TABLE_2[BASE] < 0.4


def test_runs_stand_beside_their_rows_and_others_are_refused(tmp_path: Path) -> None:
    for name in ("heads_16-1234567-1", "mine", "empty"):
        (tmp_path / name).mkdir()
    results = {"bleu": 25.75, "titles": {"bleu": "BLEU"}}
    for name in ("heads_16-1234567-1", "mine"):
        (tmp_path / name / "results.json").write_text(json.dumps(results), encoding="utf-8")

    def call(*words: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["ledger", *map(str, words)])
        return result.exit_code, " ".join((result.stdout + result.stderr).split())

    code, text = call(tmp_path / "heads_16-1234567-1", f"d_k_16={tmp_path / 'mine'}")
    assert code == 0
    assert f"25.8 BLEU 25.75 ({tmp_path / 'heads_16-1234567-1'})" in text
    assert f"58.1 5.16 25.1 BLEU 25.75 ({tmp_path / 'mine'})" in text
    code, text = call(tmp_path / "mine")
    assert code == 2
    assert "of which row?" in text
    code, text = call(f"d_k_16={tmp_path / 'empty'}")
    assert code == 5
    assert "no results.json" in text


def test_the_semi_supervised_parser_has_twice_the_words() -> None:
    few, many = (zoo.load(row.preset).model for row in LEDGER if row.table == 4)
    assert (
        counted(LEDGER[-1], many, None).n_parameters - counted(LEDGER[-2], few, None).n_parameters
        == 16_000 * 1024
    )
