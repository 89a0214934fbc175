"""Text as it is written: whole letters, and together what the search gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.cli.streaming import print_streams
from zoo.data.tokenizers.bytes import _MARK, TrainedBytes
from zoo.generation.output import one_line
from zoo.generation.streaming import pieces, rest

LINES = ["The boat", "", "A man is", "\udcff"]
SEARCHES = (
    "generation={type: greedy, max_length: 9}",
    "generation={type: sampling, max_length: 25, temperature: 2, min_length: 12, no_repeat_ngram: 2}",
    "generation={type: sampling, max_length: 25, temperature: 3, ids: {end: [3, 9, 11]}}",
)


def drained(given: Any) -> tuple[list[str], str]:
    found = []
    while True:
        try:
            found.append(next(given))
        except StopIteration as end:
            return found, end.value


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = zoo.load("char_gpt", "training.max_steps=3", "training.accelerator=cpu", scale="tiny")
    return zoo.train(run, tmp_path_factory.mktemp("lm") / "run", progress=False)


def test_letters_of_several_bytes_come_whole() -> None:
    text = "a€𝄞 ü\r\nb\u2028"
    ids = [byte + 4 for byte in text.encode()]
    tokenizer = TrainedBytes(_MARK)
    found, given = drained(pieces(ids, tokenizer))
    whole = one_line(tokenizer.decode([ids])[0])
    assert found == ["a", "€", "𝄞", " ", "ü", " ", "b"]
    assert given + rest(whole, given) == whole == "a€𝄞 ü b "


def test_bytes_that_are_no_letter_are_shown_when_they_are_settled() -> None:
    tokenizer = TrainedBytes(_MARK)
    ids = [byte + 4 for byte in b"a\xe2\x82b\xf0\x9d\x84c"]
    found, given = drained(pieces(ids, tokenizer))
    assert given + rest(tokenizer.decode([ids])[0], given) == "a⁇b⁇c"
    assert found == ["a", "⁇b"]


def test_a_tokenizer_that_takes_text_back_is_named() -> None:
    with pytest.raises(RuntimeError, match="cannot be streamed"):
        rest("other", "text")


@pytest.mark.parametrize("search", SEARCHES)
def test_what_is_streamed_is_what_the_search_gives(
    lm: Path, search: str, capsysbinary: Any, tmp_path: Path
) -> None:
    used = zoo.open(lm, search, device="cpu")
    (tmp_path / "lines").write_bytes("\n".join(LINES).encode(errors="surrogateescape"))
    print_streams(used, [str(tmp_path / "lines")])
    shown = capsysbinary.readouterr()
    expected = zoo.generate(lm, LINES, search, device="cpu")
    assert shown.out == "".join(f"{line}\n" for line in expected).encode()
    assert b"lines:4: broken UTF-8 at character 1: no output" in shown.err
    assert len(list(used.stream(LINES[0]))) > 3


def test_beams_cannot_and_say_so(lm: Path) -> None:
    used = zoo.open(lm, "generation={type: beam, max_length: 9}")
    assert not used.streams
    with pytest.raises(zoo.SpecError, match=r"'beam' decides at the end .* greedy and sampling can"):
        used.stream("The boat")
