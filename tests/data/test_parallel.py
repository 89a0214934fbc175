"""Everything that happens before training, from two specs to token ids."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from registry import Spec
from zoo import progress
from zoo.data import cache, parallel
from zoo.data.bad_lines import BadLines
from zoo.data.corpora.grammar import GrammarCorpusSpec
from zoo.data.parallel import PreparedData, prepare
from zoo.errors import DataError, RunError
from zoo.kinds import CORPUS, TOKENIZER


def corpus(folder: Path, **fields: Any) -> Spec:
    spec = CORPUS.entry("parallel_text").spec
    return spec.model_validate(
        {"folder": str(folder), "source_language": "de", "target_language": "en"} | fields
    )


def ready(text_folder: Path, tokenizer: str = "words", **changes: Any) -> PreparedData:
    run = text_folder.parent / "run"
    run.mkdir(exist_ok=True)
    arguments: dict[str, Any] = {
        "source_vocab_size": 29, "target_vocab_size": 29, "joint": True, "max_length": 11,
        "too_long": "error", "bad_lines": "error", "folder": run,
        "cache_folder": text_folder.parent / "cache",
    }  # fmt: skip
    spec = TOKENIZER.entry(tokenizer).spec()
    return prepare(changes.pop("corpus", corpus(text_folder)), spec, **(arguments | changes))


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("tokenizer", ["words", "characters", "sentencepiece"])
@pytest.mark.parametrize("joint", [True, False])
def test_tokens_decode_to_the_text_of_every_split(text_folder: Path, tokenizer: str, joint: bool) -> None:
    data = ready(text_folder, tokenizer, joint=joint, target_vocab_size=29 if joint else 27, max_length=40)
    assert {split: len(pairs) for split, pairs in data.splits.items()} == {"train": 90, "dev": 7, "test": 5}
    for split in data.splits:
        sources, targets = zip(*data.text(split), strict=True)
        pairs = data.splits[split]
        if split == "train":  # the vocabulary is learnt from train alone
            assert data.source_tokenizer.decode([pairs.source[i] for i in range(len(pairs))]) == [*sources]
            assert data.target_tokenizer.decode([pairs.target[i] for i in range(len(pairs))]) == [*targets]
        assert data.source_tokenizer.encode(sources) == [pairs.source[i] for i in range(len(pairs))]
        assert data.target_tokenizer.encode(targets) == [pairs.target[i] for i in range(len(pairs))]
    assert (data.source_tokenizer is data.target_tokenizer) == joint
    if tokenizer == "sentencepiece":
        assert (data.source_tokenizer.vocab_size, data.target_tokenizer.vocab_size) == (
            29,
            29 if joint else 27,
        )


def test_the_run_folder_holds_the_tokenizers(text_folder: Path) -> None:
    ready(text_folder)
    assert files(text_folder.parent / "run") == ["tokenizer.json", "tokenizer.vocabulary.json"]
    (text_folder.parent / "other").mkdir()
    ready(text_folder, "sentencepiece", joint=False, max_length=40, folder=text_folder.parent / "other")
    assert files(text_folder.parent / "other") == [
        f"tokenizer.{side}.{ending}" for side in ("source", "target") for ending in ("json", "model")
    ]


def test_a_resumed_run_trains_nothing_and_finds_the_same(
    text_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(text_folder)

    def fail(*given: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(parallel, "_train", fail)
    again = ready(text_folder, is_resumed=True)
    assert again.fingerprint == first.fingerprint
    assert again.source_tokenizer.sha256 == first.source_tokenizer.sha256


def test_a_resumed_run_without_its_tokenizer_is_an_error(text_folder: Path) -> None:
    with pytest.raises(RunError, match=r"tokenizer\.json: cannot be read"):
        ready(text_folder, is_resumed=True)


def test_a_tokenizer_that_does_not_fit_the_spec_is_an_error(text_folder: Path) -> None:
    ready(text_folder)
    with pytest.raises(RunError, match="holds a words tokenizer; the spec asks for characters"):
        ready(text_folder, "characters", is_resumed=True)
    with pytest.raises(RunError, match=r"holds \d+ ids; the model has room for 5"):
        ready(text_folder, source_vocab_size=5, target_vocab_size=5, is_resumed=True)


def test_a_damaged_tokenizer_stops_a_run_before_it_starts(text_folder: Path) -> None:
    ready(text_folder)
    vocabulary = text_folder.parent / "run" / "tokenizer.vocabulary.json"
    tokens = json.loads(vocabulary.read_text())
    vocabulary.write_text(json.dumps([tokens[1], tokens[0], *tokens[2:]], ensure_ascii=False, indent=0))
    for is_resumed in (True, False):
        with pytest.raises(RunError, match="not the tokenizer that was saved"):
            ready(text_folder, is_resumed=is_resumed)


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_bad_data_in_any_split_is_found_before_a_tokenizer_is_trained(
    text_folder: Path, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (text_folder / f"{split}.en").open("ab") as file:
        file.write(b"one more\n")
    monkeypatch.setattr(parallel, "_train", None)
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
    data = ready(text_folder, bad_lines="skip", too_long="drop", source_vocab_size=49, target_vocab_size=49)
    left_out = {"broken UTF-8": 1, "over max_length": 1}
    assert data.counts == {"train": left_out, "dev": left_out, "test": {}}
    text = list(data.text("dev"))
    assert text[0] == ("first", "x")
    assert len(text) == len(data.splits["dev"]) == 8
    assert data.source_tokenizer.encode([source for source, _ in text]) == [
        data.splits["dev"].source[i] for i in range(8)
    ]
    assert "train.de: 1 pair left out: over max_length" in caplog.text


def test_a_long_pair_is_an_error_that_names_file_and_line(text_folder: Path) -> None:
    for name, text in {"dev.de": b"\xff\nfirst\nsecond\n", "dev.en": b"x\nx\n" + b"x " * 12 + b"\n"}.items():
        (text_folder / name).write_bytes(text)
    with pytest.raises(DataError, match=r"dev\.de:3: 14 tokens with EOS or BOS, over max_length 11 "):
        ready(text_folder, bad_lines="skip")


def test_nothing_left_of_a_split_is_an_error(text_folder: Path) -> None:
    for name in ("dev.de", "dev.en"):
        (text_folder / name).write_bytes(b"\xff\n\xfe\n")
    with pytest.raises(DataError, match=r"dev\.de: no pair is left; left out: {'broken UTF-8': 2}"):
        ready(text_folder, bad_lines="skip")


def test_the_fingerprint_follows_text_and_tokenizer(text_folder: Path) -> None:
    prints = {ready(text_folder).fingerprint}
    prints.add(ready(text_folder, max_length=12).fingerprint)
    with (text_folder / "dev.de").open("a") as source, (text_folder / "dev.en").open("a") as target:
        source.write("more\n")
        target.write("more\n")
    prints.add(ready(text_folder).fingerprint)
    (text_folder.parent / "run2").mkdir()
    prints.add(
        ready(text_folder, "characters", max_length=40, folder=text_folder.parent / "run2").fingerprint
    )
    assert len(prints) == 4


def test_a_corpus_without_test_split_is_prepared(text_folder: Path) -> None:
    assert list(ready(text_folder, corpus=corpus(text_folder, test=None)).splits) == ["train", "dev"]


def test_joint_tokenizers_need_one_size(text_folder: Path) -> None:
    with pytest.raises(ValueError, match="a joint tokenizer needs equal sizes, got 29 and 28"):
        ready(text_folder, target_vocab_size=28)


def test_the_embedded_corpus_is_prepared(text_folder: Path) -> None:
    spec = GrammarCorpusSpec(n_train=211, n_dev=7, n_test=11, seed=1)
    data = ready(text_folder, "sentencepiece", corpus=spec, source_vocab_size=257, target_vocab_size=257,
                 max_length=99)  # fmt: skip
    assert [len(pairs) for pairs in data.splits.values()] == [211, 7, 11]
    assert all(text[0].isupper() for pair in data.text("test") for text in pair)


def test_specs_are_read_without_lightning() -> None:
    code = (
        "import sys; from zoo.kinds import CORPUS, TOKENIZER; CORPUS.names(); TOKENIZER.names(); "
        "import zoo.data.parallel, zoo.data.batches, zoo.data.collate; "
        "sys.exit([name for name in sys.modules if name.startswith(('lightning', 'transformers'))] != [])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


MEMORY = """
import resource, sys
from pathlib import Path
from zoo.data.parallel import prepare
from zoo.kinds import CORPUS, TOKENIZER

