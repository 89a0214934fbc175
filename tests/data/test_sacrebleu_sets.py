"""Test sets of sacrebleu beside a corpus to learn from; its cache is laid out here as sacrebleu lays it out."""

from __future__ import annotations

import io
import urllib.error
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.dataset import DATASETS

from registry import SpecError, parse
from zoo.data.bad_lines import BadLines
from zoo.data.sacrebleu_sets import files_of_test_set, is_test_set
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, Row

SOURCE = ["The dog runs.", "AT&amp;T  and a <i>cat</i>."]
TARGET = ["Der Hund läuft.", "AT&amp;T und eine Katze."]
PAIR = ("en", "de")


def no_network(url: str) -> None:
    raise urllib.error.URLError("no network in tests")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sacrebleu's folder, with nothing in it, for the sets that are used here."""
    home = tmp_path / ".sacrebleu"
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    for name in ("wmt13", "wmt14", "wmt14/full", "wmt20/tworefs"):
        monkeypatch.setattr(DATASETS[name], "_outdir", str(home / name))
        monkeypatch.setattr(DATASETS[name], "_rawdir", str(home / name / "raw"))
    return home


def lay_out(home: Path, name: str, **texts: list[str]) -> None:
    """What is there of a set after its download: the archive, and what it holds, files of SGML."""
    raw = home / name / "raw"
    for path, lines in zip(DATASETS[name].langpairs["en-de"], texts.values(), strict=True):
        segments = "".join(f'<seg id="{n}">{line}</seg>\n' for n, line in enumerate(lines, 1))
        (raw / path).parent.mkdir(parents=True, exist_ok=True)
        (raw / path).write_text(
            f'<srcset setid="a" srclang="any">\n<doc docid="b" genre="news" origlang="en">\n<p>\n{segments}</p>\n'
            "</doc>\n</srcset>\n"
        )
    for url in DATASETS[name].data:
        (raw / f"{name.replace('/', '_')}.{url.rpartition('/')[2]}").write_bytes(b"an archive")


def corpus(**given: Any) -> Corpus:
    grammar = {"type": "grammar", "source_language": "en", "n_train": 23, "n_dev": 5, "n_test": 7}
    spec = parse(
        CORPUS.entry("sacrebleu").spec,
        {"type": "sacrebleu", "test_set": "wmt14/full", "source_language": "en", "target_language": "de",
         "corpus": grammar, **given},
    )  # fmt: skip
    built: Corpus = CORPUS.build(spec)
    return built


def rows(made: Corpus, split: str) -> list[Row]:
    return list(made.rows(split, bad_lines=BadLines("error")))


def test_the_test_split_is_sacrebleus_and_the_others_are_the_corpus(cache: Path) -> None:
    made = corpus()  # before there is anything: it is looked for when it is asked for
    assert made.splits() == ["train", "dev", "test"]
    assert [len(rows(made, split)) for split in ("train", "dev")] == [23, 5]
    lay_out(cache, "wmt14/full", source=SOURCE, target=TARGET)
    assert rows(made, "test") == [
        {"source": "The dog runs.", "target": "Der Hund läuft."},
        # As sacrebleu gives them: spaces joined, entities and other tags as they are.
        {"source": "AT&amp;T and a <i>cat</i>.", "target": "AT&amp;T und eine Katze."},
    ]
    assert made.where("test") == str(cache / "wmt14/full/wmt14_full.en-de.src")
    assert made.where("train") == corpus().where("train") != made.where("test")


def test_the_validation_may_be_sacrebleus_too(cache: Path) -> None:
    lay_out(cache, "wmt13", source=["One."], target=["Eins."])
    made = corpus(dev_set="wmt13")
    assert rows(made, "dev") == [{"source": "One.", "target": "Eins."}]
    assert made.fingerprint("dev") != corpus().fingerprint("dev")
    assert made.fingerprint("train") == corpus().fingerprint("train")


def test_all_references_are_compared_with(cache: Path) -> None:
    lay_out(cache, "wmt20/tworefs", source=["One."], target=["Eins."], second=["Die Eins."])
    made = corpus(test_set="wmt20/tworefs")
    assert rows(made, "test") == [{"source": "One.", "target": "Eins.", "references": ["Die Eins."]}]


def test_the_fingerprint_is_of_the_sets_files(cache: Path) -> None:
    lay_out(cache, "wmt14/full", source=SOURCE, target=TARGET)
    first = corpus().fingerprint("test")
    file = cache / "wmt14/full/wmt14_full.en-de.ref"
    file.write_text(file.read_text().replace("Hund", "Hahn"))
    assert corpus().fingerprint("test") != first


def test_what_cannot_be_had_is_one_line(cache: Path) -> None:
    with pytest.raises(DataError) as raised:
        rows(corpus(), "test")
    assert str(raised.value) == (
        f"sacrebleu's wmt14/full (en-de) is not in {cache / 'wmt14/full'}, and cannot be downloaded: <urlopen error no "
        "network in tests>; where there is a network, `sacrebleu -t wmt14/full -l en-de --echo src` puts it there"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"test_set": "wmt14/ful"}, r"sacrebleu knows no test set 'wmt14/ful'; did you mean 'wmt14/full'\?"),
        (
            {"target_language": "dk"},
            r"sacrebleu's wmt14/full has no en-dk; did you mean 'en-\w+'\? \(known: cs-en, ",
        ),
    ],
)
def test_an_unknown_set_or_pair_is_refused(given: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(corpus(**given), "test")


def test_a_cache_that_is_not_whole_is_named(cache: Path) -> None:
    lay_out(cache, "wmt14/full", source=SOURCE, target=TARGET)
    (cache / "wmt14/full/raw/test-full/newstest2014-deen-ref.de.sgm").unlink()
    with pytest.raises(
        DataError, match=r"newstest2014-deen-ref\.de\.sgm: sacrebleu's cache is not whole; remove "
    ):
        rows(corpus(), "test")


def test_a_download_that_is_damaged_is_named(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda url: io.BytesIO(b"half of it"))  # of another MD5
    with pytest.raises(DataError, match=r"what sacrebleu downloaded of wmt14/full is damaged"):
        rows(corpus(), "test")


def test_lines_without_a_partner_are_named(cache: Path) -> None:
    lay_out(cache, "wmt14/full", source=SOURCE, target=TARGET[:1])
    with pytest.raises(DataError, match=r"wmt14_full\.en-de\.src:2: this line has no partner"):
        rows(corpus(), "test")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"corpus": {"type": "text", "train": "a", "dev": "b"}},
         "corpus gives rows of text: source and target is missing"),
        ({"target_language": "en"}, "source_language and target_language are both 'en'"),
        ({"corpus": {"type": "grammar", "n_trian": 5}}, "n_trian: unknown key; did you mean"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_a_mistake_of_the_spec(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        corpus(**given)


def test_the_names_of_sets_are_sacrebleus() -> None:
    assert is_test_set("wmt14/full")
    assert not is_test_set("wmt14/half")
    with pytest.raises(DataError, match="knows no test set 'wmt14/half'"):
        files_of_test_set("wmt14/half", *PAIR)
