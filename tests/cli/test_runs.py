"""train, resume, evaluate, generate: a small run from its spec to its translations."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from zoo.cli.text import _stream_lines
from zoo.data.bad_lines import BadLines
from zoo.data.lines import BYTE_ORDER_MARK
from zoo.errors import RunError
from zoo.kinds import CORPUS
from zoo.run.evaluating import evaluate
from zoo.run.folder import new_folder
from zoo.run.spec import RunSpec, load
from zoo.run.using import generate
from zoo.training.ranks import is_first_process

Trained = tuple[Path, str]


@pytest.fixture
def run(trained: Trained, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained[0], tmp_path / "copy"))


def pairs(folder: Path) -> list[tuple[str, str]]:
    """The run's test set."""
    corpus = CORPUS.build(load(folder / "spec.yaml").task.data)  # type: ignore[union-attr]
    rows = corpus.rows("test", bad_lines=BadLines("error"))
    return [(row["source"], row["target"]) for row in rows]


def test_training_ends_with_scores_samples_and_the_way_on(trained: Trained) -> None:
    folder, printed = trained
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert f"BLEU {results['bleu']:.2f}  nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:" in printed
    assert f"chrF {results['chrf']:.2f}  nrefs:1|case:mixed|eff:yes" in printed
    test = pairs(folder)
    chosen = [test[i * len(test) // 5] for i in range(5)]
    assert [line.split(maxsplit=1)[1] for line in printed.splitlines() if line.startswith("source ")] == [
        s for s, _ in chosen
    ]
    assert [line.split(maxsplit=1)[1] for line in printed.splitlines() if line.startswith("reference ")] == [
        r for _, r in chosen
    ]
    assert sum(line.startswith("hypothesis ") for line in printed.splitlines()) == 5
    assert f"The run lies in {folder}" in printed
    assert f"zoo generate {folder}" in printed


def test_a_run_folder_explains_itself(trained: Trained) -> None:
    folder = trained[0]
    names = {path.name for path in folder.iterdir()}
    assert {
        "spec.yaml",
        "metrics.jsonl",
        "checkpoints",
        "environment.json",
        "hypotheses.txt",
        "results.json",
    } <= names
    assert any(name.startswith("tokenizer.") for name in names)
    assert load(folder) == load(folder / "spec.yaml")


def test_evaluate_equals_the_scores_of_training_and_writes_both_files_anew(zoo: Any, run: Path) -> None:
    before = json.loads((run / "results.json").read_text(encoding="utf-8"))
    hypotheses = (run / "hypotheses.txt").read_text(encoding="utf-8")
    assert len(hypotheses.splitlines()) == before["n_sentences"] == 11
    (run / "results.json").unlink()
    (run / "hypotheses.txt").unlink()
    result = zoo("evaluate", run, "--json")
    after = json.loads(result.stdout)
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert json.loads((run / "results.json").read_text(encoding="utf-8")) == after
    assert (run / "hypotheses.txt").read_text(encoding="utf-8") == hypotheses


def test_evaluate_takes_two_files_in_place_of_a_split(zoo: Any, run: Path, tmp_path: Path) -> None:
    test = pairs(run)[:4]
    (tmp_path / "s.txt").write_text("".join(f"{s}\n" for s, _ in test), encoding="utf-8")
    (tmp_path / "r.txt").write_text("".join(f"{r}\n" for _, r in test), encoding="utf-8")
    expected = (run / "hypotheses.txt").read_text(encoding="utf-8").splitlines()[:4]
    result = zoo("evaluate", run, "--data", "s.txt", "r.txt")
    assert "s.txt, r.txt: 4 rows" in result.stdout
    (hypotheses,) = run.glob("hypotheses.s.txt-*.txt")
    assert hypotheses.read_text(encoding="utf-8").splitlines() == expected


def test_evaluate_refuses_files_of_unequal_length(zoo: Any, run: Path, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("one\ntwo\n", encoding="utf-8")
    (tmp_path / "r.txt").write_text("eins\n", encoding="utf-8")
    result = zoo("evaluate", run, "--data", "s.txt", "r.txt")
    assert result.exit_code == 3
    assert "s.txt:2: this line has no partner" in result.stderr


def test_evaluate_decodes_as_told_and_takes_another_checkpoint(zoo: Any, run: Path) -> None:
    results = evaluate(run, "generation.beam_size=1", split="dev", checkpoint=2)
    assert (results["generation"]["beam_size"], results["data"], results["checkpoint"]) == (
        1,
        {"split": "dev"},
        "step-2",
    )
    assert results["n_sentences"] == 5
    assert "step-3" in zoo("evaluate", run, "--beam-size", "2", "--checkpoint", "last").stdout


def test_evaluate_counts_the_lines_it_leaves_out(zoo: Any, run: Path, tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("one\n\nthree\n", encoding="utf-8")
    (tmp_path / "r.txt").write_text("eins\nzwei\ndrei\n", encoding="utf-8")
    refused = zoo("evaluate", run, "--data", "s.txt", "r.txt")
    assert (refused.exit_code, refused.stderr.partition(" (")[0]) == (
        3,
        "s.txt:2: empty line: but that of r.txt is not",
    )
    hint = refused.stderr.partition(" (")[2].partition(" ")[0]
    assert hint == "task.bad_lines=skip"
    counted = zoo("evaluate", run, hint, "--data", "s.txt", "r.txt").stdout
    assert "s.txt, r.txt: 2 rows" in counted
    assert "bad lines left out: 1 empty line" in counted


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["evaluate", "RUN", "model.d_model=24"], 2, "only generation and task may change"),
        (["evaluate", "RUN", "--checkpoint", "bst"], 5, "it has no checkpoint 'bst'"),
        (["evaluate", "RUN", "--checkpoint", "9"], 5, "step-9: no such checkpoint"),
        (["evaluate", "RUN", "--device", "tpuu"], 2, "no device is called 'tpuu'"),
        (["evaluate", "RUN", "--split", "tst"], 3, "the data has no split 'tst'"),
        (["evaluate", "RUN", "--split", "dev", "--data", "a", "b"], 2, "exclude each other"),
        (["evaluate", "quickstart"], 5, "quickstart: no run lies here"),
        (["generate", "RUN", "gone.txt"], 5, "gone.txt: No such file or directory"),
        (["generate", "RUN", "--n-best", "4"], 2, "n_best (4) must not exceed beam_size (3)"),
        (["resume", "nowhere"], 5, "nowhere: no run lies here"),
        (["resume", "RUN", "model.d_model=24"], 5, "it was changed: model.d_model"),
        (["train", "quickstart", "--out", "RUN"], 5, "holds a run already"),
        (["train", "multi30k_small", "task.data.folder=gone", "--out", "new"], 3, "gone: no such folder"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_with_its_exit_code(
    zoo: Any, run: Path, words: list[str], code: int, message: str
) -> None:
    result = zoo(*(str(run) if word == "RUN" else word for word in words))
    assert result.exit_code == code, result.stderr
    assert message in result.stderr.splitlines()[-1]


def test_generate_answers_line_for_line(zoo: Any, trained: Trained, tmp_path: Path) -> None:
    folder = trained[0]
    sources = [source for source, _ in pairs(folder)][:3]
    lines = [sources[0], "", sources[1], sources[2]]
    answers = zoo("generate", folder, input="\n".join(lines)).stdout.split("\n")
    expected = (folder / "hypotheses.txt").read_text(encoding="utf-8").splitlines()
    assert answers == [expected[0], "", expected[1], expected[2], ""]
    assert generate(folder, lines) == answers[:4]
    (tmp_path / "a.txt").write_text("\n".join(lines[:2]) + "\n", encoding="utf-8")
    (tmp_path / "b.txt").write_bytes("\r\n".join(lines[2:]).encode())
    assert zoo("generate", folder, "a.txt", "b.txt").stdout.split("\n") == answers


def test_n_best_gives_numbers_and_falling_scores(zoo: Any, trained: Trained) -> None:
    folder = trained[0]
    sources = [source for source, _ in pairs(folder)][:2]
    printed = zoo("generate", folder, "--n-best", "3", input="\n".join(sources)).stdout
    rows = [line.split("\t") for line in printed.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "2", "2", "2"]
    scores = [float(row[1]) for row in rows]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert [rows[0][2], rows[3][2]] == generate(folder, sources)


def test_a_line_that_is_no_utf8_costs_only_itself(zoo: Any, trained: Trained, tmp_path: Path) -> None:
    folder = trained[0]
    one, two = (source for source, _ in pairs(folder)[:2])
    expected = generate(folder, [one, two])
    text = f"{one}\nso schön ".encode() + b"\xff\n" + two.encode()
    result = zoo("generate", folder, input=text)
    assert (result.exit_code, result.stdout.split("\n")) == (0, [expected[0], "", expected[1], ""])
    reason = "broken UTF-8 at character 10: no output"
    assert result.stderr.splitlines() == [f"standard input:2: {reason}"]
    assert generate(folder, [one, "so schön \udcff", two]) == [expected[0], "", expected[1]]
    (tmp_path / "a.txt").write_bytes(b"\n" * 4 + text)
    of_file = zoo("generate", folder, "a.txt", "--n-best", "2")
    rows = [line.split("\t") for line in of_file.stdout.splitlines()]
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "5", "6", "7", "7"]
    assert rows[6][2] == ""
    assert of_file.stderr.splitlines()[-1] == f"a.txt:6: {reason}"


def test_a_dash_is_standard_input_among_files_and_a_file_only_by_its_path(
    zoo: Any, trained: Trained, tmp_path: Path
) -> None:
    folder = trained[0]
    one, two, three = (source for source, _ in pairs(folder)[:3])
    expected = generate(folder, [one, two, three])
    (tmp_path / "a.txt").write_text(f"{one}\n", encoding="utf-8")
    (tmp_path / "-").write_text(f"{three}\n", encoding="utf-8")
    assert zoo("generate", folder, "-", input=two).stdout.splitlines() == expected[1:2]
    assert zoo("generate", folder, "a.txt", "-", "./-", input=two).stdout.splitlines() == expected


def test_generate_reads_files_as_an_evaluation_does(zoo: Any, trained: Trained, tmp_path: Path) -> None:
    folder = trained[0]
    sources = [source for source, _ in pairs(folder)[:3]]
    text = "".join(f"{source}\r\n" for source in sources).encode()
    zipped = gzip.compress(BYTE_ORDER_MARK + text)
    (tmp_path / "a.txt").write_bytes(zipped)
    (tmp_path / "b.txt").write_bytes(BYTE_ORDER_MARK + sources[0].encode())
    expected = generate(folder, [*sources, sources[0]])
    assert zoo("generate", folder, "a.txt", "b.txt").stdout.splitlines() == expected
    (tmp_path / "a.txt").write_bytes(zipped[:-9])
    cut = zoo("generate", folder, "a.txt")
    assert cut.exit_code == 3
    assert "a.txt:1: the compressed data is damaged or cut off here" in cut.stderr


def test_a_line_is_handed_on_as_soon_as_it_is_there_and_ends_at_a_newline_only() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb", buffering=0) as writer:
        groups = _stream_lines(reader)
        writer.write("eins\u2028zwei\ndr".encode())
        assert next(groups) == ["eins\u2028zwei"]
        writer.write(b"ei\nvier")
        assert next(groups) == ["drei"]
        writer.close()
        assert list(groups) == [["vier"]]


def test_resume_goes_on_to_a_later_step(zoo: Any, run: Path) -> None:
    result = zoo("resume", run, "training.max_steps=4", "training.schedule.total_steps=4", "--quiet")
    assert result.exit_code == 0, result.output
    assert "step-4" in json.loads((run / "results.json").read_text(encoding="utf-8"))["checkpoint"]
    assert load(run).training.max_steps == 4  # type: ignore[union-attr]


def test_every_new_run_has_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_RUN_FOLDER", "")
    spec: RunSpec = load("quickstart")
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: new_folder(spec, "quickstart"), range(24)))
    assert len(set(folders)) == 24
    numbers = sorted(int(folder.name.removeprefix("quickstart-").split("-")[1]) for folder in folders)
    assert numbers == list(range(1, 25))


def test_further_processes_of_a_run_take_the_first_ones_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("ZOO_RUN_FOLDER", "runs/first")
    assert new_folder(load("quickstart"), "quickstart") == Path("runs/first")
    monkeypatch.delenv("ZOO_RUN_FOLDER")
    with pytest.raises(RunError, match="say which"):
        new_folder(load("quickstart"), "quickstart")


def test_trainings_of_one_device_that_slurm_starts_side_by_side_are_each_their_own_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert is_first_process(1)
    assert not is_first_process(4)
    assert new_folder(load("quickstart"), "quickstart", n_ranks=1).name.startswith("quickstart-")
