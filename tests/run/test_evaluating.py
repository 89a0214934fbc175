"""An evaluation: which files it writes, and what it says of rows that no model can take."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.dataset import DATASETS

from registry import SpecError
from zoo import progress
from zoo.cli.text import results_text, samples_text
from zoo.data.bad_lines import BadLines
from zoo.data.listed import ListedTokenizer
from zoo.errors import DataError
from zoo.kinds import CORPUS
from zoo.run.evaluating import evaluate
from zoo.run.using import TrainedRun, generate
from zoo.storage import files
from zoo.tasks import answering
from zoo.tasks.translation import Translation, TranslationSpec

LONG = " ".join(["the"] * 20)


def files_of(run: Path) -> set[str]:
    return {path.name for path in run.iterdir() if path.name.startswith(("results", "hypotheses", "answers"))}


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
    assert results["n_rows"] == results["n_sentences"] == 4
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
    assert "not answered, and scored as empty: 2\n" in text
    assert text.endswith(f"  {source}:4: 22 tokens, its end included, but the model has positions for 20")


def test_lines_are_numbered_as_the_file_has_them_though_bad_ones_are_left_out(
    run: Path, tmp_path: Path
) -> None:
    source = written(tmp_path / "s.en", "the man", "", LONG)
    results = evaluate(run, "task.bad_lines=skip", data=(source, written(tmp_path / "r.de", *"abc")))
    assert [refused["where"] for refused in results["refused"]] == [f"{source}:3"]


def test_a_sentence_of_a_corpus_without_lines_is_named_by_its_number(run: Path) -> None:
    trained = TrainedRun(run)
    corpus = CORPUS.build(trained.task.data)
    sources = [row["source"] for row in corpus.rows("test", bad_lines=BadLines("error"))]
    lengths = [len(tokens) + 1 for tokens in tokenizer(trained).encode(sources)]
    limit = sorted(lengths)[5]
    trained.model.encoder.position.max_len = limit  # type: ignore[union-attr]
    assert any(length > limit for length in lengths)
    refusals = [number for number, length in enumerate(lengths, start=1) if length > limit]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.run.evaluating.TrainedRun", lambda *_, **__: trained)
        results = evaluate(run)
    assert [refused["where"] for refused in results["refused"]] == [
        f"grammar corpus, test, row {number}" for number in refusals
    ]


def tokenizer(trained: TrainedRun) -> Any:
    return trained.task.coders["tokenizer"]


def test_many_lines_that_cannot_be_taken_are_counted_and_the_first_named(run: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "s.en", *[LONG] * 7)
    results = evaluate(run, data=(source, written(tmp_path / "r.de", *"abcdefg")))
    assert len(results["refused"]) == 7
    shown = results_text(results).splitlines()[-7:]
    assert shown[0] == "not answered, and scored as empty: 7"
    assert [line.split(": ")[0] for line in shown[1:]] == [*(f"  {source}:{n}" for n in range(1, 6)), "  ..."]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\u2028", "\x0b"])
def test_every_line_of_the_translations_and_samples_is_one(
    run: Path, monkeypatch: pytest.MonkeyPatch, line_end: str
) -> None:
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
    assert shown[3].startswith(f"{source}, {wrong}, {right}: 2 rows in ")


def test_a_test_set_of_sacrebleu_goes_by_its_name(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "wmt14"
    monkeypatch.setattr(DATASETS["wmt14"], "_outdir", str(home))
    for field in ("docid", "genre", "origlang"):
        written(home / f"wmt14.en-de.{field}", "a", "a")
    source = written(home / "wmt14.en-de.src", "the man", "the woman")
    texts = generate(run, ["the man", "the woman"])
    reference, another = written(home / "wmt14.en-de.ref", *texts), written(tmp_path / "r", "x", "y")
    results = evaluate(run, data=("wmt14", "en-de"))
    assert results["data"] == {"source": str(source), "reference": str(reference)}
    assert results["chrf"] == pytest.approx(100)
    assert evaluate(run, data=("wmt14", "en-de", another))["chrf_signature"].startswith("nrefs:2|")
    with pytest.raises(DataError, match=r"sacrebleu's wmt14 has no en-xx; did you mean"):
        evaluate(run, data=("wmt14", "en-xx"))
    written(tmp_path / "set" / "wmt14", "the man", "the woman")
    monkeypatch.chdir(tmp_path / "set")  # a file of that name goes before
    with pytest.raises(DataError, match="en-de: cannot be read"):
        evaluate(run, data=("wmt14", "en-de"))


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
    plain = answering._chunk

    def slow(*args: Any) -> Any:
        done = plain(*args)
        time.sleep(0.05)
        return done

    monkeypatch.setattr(answering, "_chunk", slow)
    evaluate(run, progress=asked)
    assert ("answering  11 of 11" in capsys.readouterr().err.splitlines()) == asked


def test_answers_that_are_no_text_are_lines_of_json(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translation, "writes_text", False)
    source = written(tmp_path / "s.en", "the man sees", LONG, "the woman")
    results = evaluate(run, data=(source, written(tmp_path / "r.de", *"abc")))
    assert {name.partition(".")[0] for name in files_of(run)} == {"results", "answers"}
    (path,) = run.glob("answers.s.en-*.jsonl")
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [sorted(line) for line in found] == [["score", "text"], ["refused"], ["score", "text"]]
    assert found[1]["refused"] == results["refused"][0]["why"]
    assert found[0]["text"] == results["samples"][0]["hypothesis"]


def test_a_task_without_a_metric_is_measured_by_its_loss(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Translation, "metric", lambda self: None)
    all_rows = evaluate(run)
    assert list(all_rows)[:2] == ["loss", "perplexity"]
    assert all_rows["titles"] == {"loss": "loss", "perplexity": "perplexity"}
    assert (all_rows["n_rows"], all_rows["left_out"]) == (11, {})
    assert files_of(run) == {"results.json"}
    short = evaluate(run, "task.max_length=10")
    assert short["left_out"] == {"over max_length": 11 - short["n_rows"]}
    assert 0 < short["n_rows"] < 11
    assert results_text(short).splitlines()[0] == f"loss {short['loss']:.2f}"


def test_files_of_pairs_are_for_tasks_that_read_pairs(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TranslationSpec, "reads", ("source",))
    with pytest.raises(
        SpecError, match=r"data: translation reads source, no pairs of files; say task\.data\.test="
    ):
        evaluate(run, data=(written(tmp_path / "s", "a"), written(tmp_path / "r", "b")))


def test_a_split_that_is_not_there_is_named(run: Path) -> None:
    with pytest.raises(DataError, match=r"the data has no split 'tset'; did you mean 'test'\?"):
        evaluate(run, split="tset")


def test_nothing_to_evaluate_is_an_error(run: Path, tmp_path: Path) -> None:
    source = written(tmp_path / "s", "", "")
    with pytest.raises(DataError, match=r"s: no row to evaluate; left out: {'empty line': 2}"):
        evaluate(run, "task.bad_lines=skip", data=(source, written(tmp_path / "r", "a", "b")))


JAPANESE = {"the cat": "猫が窓から外を見ている。", "the man": "男の人が公園を走っています。"}


@pytest.mark.parametrize(("tokenizer", "n_said"), [("13a", 1), ("char", 0)])
def test_a_language_that_bleu_cannot_cut_is_noticed_in_an_evaluation(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, tokenizer: str, n_said: int
) -> None:
    data = written(tmp_path / "s", *JAPANESE), written(tmp_path / "r", *JAPANESE.values())
    evaluate(run, f"task.metric.tokenizer={tokenizer}", data=data)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == n_said
    assert all(text.endswith("set task.metric.tokenizer=ja-mecab, or char") for text in said)


def test_what_a_score_lacks_is_said(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.tokenizers import tokenizer_ja_mecab

    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)
    with pytest.raises(DataError, match=r"pip install 'sacrebleu\[ja\]'"):
        evaluate(run, "task.metric.tokenizer=ja-mecab")
