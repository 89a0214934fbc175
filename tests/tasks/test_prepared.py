"""Everything that happens before training, from the specs of a task and a model to examples."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry import Spec, parse
from zoo import progress
from zoo.data import cache
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.grammar import GrammarCorpusSpec
from zoo.errors import DataError, RunError
from zoo.kinds import CORPUS, Row
from zoo.progress import Report
from zoo.special_ids import EOS
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.translation import Translation, TranslationSpec


class Embedding(Spec):
    vocab_size: int


class Model(Spec):
    """What a translation asks of a model's spec."""

    source: Embedding
    target: Embedding | None = None

    @property
    def slots(self) -> dict[str, Embedding]:
        return {"source": self.source, "target": self.target or self.source}


def model(source: int = 29, target: int | None = None) -> Model:
    return Model(source=Embedding(vocab_size=source), target=target and Embedding(vocab_size=target))


def corpus(folder: Path, **fields: Any) -> dict[str, Any]:
    given = {"folder": str(folder), "source_language": "de", "target_language": "en"}
    return {"type": "parallel_text", **given, **fields}


def ready(
    text_folder: Path,
    tokenizer: str = "words",
    *,
    vocabularies: Model | None = None,
    folder: Path | None = None,
    is_resumed: bool = False,
    report: Report | None = None,
    **changes: Any,
) -> PreparedTask:
    run = folder or text_folder.parent / "run"
    run.mkdir(exist_ok=True)
    fields: dict[str, Any] = {
        "data": corpus(text_folder), "tokenizer": tokenizer, "max_length": 11, "too_long": "error",
        "cache": str(text_folder.parent / "cache"),
    }  # fmt: skip
    return prepare(
        parse(TranslationSpec, fields | changes),
        model=vocabularies or model(),
        folder=run,
        tokens_per_batch=120,
        seed=3,
        is_resumed=is_resumed,
        report=report,
    )


def tokenizers(data: PreparedTask) -> Any:
    assert isinstance(data.task, Translation)
    return data.task.tokenizers


def read(data: PreparedTask, split: str) -> list[Row]:
    return list(data._corpus.rows(split, bad_lines=BadLines("skip")))


def sides(data: PreparedTask, split: str) -> list[list[list[int]]]:
    """The tokens of each side of each example, without the end that each has."""
    store = data._splits[split]
    found = [[store[number][side].tolist() for number in range(len(store))] for side in ("source", "target")]
    assert all(row[-1] == EOS for side in found for row in side)
    return [[row[:-1] for row in side] for side in found]


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("tokenizer", ["words", "characters", "sentencepiece"])
@pytest.mark.parametrize("joint", [True, False])
def test_tokens_decode_to_the_text_of_every_split(text_folder: Path, tokenizer: str, joint: bool) -> None:
    data = ready(text_folder, tokenizer, vocabularies=model(29, None if joint else 27), max_length=40)
    assert {split: len(store) for split, store in data._splits.items()} == {"train": 90, "dev": 7, "test": 5}
    source_tokenizer, target_tokenizer = tokenizers(data)
    for split in data._splits:
        rows = read(data, split)
        sources, targets = sides(data, split)
        if split == "train":  # the vocabulary is learnt from train alone
            assert source_tokenizer.decode(sources) == [row["source"] for row in rows]
            assert target_tokenizer.decode(targets) == [row["target"] for row in rows]
        assert source_tokenizer.encode([row["source"] for row in rows]) == sources
        assert target_tokenizer.encode([row["target"] for row in rows]) == targets
    assert (source_tokenizer is target_tokenizer) == joint
    if tokenizer == "sentencepiece":
        assert (source_tokenizer.vocab_size, target_tokenizer.vocab_size) == (29, 29 if joint else 27)


def test_the_run_folder_holds_the_tokenizers(text_folder: Path) -> None:
    ready(text_folder)
    assert files(text_folder.parent / "run") == ["tokenizer.json", "tokenizer.vocabulary.json"]
    other = text_folder.parent / "other"
    ready(text_folder, "sentencepiece", vocabularies=model(29, 29), max_length=40, folder=other)
    assert files(other) == [
        f"tokenizer.{side}.{ending}" for side in ("source", "target") for ending in ("json", "model")
    ]


def test_a_resumed_run_trains_nothing_and_finds_the_same(
    text_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(text_folder)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Translation, "learn", fail)
    for is_resumed in (True, False):  # not even a run that never began
        again = ready(text_folder, is_resumed=is_resumed)
        assert again.fingerprint == first.fingerprint
        assert tokenizers(again)[0].sha256 == tokenizers(first)[0].sha256


