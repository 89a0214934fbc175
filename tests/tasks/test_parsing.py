"""The parsing task: its batches, their loss, the trees that it answers with, and a run of it by the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.cli.main import app
from zoo.data import brackets
from zoo.data.bad_lines import BadLines
from zoo.data.brackets import Leaf
from zoo.data.store import text_of
from zoo.generation.output import Output
from zoo.kinds import CORPUS, DECODING, MODEL, TASK, Row
from zoo.special_ids import BOS, EOS
from zoo.tasks._bracketing import Bracketing
from zoo.tasks.parsing import Parse, Parsing, _parse
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.task import Refusal


class Parts(Spec):
    model: Annotated[Spec, MODEL]
    task: Annotated[Spec, TASK]

    def contexts(self) -> dict[str, dict[str, Any]]:
        return {"model": {}, "task": {"model": self.model}}


DATA = {"type": "grammar_trees", "n_train": 31, "n_dev": 7, "n_test": 5}


def parts(*, target: Any = None, **task: Any) -> Parts:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    model = {
        "type": "encoder_decoder",
        "d_model": 8,
        "source": {"type": "tokens", "vocab_size": 90},
        "target": target or {"type": "tokens", "vocab_size": 40},
        "encoder": {"n_layers": 1, "layer": layer},
        "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
        "head": {"type": "language_model", "predicts": "target"},
    }
    defaults = {"type": "parsing", "data": DATA, "tokenizer": "words"}
    return parse(Parts, {"model": model, "task": {**defaults, **task}})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[PreparedTask, nn.Module]:
    given = parts()
    folder = tmp_path_factory.mktemp("parsing")
    data = prepare(
        given.task, model=given.model, folder=folder, tokens_per_batch=300, seed=3, is_resumed=False
    )
    torch.manual_seed(2)
    return data, build(given.model).eval()


def task_of(made: tuple[PreparedTask, nn.Module]) -> Parsing:
    task = made[0].task
    assert isinstance(task, Parsing)
    return task


def rows(n: int) -> Sequence[Row]:
    corpus = CORPUS.build(
        CORPUS.entry("grammar_trees").spec(**{k: v for k, v in DATA.items() if k != "type"})
    )
    return list(corpus.rows("train", bad_lines=BadLines("error")))[:n]


def test_an_example_is_words_and_brackets_each_with_its_end(made: tuple[PreparedTask, nn.Module]) -> None:
    task = task_of(made)
    tree = "(ROOT (S (NP-SBJ (NN she)) (VP (VBZ sleeps)) (. .)))"
    (example,) = task.encode([{"tree": tree}], is_scored=True)
    assert isinstance(example, dict)
    target, source = example["target"].tolist(), example["source"].tolist()
    assert task.target_tokenizer.decode([target[:-1]])[0].split() == [
        "(S", "(NP", "XX", ")NP", "(VP", "XX", ")VP", "XX", ")S",
    ]  # fmt: skip
    assert target[-1] == source[-1] == EOS
    assert text_of(example["tree"]) == tree


def test_the_loss_is_the_cross_entropy_of_each_symbol_by_itself(made: tuple[PreparedTask, nn.Module]) -> None:
    task, model = task_of(made), made[1]
    examples: Any = task.encode(rows(5), is_scored=False)
    with torch.no_grad():
        found = task.loss(model, task.collate(examples), is_training=False)
    expected, n = 0.0, 0
    for example in examples:  # alone, so without padding
        source, target = (torch.tensor(example[name].astype("int64")) for name in ("source", "target"))
        given = torch.cat([torch.tensor([BOS]), target[:-1]])
        log_p = model(source[None], given[None])[0].log_softmax(-1)
        expected -= float(log_p.detach()[torch.arange(len(target)), target].sum())
        n += len(target)
    assert found.n_predicted == n
    assert float(found.nll) == pytest.approx(expected, rel=1e-5)
    assert float(found.loss) == pytest.approx(expected, rel=1e-5)
    task.label_smoothing = 0.3
    smoothed = task.loss(model, task.collate(examples), is_training=True).loss.detach()
    assert float(smoothed) != pytest.approx(expected)


def test_an_answer_is_a_tree_over_the_words_or_none() -> None:
    words = [Leaf("XX", word) for word in ("she", "sleeps")]
    good = _parse(Output("(S (NP XX )NP (VP XX )VP )S", -1.5, []), words)
    assert good == Parse("(ROOT (S (NP (XX she)) (VP (XX sleeps))))", "(S (NP XX )NP (VP XX )VP )S", -1.5)
    assert _parse(Output("(S XX )S", -1.0, []), words).tree is None


@pytest.mark.parametrize(("search", "keys"), [("beam", {"length_penalty": "none"}), ("greedy", {})])
def test_a_search_that_is_led_writes_trees_alone_with_the_models_own_probability(
    made: tuple[PreparedTask, nn.Module], search: str, keys: dict[str, Any]
) -> None:
    task, model = task_of(made), made[1]
    texts = [{"text": " ".join(["the"] * n)} for n in (1, 2, 9, 14)]
    batch = task.collate([example for example in task.read(texts, model) if isinstance(example, dict)])
    decoding = DECODING.entry(search).spec(max_length=23, **keys)
    with torch.no_grad():
        led = task.predict(model, batch, decoding=decoding)
        task.only_trees = False
        free = task.predict(model, batch, decoding=decoding)
    task.only_trees = True
    assert [len(brackets.leaves(brackets.parse(each.tree or ""))) for each in led] == [1, 2, 9, 14]
    assert not all(each.tree for each in free)
    for row, answer in zip(texts, led, strict=True):
        expected = _log_probability(task, model, row, answer.symbols)
        assert answer.score == pytest.approx(expected, rel=1e-4)


def _log_probability(task: Parsing, model: nn.Module, row: Row, symbols: str) -> float:
    """Of a line of symbols and its end, by one pass over them."""
    (example,) = task.read([row], model)
    assert isinstance(example, dict)
    ids = task.target_tokenizer.encode([symbols])[0]
    source = torch.tensor(example["source"].astype("int64"))[None]
    with torch.no_grad():
        logits = model(source, torch.tensor([[BOS, *ids]]))[0]
    return float(logits.log_softmax(-1)[torch.arange(len(ids) + 1), torch.tensor([*ids, EOS])].sum())


def test_a_limit_without_room_for_the_words_leads_nowhere() -> None:
    tokens = ["", "", "", "", "(S", " (S", " XX", " )S", " (NP"]
    grammar = Bracketing(tokens, [3, 2], [2, 4], end=EOS)
    states = grammar.begin()
    assert states[0] is None
    assert states[1] is not None
    assert list(grammar.allowed(states[1])) == [4]  # no XX that begins a line, no )NP that would close
    inside = grammar.after(states[1], 4)
    assert list(grammar.allowed(inside)) == [6]  # a bracket more would have no room to close
    one = grammar.after(inside, 6)
    assert sorted(grammar.allowed(one)) == [6, 7]
    done = grammar.after(grammar.after(one, 6), 7)
    assert list(grammar.allowed(done)) == [EOS]


def test_words_are_read_from_a_tree_or_from_text(made: tuple[PreparedTask, nn.Module]) -> None:
    task, model = task_of(made), made[1]
    given = [
        {"tree": "(S (NN she) (VB sleeps))"},
        {"text": " she  sleeps"},
        {"text": " "},
        {"text": "\udcff"},
    ]
    tree, text, empty, broken = task.read(given, model)
    assert isinstance(tree, dict)
    assert isinstance(text, dict)
    assert tree["source"].tolist() == text["source"].tolist()
    assert isinstance(empty, Refusal)
    assert isinstance(broken, Refusal)


def test_what_is_too_long_is_left_out_or_an_error(made: tuple[PreparedTask, nn.Module]) -> None:
    task = task_of(made)
    task.max_length, before = 9, task.max_length
    assert getattr(task.rejection(10), "reason", "") == "over max_length"
    assert task.rejection(9) is None
    task.max_length = before
    assert not task.is_strict


@pytest.mark.parametrize(
    ("target", "data", "fault"),
    [
        ({"share": "source"}, DATA, "target needs its own embedding"),
        (None, {"type": "grammar", "n_train": 5, "n_dev": 5, "n_test": 5}, "tree is missing"),
    ],
)
def test_a_model_or_data_that_does_not_fit_is_refused(target: Any, data: Any, fault: str) -> None:
    with pytest.raises(SpecError, match=fault):
        parts(target=target, data=data)


def call(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


TINY = (
    "--scale=tiny",
    "training.max_steps=3",
    "task.data.n_train=40",
    "task.data.n_dev=5",
    "task.data.n_test=4",
    "generation.max_length=9",
    "--quiet",
)


def test_a_run_is_trained_and_evaluated_by_the_command_line(tmp_path: Path) -> None:
    result = call("train", "parser_paper", *TINY, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "Valid trees" in result.stdout
    assert call("evaluate", tmp_path / "run").exit_code == 0
    results = json.loads((tmp_path / "run/results.json").read_text(encoding="utf-8"))
    assert {"f1", "precision", "recall", "exact", "valid"} <= set(results)
    lines = (tmp_path / "run/answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert [set(json.loads(line)) for line in lines] == [{"tree", "symbols", "score"}] * 4
    (tmp_path / "sentences").write_text("the dog sleeps\n", encoding="utf-8")
    result = call("predict", tmp_path / "run", tmp_path / "sentences")
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)) == {"tree", "symbols", "score"}


def test_a_bad_tree_ends_the_command_before_anything_is_trained(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / name).write_text("(S (NN a))\n(S (NN a)\n", encoding="utf-8")
    data = f"{{type: brackets, train: {tmp_path}/train, dev: {tmp_path}/dev}}"
    out = tmp_path / "run"
    result = call("train", "parser_paper", "--scale=tiny", f"task.data={data}", "--quiet", "--out", out)
    assert result.exit_code == 3
    assert f"{tmp_path}/dev:2: no tree: character 1: this bracket is not closed" in " ".join(
        result.stderr.split()
    )
    assert not list(out.glob("checkpoints/*"))