folder = Path(sys.argv[1])
corpus = CORPUS.entry("parallel_text").spec(folder=sys.argv[1], source_language="en", target_language="de")
tokenizer = TOKENIZER.entry("sentencepiece").spec(max_training_lines=5000)
data = prepare(corpus, tokenizer, source_vocab_size=2000, target_vocab_size=2000, joint=True, max_length=256,
               too_long="drop", bad_lines="error", folder=folder, cache_folder=folder / "cache")
assert len(data.splits["train"]) == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_corpus(text_folder: Path) -> None:
    spec = GrammarCorpusSpec(n_train=10_000, n_dev=50, n_test=50, seed=1)
    built = CORPUS.build(spec)
    peaks = {}
    for n in (20_000, 300_000):
        for split, size in {"train": n, "dev": 50, "test": 50}.items():
            pairs = list(built.pairs(split, bad_lines=BadLines("error")))
            for side, language in enumerate(("en", "de")):
                with (text_folder / f"{split}.{language}").open("w", encoding="utf-8") as file:
                    file.writelines(f"{pairs[i % len(pairs)][side]} {i}\n" for i in range(size))
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
        ("training the tokenizer", 0, None), ("tokenizing train", 0, 90), ("tokenizing train", 50, 90),
        ("tokenizing train", 90, 90), ("tokenizing dev", 0, 7), ("tokenizing dev", 7, 7), ("tokenizing test", 0, 5),
        ("tokenizing test", 5, 5),
    ]  # fmt: skip
    said.clear()
    ready(text_folder, report=lambda *now: said.append(now))
    assert said == []  # all is there


def test_the_text_of_a_split_has_all_its_references(text_folder: Path) -> None:
    texts = (text_folder / "dev.en").read_text(encoding="utf-8").splitlines()
    (text_folder / "dev.en2").write_text("".join(f"{text} again\n" for text in texts), encoding="utf-8")
    data = ready(
        text_folder, corpus=corpus(text_folder, dev_references=["dev.en2"]), max_length=6, too_long="drop"
    )
    rows = list(data.text("dev"))
    assert 0 < len(rows) < 7  # the others are too long
    assert [further for _, _, further in rows] == [f"{reference} again" for _, reference, _ in rows]