def test_a_resumed_run_without_its_tokenizer_is_an_error(text_folder: Path) -> None:
    with pytest.raises(RunError, match=r"tokenizer\.json: cannot be read"):
        ready(text_folder, is_resumed=True)


def test_a_tokenizer_that_does_not_fit_the_spec_is_an_error(text_folder: Path) -> None:
    ready(text_folder)
    with pytest.raises(RunError, match="holds a words tokenizer; the spec asks for characters"):
        ready(text_folder, "characters", is_resumed=True)
    with pytest.raises(RunError, match=r"holds \d+ ids; the model has room for 5"):
        ready(text_folder, vocabularies=model(5), is_resumed=True)


def test_a_damaged_tokenizer_stops_a_run_before_it_starts(text_folder: Path) -> None:
    ready(text_folder)
    vocabulary = text_folder.parent / "run" / "tokenizer.vocabulary.json"
    tokens = json.loads(vocabulary.read_text())
    vocabulary.write_text(json.dumps([tokens[1], tokens[0], *tokens[2:]], ensure_ascii=False, indent=0))
    for is_resumed in (True, False):
        with pytest.raises(RunError, match="not what was saved"):
            ready(text_folder, is_resumed=is_resumed)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_bad_data_in_any_split_is_found_before_a_tokenizer_is_trained(
    text_folder: Path, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (text_folder / f"{split}.en").open("ab") as file:
        file.write(b"one more\n")
    monkeypatch.setattr(Translation, "learn", None)
    with pytest.raises(DataError, match=rf"{split}\.en:\d+: this line has no partner"):
        ready(text_folder)
    assert files(text_folder.parent / "run") == []


def test_lines_left_out_are_counted_and_the_text_stays_aligned(
    text_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("dev", "train"):
        source, target = text_folder / f"{split}.de", text_folder / f"{split}.en"
        source.write_bytes(b"first\n\xff\nlast but one\n" + source.read_bytes())
        target.write_bytes(b"x\nx\n" + b"x " * 12 + b"\n" + target.read_bytes())
    data = ready(text_folder, bad_lines="skip", too_long="drop", vocabularies=model(49))
    left_out = {"broken UTF-8": 1, "over max_length": 1}
    assert data.counts == {"train": left_out, "dev": left_out, "test": {}}
    rows = read(data, "dev")
    kept = [rows[0], *rows[2:]]
    assert kept[0] == {"source": "first", "target": "x"}
    assert list(data.rows("dev")) == kept
    assert list(data.rows("train")) == [row for row in read(data, "train") if row["source"] != "last but one"]
    with pytest.raises(DataError, match=r"the data has no split 'tset'; did you mean 'test'\?"):
        data.rows("tset")
    for tokenizer, side, tokens in zip(
        tokenizers(data), ("source", "target"), sides(data, "dev"), strict=True
    ):
        assert tokenizer.encode([row[side] for row in kept]) == tokens
    assert "train.de: 1 row left out: over max_length" in caplog.text


def test_a_long_pair_is_an_error_that_names_file_and_line(text_folder: Path) -> None:
    for name, text in {"dev.de": b"\xff\nfirst\nsecond\n", "dev.en": b"x\nx\n" + b"x " * 12 + b"\n"}.items():
        (text_folder / name).write_bytes(text)
    with pytest.raises(DataError, match=r"dev\.de:3: 14 tokens with EOS or BOS, over max_length 11 "):
        ready(text_folder, bad_lines="skip")


def test_nothing_left_of_a_split_is_an_error(text_folder: Path) -> None:
    for name in ("dev.de", "dev.en"):
        (text_folder / name).write_bytes(b"\xff\n\xfe\n")
    with pytest.raises(DataError, match=r"dev\.de: no row is left; left out: {'broken UTF-8': 2}"):
        ready(text_folder, bad_lines="skip")


def test_the_example_shown_is_the_first_that_is_learnt_from(text_folder: Path) -> None:
    for language, long in (("de", "first"), ("en", "x " * 12)):
        file = text_folder / f"train.{language}"
        file.write_text(f"{long.strip()}\n{file.read_text()}")
    data = ready(text_folder, too_long="drop", vocabularies=model(49))
    assert read(data, "train")[0]["source"] == "first"
    assert data.example() == "train0 aa → train0 x"


def test_the_fingerprint_follows_text_and_tokenizer(text_folder: Path) -> None:
    prints = {ready(text_folder).fingerprint}
    prints.add(ready(text_folder, max_length=12).fingerprint)
    with (text_folder / "dev.de").open("a") as source, (text_folder / "dev.en").open("a") as target:
        source.write("more\n")
        target.write("more\n")
    prints.add(ready(text_folder).fingerprint)
    run2 = text_folder.parent / "run2"
    prints.add(ready(text_folder, "characters", max_length=40, folder=run2).fingerprint)
    assert len(prints) == 4


def test_a_corpus_without_test_split_is_prepared(text_folder: Path) -> None:
    assert list(ready(text_folder, data=corpus(text_folder, test=None))._splits) == ["train", "dev"]


def test_the_embedded_corpus_is_prepared(text_folder: Path) -> None:
    data = ready(text_folder, "sentencepiece", data={"type": "grammar", "n_train": 211, "n_dev": 7, "n_test": 11},
                 vocabularies=model(257), max_length=99)  # fmt: skip
    assert [len(store) for store in data._splits.values()] == [211, 7, 11]
    assert all(text[0].isupper() for row in read(data, "test") for text in row.values())


MEMORY = """
import resource, sys
from pathlib import Path
from zoo.run.spec import load
from zoo.tasks.prepared import prepare

folder = Path(sys.argv[1])
run = load("quickstart", "model.source.vocab_size=2000",
           "task.tokenizer={type: sentencepiece, max_training_lines: 5000}",
           "task.data={type: parallel_text, folder: %s, source_language: en, target_language: de}" % folder)
made = prepare(run.task, model=run.model, folder=folder, tokens_per_batch=2048, seed=1, is_resumed=False)
assert len(made._splits["train"]) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(text_folder: Path) -> None:
    spec = GrammarCorpusSpec(n_train=10_000, n_dev=50, n_test=50, seed=1)
    built = CORPUS.build(spec)
    peaks = {}
    for n in (20_000, 300_000):
        for split, size in {"train": n, "dev": 50, "test": 50}.items():
            rows = list(built.rows(split, bad_lines=BadLines("error")))
            for side, language in {"source": "en", "target": "de"}.items():
                with (text_folder / f"{split}.{language}").open("w", encoding="utf-8") as file:
                    file.writelines(f"{rows[i % len(rows)][side]} {i}\n" for i in range(size))
        for old in text_folder.glob("tokenizer*"):
            old.unlink()
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(text_folder), str(n)],
            check=True,
            capture_output=True,
            text=True,
        )
        peaks[n] = int(done.stdout) / 1024
    assert (
        peaks[300_000] - peaks[20_000] < 60
    )  # MiB; the ids alone of 280,000 more pairs would take 22 in 16 bits


def test_preparing_says_what_it_does_and_how_far_it_is(
    text_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "COUNT_EVERY", 40)
    monkeypatch.setattr(cache, "CHUNK", 50)
    said: list[tuple[str, int, int | None]] = []
    ready(text_folder, report=lambda *now: said.append(now))
    assert said == [
        ("reading test", 0, None), ("reading dev", 0, None), ("reading train", 0, None), ("reading train", 40, None),
        ("reading train", 80, None), ("reading text for the tokenizer", 0, 90),
        ("reading text for the tokenizer", 40, 90), ("reading text for the tokenizer", 80, 90),
        ("training the tokenizer", 0, None), ("encoding train", 0, 90), ("encoding train", 50, 90),
        ("encoding train", 90, 90), ("encoding dev", 0, 7), ("encoding dev", 7, 7), ("encoding test", 0, 5),
        ("encoding test", 5, 5),
    ]  # fmt: skip
    said.clear()
    ready(text_folder, report=lambda *now: said.append(now))
    assert said == []  # all is there


def test_the_examples_of_a_scored_split_have_all_their_references(text_folder: Path) -> None:
    texts = (text_folder / "dev.en").read_text(encoding="utf-8").splitlines()
    (text_folder / "dev.en2").write_text("".join(f"{text} again\n" for text in texts), encoding="utf-8")
    data = ready(
        text_folder, data=corpus(text_folder, dev_references=["dev.en2"]), max_length=6, too_long="drop"
    )
    store = data._splits["dev"]
    assert 0 < len(store) < 7  # the others are too long
    for number in range(len(store)):
        reference, further = store[number]["references"].tobytes().decode().split("\n")
        assert further == f"{reference} again"
    assert "references" not in data._splits["train"].columns
