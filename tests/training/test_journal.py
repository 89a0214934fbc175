from __future__ import annotations

import csv
import json
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo.errors import RunError
from zoo.storage.metrics import Value, read
from zoo.training.journal import Journal


def record(step: int, **more: Value) -> dict[str, Value]:
    return {"kind": "train", "step": step, "loss": 1 / step, **more}


def test_records_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path, start=0, step=0)
    for step in (1, 2, 3):
        journal.append(record(step))
        assert len(read(tmp_path)) == step  # at once: a kill may come next
    journal.close()
    assert read(tmp_path) == [record(1), record(2), record(3)]


def test_a_resumed_journal_drops_what_its_checkpoint_did_not_know(tmp_path: Path) -> None:
    journal = Journal(tmp_path, start=0, step=0)
    journal.append(record(1))
    position = journal.position()
    journal.append(record(2))
    journal.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "tr')  # cut short by a kill
    again = Journal(tmp_path, start=position, step=1)
    again.append(record(2, n_skipped=5))
    again.close()
    assert read(tmp_path) == [record(1), record(2, n_skipped=5)]


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"step"')
    assert read(tmp_path) == [{"step": 1}]


def test_a_journal_that_lost_lines_goes_on_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    Journal(tmp_path, start=500, step=3).close()
    assert "shorter (12 bytes) than when step 3 was saved (500 bytes)" in caplog.text
    assert read(tmp_path) == [{"step": 1}]


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    journal = Journal(tmp_path, start=0, step=0)
    journal.append(record(1, nll=float("nan"), gradient_norm=float("inf")))
    journal.close()
    text = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name)) == record(
        1, nll=None, gradient_norm=None
    )


def test_the_table_has_a_column_for_every_key(tmp_path: Path) -> None:
    journal = Journal(tmp_path, start=0, step=0)
    journal.append(record(1))
    journal.append({"kind": "validation", "step": 1, "bleu": 12.5})
    journal.write_table()
    journal.close()
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"kind": "train", "step": "1", "loss": "1.0", "bleu": ""},
        {"kind": "validation", "step": "1", "loss": "", "bleu": "12.5"},
    ]


def test_tensorboard_has_the_numbers_by_kind(tmp_path: Path) -> None:
    journal = Journal(tmp_path, start=0, step=0)
    journal.append(record(4))
    journal.append({"kind": "validation", "step": 4, "bleu": 12.5})
    journal.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(4, 0.25)]
    assert [(e.step, e.value) for e in events.Scalars("validation/bleu")] == [(4, 12.5)]


def test_tensorboard_hides_the_steps_that_are_taken_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path, start=0, step=0)
    for step in (1, 2, 3):
        journal.append(record(step))
    journal.close()
    time.sleep(1.1)  # files are named by the second, and read by their names
    Journal(tmp_path, start=0, step=1).close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("train/loss")] == [1]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written"):
        Journal(tmp_path / "none", start=0, step=0)
    with pytest.raises(RunError, match=r"metrics\.jsonl: cannot be read"):
        read(tmp_path / "none")


@pytest.mark.parametrize("line", ["not json", "[1]", "3"])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n{{"step": 2}}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl:2: damaged: "):
        read(tmp_path)
