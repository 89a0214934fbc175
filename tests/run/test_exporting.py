"""zoo.export: each format from a trained run, checked, and nothing where the check fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import zoo
from tests.checkpoints import write_form, write_gpt2
from zoo.interop import graph_files
from zoo.run.exporting import FORMATS
from zoo.run.importing import import_checkpoint


@pytest.mark.slow
def test_a_program_is_written_with_what_its_user_needs(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = zoo.export(run, out, format="torch-export")
    assert written.largest_difference < 1e-5
    assert sorted(path.name for path in out.iterdir()) == [
        "decoder.pt2",
        "encoder.pt2",
        "model.json",
        "model.pt2",
        "spec.yaml",
        "tokenizer.json",
        "tokenizer.vocabulary.json",
    ]
    about = json.loads((out / "model.json").read_text())
    whole = next(graph for graph in about["graphs"] if graph["file"] == "model.pt2")
    assert [(port["name"], port["dtype"], port["shape"]) for port in whole["inputs"]] == [
        ("source", "int64", ["batch", "source_length"]),
        ("target", "int64", ["batch", "target_length"]),
        ("source_mask", "bool", ["batch", "source_length"]),
    ]
    assert whole["largest_sizes"] == {"source_length": 20, "target_length": 20}
    assert (about["tokenizer"]["start"], about["tokenizer"]["end"], about["checkpoint"]) == (2, 3, "step-2")
    used = zoo.open(run)
    source = torch.tensor([[*used.tokenizer.encode(["The happy child."])[0], 3]])
    target, mask = torch.tensor([[2, 7, 9, 11]]), torch.ones_like(source, dtype=torch.bool)
    program = torch.export.load(out / "model.pt2").module()
    with torch.no_grad():
        expected = used.model(source, target)
    torch.testing.assert_close(program(source=source, target=target, source_mask=mask), expected)


def test_the_example_in_the_file_gives_what_the_model_answers_to_its_text(tmp_path: Path) -> None:
    overrides = ("training.max_steps=3", "training.precision=fp32", "training.accelerator=cpu")
    run = zoo.train(
        zoo.load("text_classifier_small", *overrides, scale="tiny"), tmp_path / "run", progress=False
    )
    zoo.export(run, tmp_path / "out", format="torch-export")
    about = json.loads((tmp_path / "out" / "model.json").read_text())
    example = about["example"]
    ids = torch.tensor([example["ids"]["inputs"]])
    assert (ids[0, 0], ids[0, -1], example["max_length"]) == (2, 3, 256)
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    logits = program(inputs=ids, mask=torch.ones_like(ids, dtype=torch.bool))
    (answer,) = zoo.predict(run, [example["text"]])
    found = dict(zip(about["labels"], logits[0].softmax(0).tolist(), strict=True))
    assert answer["probabilities"] == pytest.approx(found, abs=1e-5)


def test_safetensors_are_what_every_command_takes(run: Path, tmp_path: Path) -> None:
    assert zoo.export(run, tmp_path / "out", format="safetensors").largest_difference == 0.0
    lines = ["The happy child.", "A man"]
    assert zoo.generate(tmp_path / "out", lines) == zoo.generate(run, lines)


@pytest.mark.parametrize("format", ["safetensors", "torch-export"])
def test_a_difference_leaves_nothing_behind(
    run: Path, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_files, "_TOLERANCES", {torch.float32: -1.0})
    with pytest.raises(zoo.SpecError, match="what was written differs from the model by"):
        zoo.export(run, tmp_path / "out", format=format)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_what_cannot_be_written_is_said_before_anything(run: Path, tmp_path: Path) -> None:
    with pytest.raises(
        zoo.SpecError, match="'tflite' is unknown; known: hf, safetensors, onnx, torch-export"
    ):
        zoo.export(run, tmp_path / "out", format="tflite")
    with pytest.raises(zoo.SpecError, match=r"of config\.json, which safetensors has not"):
        zoo.export(run, tmp_path / "out", format="safetensors", family="bert")
    with pytest.raises(zoo.RunError, match="it exists already"):
        zoo.export(run, run, format="safetensors")
    assert FORMATS == ("hf", "safetensors", "onnx", "torch-export")


def test_without_its_packages_onnx_says_what_to_install(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(zoo.SpecError, match=r"onnx is not installed.*pip install 'architecture-zoo\[onnx\]'"):
        zoo.export(run, tmp_path / "out", format="onnx")


@pytest.mark.parametrize("form", ["GPT2", "T5", "Bert"])
def test_a_checkpoint_has_its_tokenizer_beside_it_as_transformers_reads_it(form: str, tmp_path: Path) -> None:
    theirs = write_gpt2(tmp_path / "theirs") if form == "GPT2" else write_form(form, tmp_path / "theirs")
    sizes: dict[str, dict[str, int]] = {
        "GPT2": {"n_embd": 12, "n_head": 3, "n_layer": 1, "bos_token_id": 280, "eos_token_id": 280},
        "T5": {"d_model": 12, "d_kv": 4, "num_heads": 3, "num_layers": 1, "d_ff": 19, "decoder_start_token_id": 0},
        "Bert": {"hidden_size": 12, "num_hidden_layers": 1, "num_attention_heads": 3, "intermediate_size": 29},
    }  # fmt: skip
    heads = {"GPT2": "LMHeadModel", "T5": "ForConditionalGeneration", "Bert": "ForSequenceClassification"}
    hf: Any = transformers
    labels = {"id2label": {0: "good", 1: "bad"}} if form == "Bert" else {}
    config = getattr(hf, f"{form}Config")(vocab_size=len(theirs), **sizes[form], **labels)
    getattr(hf, form + heads[form])(config).save_pretrained(tmp_path / "theirs")
    lines: list[str] = []
    import_checkpoint(tmp_path / "theirs", tmp_path / "mine", say=lines.append)
    lines.clear()
    zoo.export(tmp_path / "mine", tmp_path / "back", say=lines.append)
    assert not [line for line in lines if "tokenizer" in line]
    again = hf.AutoTokenizer.from_pretrained(tmp_path / "back")
    for text in ("The old house", "a cat  x", "Ann's dogs? naïve 猫"):
        assert again(text)["input_ids"] == theirs(text)["input_ids"]
    assert again("a", text_pair="the dog")["input_ids"] == theirs("a", text_pair="the dog")["input_ids"]
    for name in ("pad_token", "eos_token", "unk_token", "mask_token"):
        assert getattr(theirs, name) in (None, getattr(again, name))
    if form == "Bert":
        config = hf.AutoConfig.from_pretrained(tmp_path / "back")
        assert (config.id2label, config.label2id) == ({0: "good", 1: "bad"}, {"good": 0, "bad": 1})


def test_a_tokenizer_that_transformers_has_not_is_told(tmp_path: Path) -> None:
    words = ("training.max_steps=2", "training.precision=fp32", "training.accelerator=cpu")
    run = zoo.train(
        zoo.load("gpt2", *words, "task.tokenizer=words", scale="tiny"), tmp_path / "run", progress=False
    )
    lines: list[str] = []
    zoo.export(run, tmp_path / "out", say=lines.append)
    assert "tokenizer.vocabulary.json is not written: transformers has tokenizers in other forms" in lines
    assert not (tmp_path / "out" / "tokenizer.json").exists()
