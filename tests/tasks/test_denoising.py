"""Span corruption and text infilling: what is damaged and how, the loss, the search, and what is scored."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from torch import nn

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.generation.output import Output
from zoo.kinds import DECODING, MODEL, TASK
from zoo.metrics.reconstruction import ReconstructionMetric
from zoo.special_ids import BOS, EOS
from zoo.tasks._denoising import DenoisingTask, placed
from zoo.tasks.answering import answers
from zoo.tasks.infilling import Infilling
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.span_corruption import SpanCorruption, counts
from zoo.tasks.task import Refusal, random_of

V = 150


class Parts(Spec):
    model: Annotated[Spec, MODEL]
    task: Annotated[Spec, TASK]
    generation: Annotated[Spec, DECODING]

    def contexts(self) -> dict[str, dict[str, Any]]:
        return {"model": {}, "task": {"model": self.model}, "generation": {}}


def parts(name: str, *, generation: Any = "greedy", target: Any = None, **task: Any) -> Parts:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    model = {
        "type": "encoder_decoder",
        "d_model": 8,
        "source": {"type": "tokens", "vocab_size": V},
        "target": target or {"share": "source"},
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
        "head": {"type": "language_model", "predicts": "target"},
    }
    data = {"type": "grammar_text", "n_train": 23, "n_dev": 9, "n_test": 5}
    if name == "span_corruption":
        task = {"n_sentinels": 40, **task}
    given = {"type": name, "data": data, "tokenizer": "words", **task}
    return parse(Parts, {"model": model, "task": given, "generation": generation})


def made(name: str, folder: Path, **task: Any) -> tuple[Any, PreparedTask, nn.Module]:
    spec = parts(name, **task)
    prepared = prepare(
        spec.task, model=spec.model, folder=folder, tokens_per_batch=150, seed=3, is_resumed=False
    )
    assert isinstance(prepared.task, DenoisingTask)
    torch.manual_seed(1)
    return prepared.task, prepared, build(spec.model).eval()


def varied(task: DenoisingTask, tokens: Any, row: int = 0) -> tuple[list[int], list[int]]:
    found = task.vary({"text": np.array(tokens)}, random_of(3, 1, row), is_training=True)
    assert found["source"][-1] == found["target"][-1] == EOS
    return found["source"][:-1].tolist(), found["target"][:-1].tolist()


def test_spans_are_placed_apart_and_every_placing_occurs() -> None:
    random = np.random.default_rng(1)
    seen = set()
    for _ in range(300):
        starts = placed([2, 1], 5, random)
        assert starts[0] + 2 < starts[1] <= 4
        seen.add(tuple(starts))
    assert seen == {(0, 3), (0, 4), (1, 4)}


@pytest.mark.parametrize(
    ("n", "expected"),
    [(2, (1, 1)), (10, (2, 1)), (40, (6, 2)), (512, (77, 26))],
)
def test_how_much_is_hidden_in_how_many_spans(n: int, expected: tuple[int, int]) -> None:
    assert counts(n, 0.15, 3.0) == expected


@pytest.mark.parametrize("n", [2, 3, 11, 60])
def test_the_spans_put_back_give_the_text(tmp_path: Path, n: int) -> None:
    task, _, _ = made("span_corruption", tmp_path)
    sentinels = [V - 1 - i for i in range(40)]
    text = list(range(4, 4 + n))
    for row in range(20):
        source, target = varied(task, text, row)
        n_hidden, n_spans = counts(n, 0.15, 3.0)
        assert [token for token in source if token >= V - 40] == sentinels[:n_spans]
        assert [token for token in target if token >= V - 40] == sentinels[: n_spans + 1]
        assert target[-1] == sentinels[n_spans]  # the last one ends the target
        assert (len(source), len(target)) == (n - n_hidden + n_spans, n_hidden + n_spans + 1)
        spans = {
            s: target[target.index(s) + 1 : target.index(t)]
            for s, t in itertools.pairwise(sentinels[: n_spans + 1])
        }
        assert all(spans.values())
        assert [word for token in source for word in spans.get(token, [token])] == text


def test_a_masks_number_is_drawn_and_the_target_is_the_whole_text(tmp_path: Path) -> None:
    task, _, _ = made("infilling", tmp_path, permute_sentences=False)
    text, mask = list(range(4, 54)), V - 1
    lengths = []
    for row in range(200):
        source, target = varied(task, text, row)
        assert target == text
        kept = [token for token in source if token != mask]
        assert len(kept) == 35  # 30 % of 50 are hidden
        assert kept == sorted(kept)
        assert len(source) <= len(text)
        assert all(a != mask or b != mask for a, b in itertools.pairwise(source))
        lengths.append(source.count(mask))
    assert np.mean(lengths) == pytest.approx(15 / 3 + 0.5, abs=0.4)  # the last span is cut


@pytest.mark.parametrize("n", [1, 2, 3, 7])
@pytest.mark.parametrize("rate", [0.3, 0.95])
def test_the_shortest_texts_have_room_for_their_spans(tmp_path: Path, n: int, rate: float) -> None:
    task, _, _ = made("infilling", tmp_path, rate=rate, mean_span=1.0)
    for row in range(50):
        source, target = varied(task, range(4, 4 + n), row)
        assert V - 1 in source
        assert len(source) <= n == len(target)


def test_sentences_are_permuted_as_a_whole(tmp_path: Path) -> None:
    task, _, _ = made("infilling", tmp_path)
    stop = task.tokenizer.encode(["a."])[0][-1]
    a, b, c, d, e, f = [n for n in range(4, V - 1) if task.token_texts[0][n].isalpha()][:6]
    text = np.array([a, b, stop, c, stop, d, e, f])
    seen = {tuple(task._permuted(text, random_of(1, 0, row)).tolist()) for row in range(60)}
    one, two, three = (a, b, stop), (c, stop), (d, e, f)
    assert seen == {
        one + two + three, one + three + two, two + one + three,
        two + three + one, three + one + two, three + two + one,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["span_corruption", "infilling"])
def test_the_loss_is_the_formulas_and_padding_has_no_influence(tmp_path: Path, name: str) -> None:
    task, prepared, model = made(name, tmp_path, label_smoothing=0.2)
    batch = prepared.part(prepared.parts("dev")[0])
    nll = smoothed = n = 0.0
    for example in batch.examples:
        source, target = torch.tensor(example["source"])[None], torch.tensor(example["target"])
        before = torch.cat([torch.tensor([BOS]), target[:-1]])[None]
        surprise = -model(source, before)[0].detach().double().log_softmax(-1)
        nll += float(surprise[range(len(target)), target].sum())
        smoothed += float(0.8 * surprise[range(len(target)), target].sum() + 0.2 * surprise.mean(-1).sum())
        n += len(target)
    learnt, measured = (task.loss(model, batch, is_training=is_training) for is_training in (True, False))
    assert batch.get("source_mask") is not None
    assert learnt.n_predicted == n
    assert float(learnt.loss.detach()) == pytest.approx(smoothed, rel=1e-5)
    assert float(learnt.nll) == pytest.approx(nll, rel=1e-5)
    assert float(measured.loss.detach()) == float(measured.nll) == pytest.approx(nll, rel=1e-5)


@pytest.mark.parametrize("name", ["span_corruption", "infilling"])
def test_each_epoch_damages_anew_within_the_lengths_that_were_planned(tmp_path: Path, name: str) -> None:
    task, prepared, _ = made(name, tmp_path)
    planned = task.lengths(prepared._splits["train"])
    key = prepared.epoch(0)[0]
    first, second = (prepared.batch(key._replace(epoch=epoch)) for epoch in (0, 1))
    assert first["source"].shape != second["source"].shape or not torch.equal(
        first["source"], second["source"]
    )
    for row in range(23):
        batch = prepared.batch(key._replace(rows=np.array([row])))
        assert batch["source"].shape[1] <= planned[row][0]
        assert batch["target"].shape[1] <= planned[row][1]


@pytest.mark.parametrize("name", ["span_corruption", "infilling"])
def test_a_search_uses_the_tokenizers_ids_and_writes_no_token_that_is_none(tmp_path: Path, name: str) -> None:
    ids = {"pad": 1, "start": 3, "end": 4, "never": []}
    task, _, model = made(name, tmp_path)
    rows = [{"text": "The mother found the old book."}, {"text": ""}]
    spec = parts(name, generation={"type": "greedy", "max_length": 9, "ids": ids})
    with torch.no_grad():
        found = list(answers(task, model, rows, decoding=spec.generation))
        plain = list(
            answers(
                task,
                model,
                rows,
                decoding=parts(name, generation={"type": "greedy", "max_length": 9}).generation,
            )
        )
    assert found[0] == plain[0]
    assert isinstance(found[1], Refusal)
    known = task.tokenizer.vocab_size
    assert known == V - (40 if name == "span_corruption" else 1)
    assert all(token < known or token in task.writable for token in found[0][0].tokens)


def test_sentinels_are_read_and_written_by_their_marks(tmp_path: Path) -> None:
    task, _, model = made("span_corruption", tmp_path)
    (example,) = task.read([{"text": "The mother <extra_id_0> book <extra_id_1>."}], model)
    the, book, dot = task.tokenizer.encode(["The mother", " book", "."])
    assert example["marked"].tolist() == [*the, V - 1, *book, V - 2, *dot]
    assert task.decode([[V - 1, *book, V - 2, *dot]]) == ["<extra_id_0> book <extra_id_1> ."]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (
            lambda: parts("span_corruption", n_sentinels=26),
            r"has 26 spans; n_sentinels \(26\) must be above that",
        ),
        (
            lambda: parts("span_corruption", n_sentinels=146, max_length=100),
            r"vocab_size \(150\) must be above 150",
        ),
        (
            lambda: parts("infilling", target={"type": "tokens", "vocab_size": 30}),
            "one vocabulary for what is read",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(make: Callable[[], Parts], why: str) -> None:
    with pytest.raises(SpecError, match=why):
        make()


def test_exact_rows_are_counted_by_hand() -> None:
    def output(*tokens: int) -> list[Output]:
        return [Output("", 0.0, list(tokens)), Output("", -1.0, [9])]

    one, other = (ReconstructionMetric(report=["exact"], score="exact") for _ in range(2))
    one.update(
        [output(7, 8), output(7), Refusal("no")],
        [{"target": np.array([7, 8, EOS])}, {"target": np.array([9, EOS])}, {}],
    )
    other.update([output(5), output(6)], [{"target": np.array([5, EOS])}, {"source": np.array([5, EOS])}])
    one.merge(other.state())
    assert one.scores(["exact"]).values == {"exact": 50.0}
    assert one.n_rows == 4


def test_both_are_tasks_of_their_own() -> None:
    assert TASK.entry("span_corruption").builder is SpanCorruption
    assert TASK.entry("infilling").builder is Infilling
