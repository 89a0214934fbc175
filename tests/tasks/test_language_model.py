"""Language modelling: the loss by the formula, what a validation says, and continuations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.data.bad_lines import BadLines
from zoo.errors import DataError, RunError
from zoo.generation.strategies.greedy import GreedySpec
from zoo.kinds import MODEL, TASK
from zoo.special_ids import BOS, EOS, SpecialIds
from zoo.tasks.answering import answers
from zoo.tasks.language_model import LanguageModelling
from zoo.tasks.prepared import PreparedTask, measured_alone, prepare
from zoo.tasks.task import Refusal

DATA = {"type": "grammar_text", "n_train": 9, "n_dev": 5, "n_test": 3}


class Parts(Spec):
    model: Annotated[Spec, MODEL]
    task: Annotated[Spec, TASK]

    def contexts(self) -> dict[str, Any]:
        return {"model": {}, "task": {"model": self.model}}


def parts(*, vocab_size: int = 80, head: Any = None, position: Any = "learned", **task: Any) -> Parts:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    if position == "learned":
        position = {"type": "learned", "max_len": 50}
    model = {
        "type": "decoder_only",
        "d_model": 8,
        "tokens": {"type": "tokens", "vocab_size": vocab_size},
        "position": position,
        "decoder": {"n_layers": 2, "layer": layer},
        "head": head or {"type": "language_model", "predicts": "tokens"},
    }
    defaults = {"type": "language_model", "data": DATA, "tokenizer": "characters", "length": 41}
    return parse(Parts, {"model": model, "task": {**defaults, **task}})


def made(spec: Parts, folder: Path, **more: Any) -> tuple[LanguageModelling, PreparedTask, nn.Module]:
    defaults = {"tokens_per_batch": 130, "seed": 3, "is_resumed": False}
    prepared = prepare(spec.task, model=spec.model, folder=folder, **{**defaults, **more})
    assert isinstance(prepared.task, LanguageModelling)
    torch.manual_seed(1)
    model = build(spec.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 3)  # so that every position counts
    return prepared.task, prepared, model


def texts(prepared: PreparedTask, split: str) -> list[str]:
    return [row["text"] for row in prepared._corpus.rows(split, bad_lines=BadLines("error"))]


def surprise(model: nn.Module, tokens: list[int], labels: list[int]) -> Tensor:
    """The nll of each label by logits of a row of its own [T]."""
    return F.cross_entropy(model(torch.tensor([tokens]))[0], torch.tensor(labels), reduction="none")


def test_packed_documents_are_as_surprising_as_each_of_their_pieces_alone(tmp_path: Path) -> None:
    _, prepared, model = made(parts(), tmp_path)
    n_pieces = 0
    with torch.no_grad():
        for key in prepared.epoch(1):
            expected, arrangement = 0.0, prepared._arrangement("train")
            for number in key.rows:
                example = arrangement.example(int(number))
                for document in np.unique(example["documents"]):
                    inside = example["documents"] == document
                    tokens, labels = (example[name][inside].tolist() for name in ("tokens", "labels"))
                    expected += float(surprise(model, tokens, labels).sum())
                    n_pieces += 1
            found = prepared.loss(model, prepared.batch(key))
            assert float(found.nll) == pytest.approx(expected, rel=1e-5)
            assert float(found.loss) == pytest.approx(expected, rel=1e-5)
    assert n_pieces > sum(len(key.rows) for key in prepared.epoch(1))


def test_joined_documents_are_one_text(tmp_path: Path) -> None:
    task, prepared, model = made(parts(documents="joined", length=23), tmp_path)
    tokens, labels = [], []
    for row in task.tokenizer.encode(texts(prepared, "dev")):
        tokens += [BOS, *row]
        labels += [*row, EOS]
    with torch.no_grad():
        cuts = range(0, len(labels), 23)
        expected = sum(float(surprise(model, tokens[i : i + 23], labels[i : i + 23]).sum()) for i in cuts)
        measured = [
            prepared.measure(model, prepared.part(key), decoding=None) for key in prepared.parts("dev")
        ]
    assert sum(part.nll for part in measured) == pytest.approx(expected, rel=1e-5)
    assert sum(part.n_predicted for part in measured) == len(labels)


def test_a_sliding_window_gives_each_token_the_context_of_its_window(tmp_path: Path) -> None:
    task, prepared, model = made(parts(documents="joined", length=23, stride=7), tmp_path)
    tokens, labels = [], []
    for row in task.tokenizer.encode(texts(prepared, "dev")):
        tokens += [BOS, *row]
        labels += [*row, EOS]
    expected, scored = 0.0, 0
    with torch.no_grad():
        for begin in range(0, len(labels) - 23 + 7, 7):
            end = min(begin + 23, len(labels))
            window = surprise(model, tokens[begin:end], labels[begin:end])
            expected += float(window[scored - begin :].sum())
            scored = end
        assert scored == len(labels)
        found = prepared.validation(
            prepared.measure(model, prepared.part(key), decoding=None) for key in prepared.parts("dev")
        )
    assert found.loss == pytest.approx(expected / len(labels), rel=1e-5)


def test_bits_per_byte_are_those_of_the_text(tmp_path: Path) -> None:
    task, prepared, model = made(parts(), tmp_path)
    with torch.no_grad():
        measured = [
            prepared.measure(model, prepared.part(key), decoding=None) for key in prepared.parts("dev")
        ]
    found = prepared.validation(measured)
    nats = sum(part.nll for part in measured)
    n_bytes = sum(len(text.encode()) for text in texts(prepared, "dev"))
    assert found.metrics["bits_per_byte"] == pytest.approx(nats / math.log(2) / n_bytes, rel=1e-9)
    assert found.metrics["perplexity"] == pytest.approx(math.exp(found.loss))
    # 8 tokens of 2 bits each, for 4 bytes: 4 bits a byte
    by_hand = task.derived(2 * math.log(2), {"tokens": 8.0, "bytes": 4.0})
    assert by_hand == pytest.approx({"loss": 2 * math.log(2), "perplexity": 4.0, "bits_per_byte": 4.0})
    assert found.is_error
    assert found.score == found.loss


@pytest.mark.parametrize("documents", ["packed", "joined"])
def test_an_evaluation_says_what_a_validation_says(tmp_path: Path, documents: str) -> None:
    task, prepared, model = made(parts(documents=documents, stride=9), tmp_path)
    with torch.no_grad():
        alone, left_out = measured_alone(task, model, [{"text": text} for text in texts(prepared, "dev")])
        found = prepared.validation(
            prepared.measure(model, prepared.part(key), decoding=None) for key in prepared.parts("dev")
        )
    assert not left_out
    assert dict(alone.metrics) == pytest.approx(dict(found.metrics), rel=1e-6)


@pytest.mark.parametrize("documents", ["packed", "joined"])
def test_padding_has_no_influence(tmp_path: Path, documents: str) -> None:
    task, prepared, model = made(parts(documents=documents), tmp_path)
    arrangement = prepared._arrangement("dev")
    numbers = [int(number) for batch in arrangement.epoch(0) for number in batch]
    some = [arrangement.example(numbers[0]), arrangement.example(numbers[-1])]
    assert len(some[0]["tokens"]) != len(some[1]["tokens"])
    with torch.no_grad():
        both = task.loss(model, task.collate(some), is_training=False)
        each = [task.loss(model, task.collate([one]), is_training=False) for one in some]
    assert float(both.nll) == pytest.approx(sum(float(one.nll) for one in each), rel=1e-6)
    assert both.n_predicted == sum(one.n_predicted for one in each)
    assert both.sums["bytes"] == sum(one.sums["bytes"] for one in each)


def test_smoothing_is_of_training_alone(tmp_path: Path) -> None:
    task, prepared, model = made(parts(label_smoothing=0.3), tmp_path)
    batch = prepared.batch(prepared.epoch(0)[0])
    with torch.no_grad():
        training = task.loss(model, batch, is_training=True)
        measuring = task.loss(model, batch, is_training=False)
    assert float(training.nll) == pytest.approx(float(measuring.nll))
    assert float(measuring.loss) == float(measuring.nll) != float(training.loss)


def test_a_prompt_is_continued_as_the_logits_say(tmp_path: Path) -> None:
    task, _, model = made(parts(), tmp_path)
    prompts = ["The boat", "", "A man saw the old"]
    wrong = SpecialIds(end=9, start=9, never=(5, 6))  # ids are the tokenizer's
    decoding = GreedySpec(max_length=6, ids=wrong)
    with torch.no_grad():
        found = list(answers(task, model, [{"text": text} for text in prompts], decoding=decoding))
        for prompt, answer in zip(prompts, found, strict=True):
            tokens = [BOS, *task.tokenizer.encode([prompt])[0]]
            written: list[int] = []
            for _ in range(6):
                logits = model(torch.tensor([tokens + written]))[0, -1]
                logits[task.tokenizer.vocab_size :] = -math.inf
                logits[[0, BOS]] = -math.inf
                if (token := int(logits.argmax())) == EOS:
                    break
                written.append(token)
            assert answer[0].tokens == written
            assert task.written(answer)["text"] == answer[0].text


def test_a_prompt_that_the_model_cannot_take_is_refused(tmp_path: Path) -> None:
    task, _, model = made(parts(), tmp_path)
    rows = [{"text": "a" * 50}, {"text": "a" * 49}, {"text": "x\udcff"}]
    long, good, broken = task.read(rows, model)
    assert long == Refusal("51 tokens, its beginning included, but the model has positions for 50")
    assert not isinstance(good, Refusal)
    assert len(good["tokens"]) == 50
    assert broken == Refusal("broken UTF-8 at character 2")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"stride": 42}, r"stride \(42\) must be at most length \(41\)"),
        ({"head": "none"}, "needs a head that learns from token labels"),
    ],
)
def test_what_does_not_go_together_is_said(given: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parts(**given)


def test_a_model_of_two_inputs_is_refused() -> None:
    spec = parts()
    layer = {"self_attention": "multi_head", "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"}}
    model = {
        "type": "encoder_decoder",
        "source": {"type": "tokens", "vocab_size": 9},
        "target": {"share": "source"},
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": "multi_head"},
        "head": {"type": "language_model", "predicts": "target"},
    }
    with pytest.raises(SpecError, match="needs a model of one input; encoder_decoder has source, target"):
        parse(Parts, {"model": model, "task": spec.task.model_dump(serialize_as_any=True)})


def test_another_tokenizer_than_the_specs_is_refused(tmp_path: Path) -> None:
    made(parts(), tmp_path)
    with pytest.raises(RunError, match="holds a characters tokenizer; the spec asks for words"):
        made(parts(tokenizer="words"), tmp_path)
    with pytest.raises(RunError, match="ids; the model has room for 20"):
        made(parts(vocab_size=20), tmp_path)


def test_texts_without_a_token_are_left_out_and_counted(tmp_path: Path) -> None:
    task, prepared, model = made(parts(), tmp_path)
    rows = [{"text": ""}, {"text": texts(prepared, "dev")[0]}]
    with torch.no_grad():
        _, left_out = measured_alone(task, model, rows)
        assert left_out == {"no token": 1}
        with pytest.raises(DataError, match="no row can be measured"):
            measured_alone(task, model, rows[:1])
