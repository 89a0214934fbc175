"""From lines of text to translations of them: order, batches, chunks, lines that no model can take."""

import pytest
import torch

from registry import parse
from zoo.data.tokenizer import Tokenizer
from zoo.generation.search import Hypothesis
from zoo.kinds import POSITION, TASK
from zoo.special_ids import EOS, PAD
from zoo.tasks.answering import answers
from zoo.tasks.task import Refusal
from zoo.tasks.translation import TranslationSpec


class Letters(Tokenizer):
    """a is 4, b is 5, and so on; a space is no token."""

    type = "letters"
    suffix = ".letters"

    def __init__(self):
        super().__init__(b"", 30)

    def encode(self, texts):
        return [[ord(letter) - 93 for letter in text if letter != " "] for text in texts]

    def _texts(self, rows):
        return ["".join(chr(token + 93) for token in row) for row in rows]

    def words(self):
        return []


class Slots:
    """What a translation asks of its model's spec: one embedding for both sides."""

    slots = dict.fromkeys(("source", "target"), object())


class Reversal:
    """Decodes a sentence to its tokens in reverse, and as second best to the tokens themselves."""

    def __init__(self):
        self.batches = []

    def __call__(self, model, source, mask, *, is_token):
        assert is_token.tolist() == [True] * 30
        mask = torch.ones_like(source) == 1 if mask is None else mask  # None where nothing is padded
        assert torch.equal(mask, source != PAD)
        self.batches.append(mask.sum(1).tolist())
        found = []
        for row, real in zip(source, mask, strict=True):
            *tokens, end = row[real].tolist()
            assert end == EOS
            found.append([Hypothesis(tokens[::-1], -1.0, -2.0), Hypothesis(tokens, -3.0, -4.0)])
        return found


@pytest.fixture(autouse=True)
def built(monkeypatch):
    """The tests give the search itself where its spec would stand."""
    monkeypatch.setattr("zoo.tasks.task.DECODING", type("Built", (), {"build": lambda search: search}))


def run(lines, decoding, *, model=None, **sizes):
    spec = parse(TranslationSpec, {"data": "grammar"})
    task = TASK.build(spec, model=Slots(), coders={"tokenizer": Letters()})
    rows = (line if isinstance(line, Refusal) else {"source": line} for line in lines)
    rows = list(rows) if isinstance(lines, list) else rows
    return answers(task, model or torch.nn.Linear(1, 1), rows, decoding=decoding, **sizes)


def texts(answer):
    """The texts of an answer, best first; of a refused line why it is."""
    return answer.why if isinstance(answer, Refusal) else [output.text for output in answer]


def test_answers_come_in_the_order_of_the_rows_best_first():
    decoding = Reversal()
    outputs = list(run(["abc", "a", "abcdef", "ab"], decoding, batch_tokens=9))
    assert [texts(answer) for answer in outputs] == [
        ["cba", "abc"], ["a", "a"], ["fedcba", "abcdef"], ["ba", "ab"],
    ]  # fmt: skip
    assert outputs[0][1].score == -3.0
    assert outputs[0][0].tokens == [6, 5, 4]
    assert decoding.batches == [[7], [4, 3], [2]]


def test_a_line_without_a_token_is_refused_and_reaches_no_model():
    decoding = Reversal()
    why = "no token in it"
    assert [texts(answer) for answer in run(["", "ab", "   "], decoding)] == [why, ["ba", "ab"], why]
    assert decoding.batches == [[3]]
    assert list(run([], decoding)) == []
    assert list(run(["", ""], decoding)) == [Refusal(why)] * 2


def test_a_line_that_is_no_text_reaches_no_tokenizer_and_costs_only_itself():
    decoding = Reversal()
    outputs = run(["abc", "ab\udcffc", "ab"], decoding)
    assert [texts(answer) for answer in outputs] == [
        ["cba", "abc"], "broken UTF-8 at character 3", ["ba", "ab"],
    ]  # fmt: skip
    assert decoding.batches == [[4, 3]]


def test_a_line_that_comes_as_a_refusal_is_one():
    decoding = Reversal()
    refused = Refusal("too long to be read")
    outputs = list(run([refused, "ab", refused, "abc"], decoding))
    assert [texts(answer) for answer in outputs] == [refused.why, ["ba", "ab"], refused.why, ["cba", "abc"]]
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
    outputs = list(run(lines, decoding, model=Limited(6)))
    assert [texts(answer) for answer in outputs] == [
        ["cba", "abc"],
        "7 tokens, its end included, but the model has positions for 6",
        ["edcba", "abcde"],
        "no token in it",
    ]
    assert decoding.batches == [[6, 4]]


def test_every_answer_is_one_line(monkeypatch):
    monkeypatch.setattr(Letters, "_texts", lambda self, rows: ["a\u2028b" for _ in rows])
    assert [texts(answer) for answer in run(["abc"], Reversal())] == [["a b", "a b"]]


def test_progress_counts_the_rows_that_are_done():
    calls = []
    lines = ["abc", "", "abcdef", "ab", "a"]
    report = lambda done, total: calls.append((done, total))  # noqa: E731
    list(run(lines, Reversal(), batch_tokens=8, progress=report))
    assert calls == [(1, 5), (2, 5), (4, 5), (5, 5)]
    calls.clear()
    list(run(iter(lines), Reversal(), batch_tokens=8, chunk_rows=3, progress=report))
    assert calls == [(1, None), (2, None), (3, None), (3, None), (5, None)]


def test_an_endless_input_is_answered_chunk_by_chunk():
    taken = []

    def lines():
        for n in range(1000):
            taken.append(n)
            yield "ab"

    outputs = run(lines(), Reversal(), chunk_rows=5)
    next(outputs)
    assert len(taken) == 5


def test_chunks_give_what_one_batch_gives():
    lines = ["abc"[: n % 4] for n in range(11)]
    assert list(run(lines, Reversal(), chunk_rows=3)) == list(run(lines, Reversal()))
