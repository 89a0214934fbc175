"""Runs that start from another's weights: what is taken, what is said, what stays, and exact resume."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import MarianConfig, MarianMTModel
from typer.testing import CliRunner

import zoo
from registry import SpecError
from tests.checkpoints import write_form, write_marian
from zoo.cli.main import app
from zoo.errors import RunError
from zoo.storage.selection import load_weights

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")


def start(run: Path, out: Path, *words: str) -> Path:
    """Trains the spec of a run again, from its weights."""
    return zoo.train(zoo.load(run, f"training.init_from={json.dumps(str(run))}", *words), out, progress=False)


def test_weights_and_tokenizer_are_taken_and_what_is_new_is_said(
    run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        # Other text: a tokenizer of its own would have another vocabulary.
        other = start(
            run, tmp_path / "other", "model.encoder.layer.ffn.d_ff=31", "training.schedule={type: constant, lr: 1e-30}",
            "task.data.seed=5", "training.average_last=1",
        )  # fmt: skip
    (text,) = [record.getMessage() for record in caplog.records if "tensors taken" in record.getMessage()]
    before, after = load_weights(run), load_weights(other)
    changed = {name for name in after if after[name].shape != before[name].shape}
    assert changed
    assert f"{len(after) - len(changed)} of {len(after)} tensors taken; new, of another shape there: " in text
    assert "encoder.layers.0.ffn.inner.weight (" in text
    for name in after.keys() - changed:
        torch.testing.assert_close(after[name], before[name], rtol=0, atol=1e-12)
    for file in ("tokenizer.json", "tokenizer.vocabulary.json"):
        assert (other / file).read_bytes() == (run / file).read_bytes()
    assert json.loads((other / "init_from.json").read_text())["folder"] == str(run.resolve())


def test_frozen_weights_stay_and_others_learn(run: Path, tmp_path: Path) -> None:
    other = start(run, tmp_path / "other", "training.freeze=['encoder.*', 'source.*']")
    before, after = load_weights(run), load_weights(other)
    moved = {name for name in after if not torch.equal(before[name], after[name])}
    assert moved
    assert not {name for name in moved if name.startswith(("encoder.", "source."))}
    with pytest.raises(SpecError, match=r"training.freeze: 'nothing\.\*' is the name of no weight"):
        start(run, tmp_path / "third", "training.freeze=['nothing.*']")


def test_a_run_that_started_from_another_resumes_to_the_same_bits(run: Path, tmp_path: Path) -> None:
    words = (
        "training.freeze=['encoder.*']",
        "training.schedule={type: constant, lr: 0.01}",
        "training.max_steps=4",
        "training.checkpoint_every=2",
    )
    whole = start(run, tmp_path / "whole", *words)
    part = start(run, tmp_path / "part", *words[:2], "training.max_steps=2", "training.checkpoint_every=2")
    shutil.move(run, tmp_path / "gone")  # from its first checkpoint on, a run needs its own folder only
    zoo.resume(part, "training.max_steps=4", progress=False)
    for name, tensor in load_weights(whole, "last").items():
        assert torch.equal(load_weights(part, "last")[name], tensor)


def test_a_spec_that_says_another_tokenizer_keeps_its_own(run: Path, tmp_path: Path) -> None:
    other = start(
        run,
        tmp_path / "other",
        "task.tokenizer=characters",
        "task.max_length=90",
        "model.position.max_len=90",
    )
    assert json.loads((other / "tokenizer.json").read_text())["type"] == "characters"


def test_a_folder_that_holds_no_model_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"training.init_from: .*nowhere: no run lies here"):
        zoo.train(
            zoo.load(run, f"training.init_from={tmp_path / 'nowhere'}"), tmp_path / "new", progress=False
        )


def test_a_model_without_a_tensor_in_common_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    from zoo.training.starting import take_weights

    with pytest.raises(RunError, match=r"none of its .* name and shape .*, this one 'weight' 3 × 2\)"):
        take_weights(torch.nn.Linear(2, 3), run, tmp_path / "other", head="none")


def test_an_imported_translator_is_trained_further(tmp_path: Path) -> None:
    tokenizer = write_marian(tmp_path / "theirs")
    pad = tokenizer.pad_token_id
    MarianMTModel(
        MarianConfig(
            vocab_size=len(tokenizer.encoder), d_model=12, encoder_layers=1, decoder_layers=1,
            encoder_attention_heads=3, decoder_attention_heads=2, encoder_ffn_dim=29, decoder_ffn_dim=23,
            max_position_embeddings=40, pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, bos_token_id=0,
        )
    ).save_pretrained(tmp_path / "theirs")  # fmt: skip
    mine, out = tmp_path / "mine", tmp_path / "run"

    def call(*words: Any) -> Any:
        return CliRunner().invoke(app, list(map(str, words)))

    assert call("import", tmp_path / "theirs", mine).exit_code == 0
    result = call(
        "train", mine, "--init-from", mine, "--freeze", "encoder.*", "--out", out, "--quiet",
        "task.data={type: grammar, n_train: 23, n_dev: 3, n_test: 3}", "training.max_steps=2",
        "training.accelerator=cpu", "training.precision=fp32", "generation.max_length=5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found, before = zoo.open(out), zoo.open(mine)
    assert found.tokenizer.data == before.tokenizer.data
    assert found.run.generation.ids == before.run.generation.ids  # type: ignore[union-attr]
    new, old = found.model.state_dict(), before.model.state_dict()
    assert (
        {name for name in new if name.startswith("encoder.")}
        <= {name for name in new if torch.equal(new[name].cpu(), old[name].cpu())}
        < set(new)
    )


SENTENCES = [f"the {one} {two} sleeps {end}" for one in ("old", "big") for two in ("dog", "cat", "house")
             for end in ("here", "there", "in it", "now")]  # fmt: skip


@pytest.mark.parametrize("head", ["MaskedLM", "Model"])
def test_a_classifier_is_learnt_upon_an_imported_encoder(head: str, tmp_path: Path) -> None:
    """The tokenizer goes along, the vocabulary's size is kept in step, the head of another type is new."""
    theirs = write_form("Bert", tmp_path / "theirs")
    config = transformers.BertConfig(
        vocab_size=len(theirs) + 3, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=29,
        max_position_embeddings=40, pad_token_id=theirs.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(1)
    class_: Any = transformers.BertForMaskedLM if head == "MaskedLM" else transformers.BertModel
    class_(config).save_pretrained(tmp_path / "theirs")
    mine, out = tmp_path / "mine", tmp_path / "run"
    result = CliRunner().invoke(app, ["import", str(tmp_path / "theirs"), str(mine)])
    assert result.exit_code == 0, result.output
    rows = "".join(f"{'good' if 'dog' in line else 'bad'}\t{line}\n" for line in SENTENCES)
    (tmp_path / "rows.tsv").write_text(rows)
    data = {"type": "columns", "train": str(tmp_path / "rows.tsv"), "dev": str(tmp_path / "rows.tsv"),
            "columns": ["label", "text"]}  # fmt: skip
    spec = {
        "model": {
            **zoo.load(mine).model.model_dump(), "inputs": {"type": "tokens", "vocab_size": 99, "n_types": 2,
                                                            "scale": "none", "padding_id": 7},
            "head": {"type": "pooled_classifier", "n_classes": 2, "activation": "tanh"},
        },
        "task": {"type": "text_classification", "data": data, "max_length": 40},
        "training": {
            "init_from": str(mine), "max_steps": 40, "schedule": {"type": "constant", "lr": 0.01},
            "tokens_per_batch": 200, "accelerator": "cpu", "precision": "fp32", "average_last": 1,
        },
    }  # fmt: skip
    zoo.train(spec, out, progress=False)
    found = zoo.open(out)
    assert found.spec.model.inputs.vocab_size == len(theirs) + 3  # type: ignore[attr-defined]
    assert found.spec.model.inputs.padding_id == theirs.pad_token_id  # type: ignore[attr-defined]
    assert found.tokenizer.data == (mine / "tokenizer.hugging_face.json").read_bytes()
    record = json.loads((out / "init_from.json").read_text())
    assert record["new"] == [
        *(["head.dense.weight", "head.dense.bias"] if head == "MaskedLM" else []),
        "head.output.weight",
        "head.output.bias",
    ]
    answers = zoo.predict(out, SENTENCES)
    right = sum(
        (answer["label"] == "good") == ("dog" in line)
        for answer, line in zip(answers, SENTENCES, strict=True)
    )
    assert right == len(SENTENCES)
