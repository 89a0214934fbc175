"""Embeddings that start from pretrained word vectors: at a fresh start, never again, and said so."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from registry import SpecError, dump, parse
from zoo.assembly.build import build
from zoo.data.coders import load_coder
from zoo.errors import DataError, RunError
from zoo.run.spec import RunSpec
from zoo.run.training import resume, train
from zoo.storage.checkpoints import CHECKPOINTS_FOLDER
from zoo.storage.weights import read_weights
from zoo.tasks.prepared import prepare

D = 8
WORDS = ["the", "The", "and", ".", "der", "nowhere-to-be-seen"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    n = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n)


def vectors(path: Path, *, width: int = D, words: list[str] = WORDS, seed: int = 5) -> dict[str, Tensor]:
    """Writes a file of random vectors and gives them."""
    matrix = torch.randn(len(words), width, generator=torch.Generator().manual_seed(seed))
    rows = [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, matrix.tolist(), strict=True)]
    path.write_text("\n".join([f"{len(words)} {width}", *rows, ""]), encoding="utf-8")
    return dict(zip(words, matrix, strict=True))


def run_of(*, source: Any = None, target: Any = None, steps: int = 3, **task: Any) -> RunSpec:
    layer = {
        "self_attention": {"type": "multi_head", "n_heads": 2},
        "ffn": {"type": "mlp", "d_ff": 12, "activation": "relu"},
    }
    data = {
        "model": {
            "type": "encoder_decoder",
            "d_model": D,
            "source": {"type": "tokens", "vocab_size": 120, **(source or {})},
            "target": target or {"share": "source"},
            "encoder": {"n_layers": 1, "layer": layer},
            "decoder": {"like": "encoder", "cross_attention": {"type": "multi_head", "n_heads": 2}},
            "head": {"type": "language_model", "predicts": "target"},
        },
        "task": {
            "type": "translation",
            "data": {"type": "grammar", "n_train": 67, "n_dev": 5, "n_test": 3},
            "tokenizer": "words",
            "validation_sentences": 1,
            **task,
        },
        "training": {
            "tokens_per_batch": 90,
            "max_steps": steps,
            "accelerator": "cpu",
            "schedule": {"type": "noam", "warmup_steps": 5},
            "optimizer": "adam",
            "validate_every": 100,
            "checkpoint_every": 1,
            "keep_checkpoints": 9,
        },
        "generation": {"type": "greedy", "max_length": 3},
    }
    return parse(RunSpec, data)


def prepared(run: RunSpec, folder: Path, *, is_resumed: bool = False) -> Any:
    folder.mkdir(exist_ok=True)
    return prepare(
        run.task,  # type: ignore[arg-type]
        model=run.model,
        folder=folder,
        tokens_per_batch=200,
        seed=1,
        is_resumed=is_resumed,
    )


def tokenizer(folder: Path, name: str = "tokenizer") -> Any:
    return load_coder(folder, name)


def started(run: RunSpec, folder: Path) -> tuple[Any, Any]:
    """The model as initialised, and as it starts."""
    models = []
    for _ in range(2):
        torch.manual_seed(3)
        models.append(build(run.model))
    prepared(run, folder).start(models[1])
    return models[0], models[1]


def rows(words: list[str], given: dict[str, Tensor]) -> tuple[list[int], Tensor]:
    """The ids of the words that have a vector, and the vectors."""
    ids = [number for number, word in enumerate(words) if word in given]
    return ids, torch.stack([given[words[number]] for number in ids])


def weights(folder: Path, step: int) -> dict[str, Tensor]:
    return read_weights(folder / CHECKPOINTS_FOLDER / f"step-{step}" / "model.safetensors")


@pytest.mark.parametrize("kind", ["words", "sentencepiece"])
def test_tokens_that_are_words_of_the_file_start_from_its_vectors(tmp_path: Path, kind: str) -> None:
    given = vectors(tmp_path / "v.vec")
    run = run_of(source={"vocab_size": 300}, word_vectors={"source": str(tmp_path / "v.vec")}, tokenizer=kind)
    before, after = started(run, tmp_path / "run")
    words = tokenizer(tmp_path / "run").words()
    ids, expected = rows(words, given)
    assert {words[number] for number in ids} >= {"the", "der"}
    torch.testing.assert_close(after.source.weight[ids], expected, rtol=1e-6, atol=0)
    others = [number for number in range(300) if number not in ids]
    assert torch.equal(after.source.weight[others], before.source.weight[others])
    changed = [
        name
        for (name, old), (_, new) in zip(before.named_parameters(), after.named_parameters(), strict=True)
        if not torch.equal(old, new)
    ]
    assert changed == ["source.weight"]
    assert after.target is after.source


def test_each_side_starts_from_its_own_file(tmp_path: Path) -> None:
    source = vectors(tmp_path / "en.vec", words=["the", "der"])
    target = vectors(tmp_path / "de.vec", words=["der", "the", "und"], width=5, seed=6)
    run = run_of(
        target={"type": "tokens", "vocab_size": 90, "d_embedding": 5},
        word_vectors={"source": str(tmp_path / "en.vec"), "target": str(tmp_path / "de.vec")},
    )
    before, after = started(run, tmp_path / "run")
    for side, given in (("source", source), ("target", target)):
        words = tokenizer(tmp_path / "run", f"tokenizer.{side}").words()
        ids, expected = rows(words, given)
        new = after.get_submodule(side).weight
        torch.testing.assert_close(new[ids], expected, rtol=1e-6, atol=0)
        assert (new != before.get_submodule(side).weight).any(dim=1).nonzero().flatten().tolist() == ids


def test_one_side_alone_may_start_from_a_file(tmp_path: Path) -> None:
    vectors(tmp_path / "de.vec")
    run = run_of(
        target={"type": "tokens", "vocab_size": 90}, word_vectors={"target": str(tmp_path / "de.vec")}
    )
    before, after = started(run, tmp_path / "run")
    assert torch.equal(after.source.weight, before.source.weight)
    assert not torch.equal(after.target.weight, before.target.weight)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_training_moves_the_vectors_unless_they_are_frozen(tmp_path: Path, trained: bool, tied: bool) -> None:
    given = vectors(tmp_path / "v.vec")
    run = run_of(source={"trained": trained}, word_vectors={"source": str(tmp_path / "v.vec")}, steps=4)
    run = parse(RunSpec, {**dump(run), "model": {**dump(run.model), "head": {**dump(run.model.head), "tied": tied}}})  # type: ignore[attr-defined]  # fmt: skip
    folder = train(run, tmp_path / "run", progress=False)
    ids, expected = rows(tokenizer(folder).words(), given)
    first, last = weights(folder, 1), weights(folder, 4)
    if trained:
        assert (last["source.weight"][ids] != expected).any(dim=1).all()
    else:
        torch.testing.assert_close(last["source.weight"][ids], expected, rtol=1e-6, atol=0)
        assert torch.equal(first["source.weight"], last["source.weight"])
    if not tied:
        assert not torch.equal(first["head.weight"], last["head.weight"])
    for name in ("encoder.layers.0.ffn.inner.weight", "decoder.layers.0.ffn.inner.weight"):
        assert not torch.equal(first[name], last[name])


def test_the_loss_begins_with_the_vectors(tmp_path: Path) -> None:
    vectors(tmp_path / "v.vec")
    with_vectors = run_of(word_vectors={"source": str(tmp_path / "v.vec")}, steps=1)
    train(with_vectors, tmp_path / "with", progress=False)
    train(run_of(steps=1), tmp_path / "without", progress=False)
    losses = [
        json.loads((tmp_path / name / "metrics.jsonl").read_text().splitlines()[0])["loss"]
        for name in ("with", "without")
    ]
    assert losses[0] != losses[1]


def test_a_resumed_run_goes_on_without_the_file(tmp_path: Path) -> None:
    file = tmp_path / "v.vec"
    vectors(file)
    spec = {"word_vectors": {"source": str(file)}}
    train(run_of(steps=4, **spec), tmp_path / "alone", progress=False)
    train(run_of(steps=2, **spec), tmp_path / "run", progress=False)
    file.unlink()
    resume(tmp_path / "run", "training.max_steps=4", progress=False)
    alone, resumed = weights(tmp_path / "alone", 4), weights(tmp_path / "run", 4)
    assert all(torch.equal(alone[name], resumed[name]) for name in alone)


def test_a_run_that_never_came_to_a_checkpoint_begins_with_the_file_again(tmp_path: Path) -> None:
    file = tmp_path / "v.vec"
    vectors(file, words=["xyzzy"])
    run = run_of(steps=1, word_vectors={"source": str(file)})
    (tmp_path / "run").mkdir()  # else it would go again with the attempt
    with pytest.raises(DataError, match="has none of"):
        train(run, tmp_path / "run", progress=False)
    given = vectors(file)
    resume(tmp_path / "run", progress=False)
    record = json.loads((tmp_path / "run" / "word_vectors.json").read_text())
    assert record["source"] == {"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    ids, expected = rows(tokenizer(tmp_path / "run").words(), given)
    assert (weights(tmp_path / "run", 1)["source.weight"][ids] - expected).abs().max() < 0.2


def test_a_run_without_word_vectors_keeps_no_record_of_an_attempt_with_them(tmp_path: Path) -> None:
    vectors(tmp_path / "v.vec")
    prepared(run_of(word_vectors={"source": str(tmp_path / "v.vec")}), tmp_path / "run")
    assert (tmp_path / "run" / "word_vectors.json").exists()
    prepared(run_of(), tmp_path / "run")
    assert not (tmp_path / "run" / "word_vectors.json").exists()


def test_the_fingerprint_is_that_of_the_files_too(tmp_path: Path) -> None:
    file = tmp_path / "v.vec"
    vectors(file)
    run = run_of(word_vectors={"source": str(file)})
    first = prepared(run, tmp_path / "a").fingerprint
    assert prepared(run, tmp_path / "b").fingerprint == first
    assert prepared(run_of(), tmp_path / "c").fingerprint != first
    with_none = run_of(word_vectors={})
    assert prepared(with_none, tmp_path / "d").fingerprint == prepared(run_of(), tmp_path / "e").fingerprint
    vectors(file, seed=7)
    assert prepared(run, tmp_path / "f").fingerprint != first
    assert prepared(run, tmp_path / "a", is_resumed=True).fingerprint == first


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, r"word_vectors\.json: cannot be read: No such file"),
        ("{}", r"word_vectors\.json: damaged: KeyError"),
    ],
)
def test_a_resumed_run_must_find_its_record(tmp_path: Path, record: str | None, message: str) -> None:
    vectors(tmp_path / "v.vec")
    folder = train(
        run_of(steps=1, word_vectors={"source": str(tmp_path / "v.vec")}), tmp_path / "run", progress=False
    )
    (folder / "word_vectors.json").unlink()
    if record is not None:
        (folder / "word_vectors.json").write_text(record)
    with pytest.raises(RunError, match=message):
        resume(folder, "training.max_steps=2", progress=False)


def test_a_file_of_which_no_word_is_in_the_vocabulary_is_refused(tmp_path: Path) -> None:
    vectors(tmp_path / "v.vec", words=["xyzzy", "plugh"])
    run = run_of(word_vectors={"source": str(tmp_path / "v.vec")})
    with pytest.raises(
        DataError, match=r"v\.vec: has none of the 116 words of the source vocabulary \(such as "
    ):
        train(run, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").glob("checkpoints/step-*"))


def test_another_width_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    vectors(tmp_path / "v.vec", width=5)
    run = run_of(word_vectors={"source": str(tmp_path / "v.vec")})
    with pytest.raises(DataError, match="5 numbers, but the embedding's 8: give the embedding d_embedding=5"):
        train(run, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").glob("tokenizer*"))


def test_a_file_that_is_not_there_is_refused_before_anything_is_learnt(tmp_path: Path) -> None:
    run = run_of(word_vectors={"source": str(tmp_path / "v.vec")})
    with pytest.raises(DataError, match=r"v\.vec: cannot be read: No such file"):
        train(run, tmp_path / "run", progress=False)
    assert not list((tmp_path / "run").glob("tokenizer*"))


def test_a_shared_embedding_has_no_second_file() -> None:
    with pytest.raises(
        SpecError,
        match=r"task\.word_vectors: word_vectors\.target is given, but .* shares the source's embedding",
    ):
        run_of(word_vectors={"source": "en.vec", "target": "de.vec"})
    with pytest.raises(
        SpecError, match=r"task\.word_vectors\.sorce: unknown key; did you mean 'task\.word_vectors\.source'"
    ):
        run_of(word_vectors={"sorce": "en.vec"})


@pytest.mark.parametrize("trained", [True, False])
def test_how_many_words_were_found_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, trained: bool
) -> None:
    vectors(tmp_path / "v.vec", words=["the", "der", "xyzzy"])
    run = run_of(source={"trained": trained}, word_vectors={"source": str(tmp_path / "v.vec")})
    with caplog.at_level(logging.WARNING):
        started(run, tmp_path / "run")
    words = tokenizer(tmp_path / "run").words()
    n = words.count("the") + words.count("der")
    (said,) = [record.getMessage() for record in caplog.records]
    end = "others start as initialised" if trained else "random ones, for this embedding is not trained"
    assert said.startswith(
        f"{tmp_path / 'v.vec'}: vectors for {n} of the 116 words of the source vocabulary; "
    )
    assert said.endswith(end)


@pytest.mark.slow
def test_the_command_line_says_it_on_standard_error(tmp_path: Path) -> None:
    vectors(tmp_path / "v.vec", width=32)
    tiny = ["--scale=tiny", "task.tokenizer=words", "training.max_steps=2", "training.accelerator=cpu",
            "task.data.n_train=67", "training.validate_every=9", "generation.max_length=3"]  # fmt: skip
    shell = [sys.executable, "-m", "zoo.cli.main"]
    command = [*shell, "train", "quickstart", *tiny, "task.word_vectors.source=v.vec", "--out=run", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "v.vec: vectors for " in done.stderr
    (tmp_path / "v.vec").unlink()
    again = subprocess.run(
        [*shell, "resume", "run", "training.max_steps=3", "training.schedule.total_steps=3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    assert "vectors for" not in again.stderr


@pytest.mark.slow
def test_the_first_of_two_processes_gives_its_vectors_to_the_other(tmp_path: Path) -> None:
    given = vectors(tmp_path / "v.vec", width=32)
    command = [sys.executable, "-m", "zoo.cli.main", "train", "quickstart", "--scale=tiny", "task.tokenizer=words",
               "training.max_steps=2", "training.accelerator=cpu", "training.validate_every=9", "--quiet",
               "model.encoder.layer.dropout=0.0", "training.precision=fp32", "training.checkpoint_every=1",
               "task.word_vectors.source=v.vec", "model.source.trained=false"]  # fmt: skip
    found = []
    for name, more in (("two", ["training.devices=2"]), ("one", ["training.accumulate=2"])):
        done = subprocess.run(
            [*command, *more, f"--out={name}"], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("vectors for ") == 1
        found.append(weights(tmp_path / name, 2))
    ids, expected = rows(tokenizer(tmp_path / "two").words(), given)
    torch.testing.assert_close(found[0]["source.weight"][ids], expected, rtol=1e-6, atol=0)
    for name, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][name], rtol=1e-4, atol=1e-5)
