"""A trained run in use: which files an evaluation writes, and what it says of lines that no model can take."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo import progress
from zoo.cli.text import results_text, samples_text
from zoo.errors import DataError
from zoo.generation import translate
from zoo.run.spec import load
from zoo.run.training import train
from zoo.run.using import TrainedRun, evaluate, generate
from zoo.special_ids import EOS
from zoo.storage import files

TINY = (
    "model.d_model=12",
    "model.encoder.n_layers=1",
    "model.source.vocab_size=301",
    "model.position={type: learned, max_len: 20}",
    "task.max_length=20",
    "task.data={type: grammar, n_train: 67, n_dev: 5, n_test: 11}",
    "task.tokenizer=words",
    "training.max_steps=2",
    "training.validate_every=2",
    "training.validation_sentences=2",
    "training.precision=fp32",
    "training.accelerator=cpu",
    "generation.beam_size=2",
    "generation.max_length=5",
)
LONG = " ".join(["the"] * 20)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    return train(load("quickstart", *TINY, scale="tiny"), folder, progress=False)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def files_of(run: Path) -> set[str]:
    return {path.name for path in run.iterdir() if path.name.startswith(("results", "hypotheses"))}


def written(path: Path, *lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_each_data_set_has_files_of_its_own(run: Path, tmp_path: Path) -> None:
    test = evaluate(run)
    assert files_of(run) == {"results.json", "hypotheses.txt"}
    kept = (run / "results.json").read_bytes(), (run / "hypotheses.txt").read_bytes()
    dev = evaluate(run, split="dev")
    assert files_of(run) == {"results.json", "hypotheses.txt", "results.dev.json", "hypotheses.dev.txt"}
    assert json.loads((run / "results.dev.json").read_text(encoding="utf-8")) == dev != test
    assert len((run / "hypotheses.dev.txt").read_text(encoding="utf-8").splitlines()) == 5
    reference = written(tmp_path / "r.de", "eins")
    for folder in ("a", "b"):  # of one name, and no split
        evaluate(run, data=(written(tmp_path / folder / "dev", "one"), reference))
    evaluate(run, data=(tmp_path / "a" / "dev", written(tmp_path / "other", "zwei")))
    assert len(list(run.glob("results.dev-*.json"))) == len(list(run.glob("hypotheses.dev-*.txt"))) == 3
    evaluate(run, data=(tmp_path / "a" / "dev", reference))
    assert len(list(run.glob("results.dev-*.json"))) == 3  # the same data again
    assert ((run / "results.json").read_bytes(), (run / "hypotheses.txt").read_bytes()) == kept


def test_a_split_of_other_data_than_the_runs_own_is_another_data_set(run: Path) -> None:
    evaluate(run)
    kept = (run / "results.json").read_bytes()
    evaluate(run, "task.data.seed=7")
    assert (run / "results.json").read_bytes() == kept
    assert len(list(run.glob("results.test-*.json"))) == 1


def test_a_name_that_no_file_may_have_is_written_otherwise(run: Path, tmp_path: Path) -> None:
    source = written(tmp_path / ("we ird:* " + "x" * 100 + ".gz"), "one")
    evaluate(run, data=(source, written(tmp_path / "r", "eins")))
    (name,) = (name for name in files_of(run) if name.startswith("results"))
    assert name.startswith("results.we_ird___xxx")
    assert len(name) < 90


def test_scores_that_cannot_be_written_are_returned_all_the_same(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = evaluate(run)

    def refuse(path: Path) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "sync", refuse)
    found = evaluate(run)
    assert found["not_written"] == [
        f"{run / name}: cannot be written: Read-only file system"
        for name in ("hypotheses.txt", "results.json")
    ]
    assert {**found, "seconds": 0} == {**expected, "seconds": 0, "not_written": found["not_written"]}
    assert "not_written" not in expected


def test_what_can_be_written_is(run: Path) -> None:
    (run / "hypotheses.txt").mkdir()
    found = evaluate(run)
    assert len(found["not_written"]) == 1
    assert json.loads((run / "results.json").read_text(encoding="utf-8"))["bleu"] == found["bleu"]


def test_a_line_that_the_model_cannot_take_is_named_and_counts_as_empty(run: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "s.en", "the man sees", LONG, "the woman", LONG + " man")
    results = evaluate(run, data=(source, written(tmp_path / "r.de", *"abcd")))
    assert results["n_sentences"] == 4
    assert results["refused"] == [
        {
            "where": f"{source}:{line}",
            "why": f"{n} tokens, its end included, but the model has positions for 20",
        }
        for line, n in ((2, 21), (4, 22))
    ]
    (hypotheses,) = run.glob("hypotheses.s.en-*.txt")
    lines = hypotheses.read_text(encoding="utf-8").split("\n")
    assert [bool(line) for line in lines] == [True, False, True, False, False]
    text = results_text(results)
    assert "not translated, and scored as empty: 2\n" in text
    assert text.endswith(f"  {source}:4: 22 tokens, its end included, but the model has positions for 20")


def test_lines_are_numbered_as_the_file_has_them_though_bad_ones_are_left_out(
    run: Path, tmp_path: Path
) -> None:
    source = written(tmp_path / "s.en", "the man", "", LONG)
    results = evaluate(run, "task.bad_lines=skip", data=(source, written(tmp_path / "r.de", *"abc")))
    assert [refused["where"] for refused in results["refused"]] == [f"{source}:3"]


def test_a_sentence_of_a_corpus_without_lines_is_named_by_its_number(run: Path) -> None:
    trained = TrainedRun(run)
    lengths = [len(row) + 1 for row in tokens(trained, "test")]
    limit = sorted(lengths)[5]
    trained.model.encoder.position.max_len = limit  # type: ignore[union-attr]
    assert any(length > limit for length in lengths)
    refusals = [number for number, length in enumerate(lengths, start=1) if length > limit]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.run.using.TrainedRun", lambda *_, **__: trained)
        results = evaluate(run)
    assert [refused["where"] for refused in results["refused"]] == [
        f"grammar corpus, test, pair {number}" for number in refusals
    ]


def tokens(trained: TrainedRun, split: str) -> list[list[int]]:
    from zoo.tasks.translation import load_tokenizers

    return load_tokenizers(trained.folder)[0].encode([pair[0] for pair in trained.task.pairs(split)])


def test_many_lines_that_cannot_be_taken_are_counted_and_the_first_named(run: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "s.en", *[LONG] * 7)
    results = evaluate(run, data=(source, written(tmp_path / "r.de", *"abcdefg")))
    assert len(results["refused"]) == 7
    shown = results_text(results).splitlines()[-7:]
    assert shown[0] == "not translated, and scored as empty: 7"
    assert [line.split(": ")[0] for line in shown[1:]] == [*(f"  {source}:{n}" for n in range(1, 6)), "  ..."]


def test_generating_answers_every_line_and_says_why_one_has_no_translation(run: Path) -> None:
    lines = ["the man sees", LONG, "", "the woman"]
    assert [bool(text) for text in generate(run, lines)] == [True, False, False, True]
    outputs = [outputs[0] for outputs in TrainedRun(run).translate(lines)]
    assert [output.refusal for output in outputs] == [
        "",
        "21 tokens, its end included, but the model has positions for 20",
        "no token in it",
        "",
    ]


def test_an_output_stays_within_the_positions_whatever_the_search_allows(run: Path) -> None:
    trained = TrainedRun(run, "task.max_length=10", "generation.max_length=source + 10")
    head = trained.model.head
    with torch.no_grad():
        head.weight[EOS] = 0  # type: ignore[index,operator]
    outputs = [outputs[0] for outputs in trained.translate([" ".join(["the"] * n) for n in (3, 19)])]
    assert [output.refusal for output in outputs] == ["", ""]
    assert max(len(output.tokens) for output in outputs) == 19  # what begins them has the twentieth position


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\u2028", "\x0b"])
def test_every_line_of_the_translations_and_samples_is_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, line_end: str
) -> None:
    from zoo.data.listed import ListedTokenizer

    plain = ListedTokenizer._texts
    monkeypatch.setattr(
        ListedTokenizer, "_texts", lambda self, rows: [line_end.join(text) for text in plain(self, rows)]
    )
    results = evaluate(run)
    assert len((run / "hypotheses.txt").read_text(encoding="utf-8").splitlines()) == 11
    assert len(samples_text(results).splitlines()) == 5 * 3 + 4
    assert all(len(text.splitlines()) == 1 for text in generate(run, ["the man", "the woman"]))


def test_several_references_are_taken_and_named(run: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "s", "the man", "the woman")
    texts = generate(run, ["the man", "the woman"])
    wrong, right = written(tmp_path / "r1", "xyz", "uvw"), written(tmp_path / "r2", *texts)
    results = evaluate(run, "task.metric={report: [chrf++, ter, bleu]}", data=(source, wrong, right))
    assert list(results)[:3] == ["chrf++", "ter", "bleu"]
    assert results["ter"] == 0
    assert results["ter_signature"].startswith("nrefs:2|")
    assert results["data"] == {
        "source": str(source),
        "reference": str(wrong),
        "further_references": [str(right)],
    }
    shown = results_text(results).splitlines()
    assert [line.split()[0] for line in shown[:3]] == ["chrF++", "TER", "BLEU"]
    assert shown[3].startswith(f"{source}, {wrong}, {right}: 2 sentences in ")


def test_samples_are_a_few_different_sentences(run: Path, tmp_path: Path) -> None:
    assert len({sample["source"] for sample in evaluate(run)["samples"]}) == 5
    source = written(tmp_path / "s", "the man", "the woman", "the dog")
    samples = evaluate(run, data=(source, written(tmp_path / "r", *"abc")))["samples"]
    assert [sample["reference"] for sample in samples] == ["a", "b", "c"]


def test_one_file_alone_is_no_data(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="a source file and one or more reference files"):
        evaluate(run, data=(written(tmp_path / "s", "the man"),))


@pytest.mark.parametrize("asked", [True, False])
def test_progress_is_shown_where_asked(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], asked: bool
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.01)
    original: Any = translate._translate_chunk

    def slow(*args: Any) -> Any:
        done = original(*args)
        import time

        time.sleep(0.05)
        return done

    monkeypatch.setattr(translate, "_translate_chunk", slow)
    evaluate(run, progress=asked)
    assert ("translating  11 of 11" in capsys.readouterr().err.splitlines()) == asked
