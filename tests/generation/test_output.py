"""From what a search finds to text, each on one line."""

import pytest

from zoo.generation.output import one_line, outputs
from zoo.generation.search import Hypothesis
from zoo.kinds import TOKENIZER


class Breaking:
    """a is 4, b is 5, and so on; a line separator stands for x."""

    def __init__(self, separator):
        self.separator = separator

    def decode(self, rows):
        return ["".join(chr(token + 93) for token in row).replace("x", self.separator) for row in rows]


SEPARATORS = [line[-1] for line in "".join(map(chr, range(0x110000))).splitlines(keepends=True)[:-1]]


@pytest.mark.parametrize("separator", [*SEPARATORS, "\r\n"], ids=ascii)
def test_every_output_is_one_line(separator):
    found = outputs(
        [Hypothesis([5, 27, 4], -1.0, -2.0), Hypothesis([4, 27, 5], -3.0, -4.0)], Breaking(separator)
    )
    assert [output.text for output in found] == ["b a", "a b"]
    assert [(output.score, output.tokens) for output in found] == [(-1.0, [5, 27, 4]), (-3.0, [4, 27, 5])]


def test_a_byte_of_a_vocabulary_that_ends_a_line_is_a_space():
    builder = TOKENIZER.build(TOKENIZER.entry("sentencepiece").spec(byte_fallback=True))
    tokenizer = builder.train(["the dog and the cat"] * 9, vocab_size=280)
    separators = ["\n", "\r", "\u2028"]
    (before, *separators, after) = tokenizer.encode(["the dog", *separators, " cat"])
    # Each of them as the bytes that it is spelled with, after the token for the space that begins a text.
    tokens = [*before, *[number for row in separators for number in row], *after]
    assert tokenizer.decode([tokens])[0].count("\n") == 1

    [found] = outputs([Hypothesis(tokens, -1.0, -1.0)], tokenizer)
    assert len(found.text.splitlines()) == 1
    assert found.text.split() == ["the", "dog", "cat"]


def test_one_line_leaves_all_else_as_it_is():
    text = " a\tb\u00a0c\u3000d\u200b\ufeff "
    assert one_line(text) == text
    assert one_line("a\n\nb\n") == "a  b "
