"""From lines to lines: order, batches, chunks, empty lines."""

import pytest
import torch

from zoo.generation.search import Hypothesis
from zoo.generation.translate import length_batches, one_line, translate
from zoo.kinds import POSITION, TOKENIZER
from zoo.special_ids import EOS, PAD


class Letters:
    """a is 4, b is 5, and so on; a space is no token."""

    def encode(self, lines):
        return [[ord(letter) - 93 for letter in line if letter != " "] for line in lines]

    def decode(self, tokens):
        return ["".join(chr(token + 93) for token in row) for row in tokens]

    def is_token(self):
        return [True] * 30


class Reversal:
    """Decodes a sentence to its tokens in reverse, and as second best to the tokens themselves."""

    def __init__(self):
        self.batches = []

    def __call__(self, model, source, mask, *, is_token):
        assert is_token.tolist() == [True] * 30
        assert torch.equal(mask, source != PAD)
        self.batches.append(mask.sum(1).tolist())
        found = []
        for row, real in zip(source, mask, strict=True):
            *tokens, end = row[real].tolist()
            assert end == EOS
            found.append([Hypothesis(tokens[::-1], -1.0, -2.0), Hypothesis(tokens, -3.0, -4.0)])
        return found


def run(lines, decoding, **sizes):
    return translate(torch.nn.Linear(1, 1), (Letters(), Letters()), lines, decoding, **sizes)


def test_outputs_come_in_the_order_of_the_lines_best_first():
    decoding = Reversal()
    outputs = list(run(["abc", "a", "abcdef", "ab"], decoding, batch_tokens=9))
    assert [[o.text for o in output] for output in outputs] == [
        ["cba", "abc"], ["a", "a"], ["fedcba", "abcdef"], ["ba", "ab"],
    ]  # fmt: skip
    assert outputs[0][1].score == -3.0
    assert outputs[0][0].tokens == [6, 5, 4]
    assert decoding.batches == [[7], [4, 3], [2]]


def test_an_empty_line_gives_an_empty_output_and_reaches_no_model():
    decoding = Reversal()
    outputs = list(run(["", "ab", "   "], decoding))
    assert [output[0].text for output in outputs] == ["", "ba", ""]
    assert outputs[0][0].score == 0.0
    assert decoding.batches == [[3]]
    assert list(run([], decoding)) == []
    assert [output[0].text for output in run(["", ""], decoding)] == ["", ""]


def test_a_line_that_is_no_text_reaches_no_tokenizer_and_costs_only_itself():
    decoding = Reversal()
    outputs = list(run(["abc", "ab\udcffc", "ab"], decoding))
    assert [output[0].text for output in outputs] == ["cba", "", "ba"]
    assert [output[0].refusal for output in outputs] == ["", "broken UTF-8 at character 3", ""]
    assert decoding.batches == [[4, 3]]


class Limited(torch.nn.Module):
    """A model whose encoder has positions for so many tokens, the end of a source included."""

    def __init__(self, max_len):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        spec = POSITION.entry("learned").spec(max_len=max_len)
        self.encoder = torch.nn.ModuleList([POSITION.build(spec, d_model=2, n_heads=1)])


def test_a_line_longer_than_the_models_positions_costs_only_itself():
    decoding = Reversal()
    lines = ["abc", "abcdef", "abcde", "  "]
    outputs = list(translate(Limited(6), (Letters(), Letters()), lines, decoding))
    assert [output[0].text for output in outputs] == ["cba", "", "edcba", ""]
    assert [output[0].refusal for output in outputs] == [
        "",
        "7 tokens, its end included, but the model has positions for 6",
        "",
        "no token in it",
    ]
    assert decoding.batches == [[6, 4]]


class Breaking(Letters):
    """Writes a line separator for each letter x."""

    def __init__(self, separator):
        self.separator = separator

    def decode(self, tokens):
        return [text.replace("x", self.separator) for text in super().decode(tokens)]


SEPARATORS = [chr(i) for i in range(0x110000) if len(f"a{chr(i)}b".splitlines()) > 1]


@pytest.mark.parametrize("separator", [*SEPARATORS, "\r\n"], ids=ascii)
def test_every_output_is_one_line(separator):
    tokenizers = Letters(), Breaking(separator)
    [output] = translate(torch.nn.Linear(1, 1), tokenizers, ["axb"], Reversal())
    assert [hypothesis.text for hypothesis in output] == ["b a", "a b"]


def test_a_byte_of_a_vocabulary_that_ends_a_line_is_a_space():
    builder = TOKENIZER.build(TOKENIZER.entry("sentencepiece").spec(byte_fallback=True))
    tokenizer = builder.train(["the dog and the cat"] * 9, vocab_size=280)
    separators = ["\n", "\r", "\u2028"]
    (before, *separators, after) = tokenizer.encode(["the dog", *separators, " cat"])
    # Each of them as the bytes that it is spelled with, after the token for the space that begins a text.
    tokens = [*before, *[number for row in separators for number in row], *after]
    assert tokenizer.decode([tokens])[0].count("\n") == 1

    def write(model, source, mask, *, is_token):
        return [[Hypothesis(tokens, -1.0, -1.0)] for _ in source]

    [[output]] = translate(torch.nn.Linear(1, 1), (tokenizer, tokenizer), ["the cat"], write)
    assert len(output.text.splitlines()) == 1
    assert output.text.split() == ["the", "dog", "cat"]


def test_one_line_leaves_all_else_as_it_is():
    text = " a\tb\u00a0c\u3000d\u200b\ufeff "
    assert one_line(text) == text
    assert one_line("a\n\nb\n") == "a  b "


def test_progress_counts_the_lines_that_are_done():
    calls = []
    lines = ["abc", "", "abcdef", "ab", "a"]
    report = lambda done, total: calls.append((done, total))  # noqa: E731
    list(run(lines, Reversal(), batch_tokens=8, progress=report))
    assert calls == [(1, 5), (2, 5), (4, 5), (5, 5)]
    calls.clear()
    list(run(iter(lines), Reversal(), batch_tokens=8, chunk_lines=3, progress=report))
    assert calls == [(1, None), (2, None), (3, None), (3, None), (5, None)]


def test_an_endless_input_is_translated_chunk_by_chunk():
    taken = []

    def lines():
        for n in range(1000):
            taken.append(n)
            yield "ab"

    outputs = run(lines(), Reversal(), chunk_lines=5)
    next(outputs)
    assert len(taken) == 5


def test_chunks_give_what_one_batch_gives():
    lines = ["abc"[: n % 4] for n in range(11)]
    assert list(run(lines, Reversal(), chunk_lines=3)) == list(run(lines, Reversal()))


@pytest.mark.parametrize("budget", [1, 12, 40, 1000])
def test_batches_hold_every_item_once_within_the_budget(budget):
    torch.manual_seed(budget)
    lengths = torch.randint(0, 20, (50,)).tolist()
    batches = length_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == [i for i, length in enumerate(lengths) if length]
    for batch in batches:
        longest = max(lengths[i] for i in batch)
        assert len(batch) * longest <= budget or len(batch) == 1
