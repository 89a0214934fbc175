"""Imported checkpoints with a task: what they answer is what transformers answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from typer.testing import CliRunner

import zoo
from tests.checkpoints import write_form
from zoo.cli.main import app

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
LINES = ["The old house sees nothing", "a cat", "Ann's dogs sleep in houses? Yes: 3 of 4.", "naïve 猫 café !"]
PAIRS = [(LINES[0], LINES[2]), (LINES[1], LINES[0]), (LINES[2], LINES[3])]
FAMILIES = {
    "Bert": ("Bert", {"intermediate_size": 29}),
    "Roberta": ("Roberta", {"intermediate_size": 29, "type_vocab_size": 1}),
    "DistilBert": ("DistilBert", {"dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 29}),
    "ModernBert": ("Bert", {"intermediate_size": 29, "local_attention": 6}),
    "DebertaV2": (
        "DebertaV2",
        {
            "intermediate_size": 29, "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "legacy": False,
            "type_vocab_size": 0, "share_att_key": True, "position_buckets": 8,
            "norm_rel_ebd": "layer_norm", "position_biased_input": False,
        },
    ),
}  # fmt: skip
"""Each family with the form of its tokenizer and its config's fields."""
IDS = (("pad",), ("pad", "cls", "sep", "bos", "eos"))
"""Those that configs name: most, and ModernBERT's."""


COLUMNS = "{text: text, label: label}"


def call(*words: str | Path, input: str = "") -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], input=input)


def checkpoint(family: str, head: str, folder: Path, **further: Any) -> tuple[Any, Any]:
    """A random model with a tokenizer in a folder; both as transformers has them."""
    form, fields = FAMILIES[family]
    tokenizer = write_form(form, folder)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in IDS[family == "ModernBert"]}
    sizes = {
        "vocab_size": len(tokenizer) + 3, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
        "max_position_embeddings": 70, "initializer_range": 0.7,
    }  # fmt: skip
    config = getattr(transformers, f"{family}Config")(**{**sizes, **ids, **fields, **further})
    torch.manual_seed(5)
    model = getattr(transformers, f"{family}{head}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms are 0 and 1, which hides where they belong
            if parameter.dim() == 1:
                parameter += 0.3 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_classes_and_probabilities_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    names = {0: "neutral", 1: "good", 2: "bad"}
    model, tokenizer = checkpoint(family, "ForSequenceClassification", tmp_path / "theirs", id2label=names,
                                  label2id={name: number for number, name in names.items()})  # fmt: skip
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("for text classification\n")
    (tmp_path / "lines.txt").write_text("".join(f"{line}\n" for line in LINES))
    answered = call("predict", tmp_path / "mine", tmp_path / "lines.txt")
    found = [json.loads(line) for line in answered.stdout.splitlines()]
    found += zoo.predict(
        tmp_path / "mine", [{"text": one, "text_pair": two} for one, two in PAIRS], device="cpu"
    )
    seen = set()
    for answer, texts in zip(found, [*[(line,) for line in LINES], *PAIRS], strict=True):
        with torch.no_grad():
            expected = model(**tokenizer(*texts, return_tensors="pt")).logits[0].softmax(0)
        assert list(answer["probabilities"]) == list(names.values())
        torch.testing.assert_close(
            torch.tensor([*answer["probabilities"].values()]), expected, rtol=0, atol=2e-5
        )
        assert answer["label"] == names[int(expected.argmax())]
        seen.add(round(float(expected[0]), 3))
    assert len(seen) > len(LINES)  # they differ from text to text
    rows = [{"text": line, "label": answer["label"]} for line, answer in zip(LINES, found, strict=False)]
    (tmp_path / "rows.jsonl").write_text(
        "".join(f"{json.dumps(row)}\n" for row in [*rows, {**rows[0], "label": "bad"}])
    )
    data = f"task.data={{type: json_lines, train: x, dev: '{tmp_path / 'rows.jsonl'}', columns: {COLUMNS}}}"
    result = zoo.evaluate(tmp_path / "mine", data, split="dev", device="cpu")
    assert result["accuracy"] == pytest.approx(100 if rows[0]["label"] == "bad" else 80)


def test_a_long_text_and_a_long_pair_are_cut_as_transformers_does(tmp_path: Path) -> None:
    model, tokenizer = checkpoint("Bert", "ForSequenceClassification", tmp_path / "theirs", num_labels=3)
    call("import", tmp_path / "theirs", tmp_path / "mine")
    long, short = " ".join(LINES * 4), "the old dog"
    found = zoo.predict(
        tmp_path / "mine",
        [long, {"text": long, "text_pair": short}, {"text": short, "text_pair": long}],
        device="cpu",
    )
    for answer, texts in zip(found, [(long,), (long, short), (short, long)], strict=True):
        given = tokenizer(*texts, return_tensors="pt", truncation=True)
        assert given["input_ids"].shape[1] == 64  # what the tokenizer says
        expected = model(**given).logits[0].softmax(0).detach()
        torch.testing.assert_close(
            torch.tensor([*answer["probabilities"].values()]), expected, rtol=0, atol=2e-5
        )
        assert list(answer["probabilities"]) == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_one_label_is_a_regression_and_several_at_once_are_told(tmp_path: Path) -> None:
    model, tokenizer = checkpoint("Roberta", "ForSequenceClassification", tmp_path / "theirs", num_labels=1)
    assert call("import", tmp_path / "theirs", tmp_path / "mine").exit_code == 0
    for line, answer in zip(LINES, zoo.predict(tmp_path / "mine", LINES, device="cpu"), strict=True):
        expected = float(model(**tokenizer(line, return_tensors="pt")).logits.detach()[0, 0])
        assert answer["value"] == pytest.approx(expected, abs=2e-5)
    checkpoint("Bert", "ForSequenceClassification", tmp_path / "many", num_labels=3,
               problem_type="multi_label_classification")  # fmt: skip
    result = call("import", tmp_path / "many", tmp_path / "other")
    assert result.exit_code == 0
    assert "no task is written: problem_type multi_label_classification of 3 numbers" in result.stderr
    assert zoo.open(tmp_path / "other").tokenizer.encode(["the dog"]) != [[]]


@pytest.mark.parametrize("family", FAMILIES)
def test_tags_are_those_of_each_words_first_piece(family: str, tmp_path: Path) -> None:
    names = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
    model, tokenizer = checkpoint(family, "ForTokenClassification", tmp_path / "theirs", id2label=names)
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.stdout.endswith("for tagging\n"), result.output
    words = [line.split() for line in LINES]
    found = zoo.predict(tmp_path / "mine", [{"tokens": each} for each in words], device="cpu")
    for answer, line, each in zip(found, LINES, words, strict=True):
        given = tokenizer(line, return_tensors="pt") if family == "Roberta" else tokenizer(
            each, is_split_into_words=True, return_tensors="pt")  # fmt: skip
        with torch.no_grad():
            probabilities = model(**given).logits[0].softmax(1)
        if (
            family == "Roberta"
        ):  # no token reaches over a space, so that each word begins where the words before it end
            before = [" ".join(each[:number]) for number in range(len(each))]
            starts = [len(tokenizer(text)["input_ids"]) - 1 for text in before]
        else:
            starts = [given.word_ids().index(number) for number in range(len(each))]
        best, tags = probabilities[starts].max(1)
        assert answer["tags"] == [names[number] for number in tags.tolist()]
        torch.testing.assert_close(torch.tensor(answer["probabilities"]), best, rtol=0, atol=2e-5)
    text = call("predict", tmp_path / "mine", input="\n".join(LINES)).stdout
    assert [json.loads(line)["tags"] for line in text.splitlines()] == [answer["tags"] for answer in found]


@pytest.mark.parametrize("family", FAMILIES)
def test_masked_tokens_are_guessed_as_transformers_does(family: str, tmp_path: Path) -> None:
    model, tokenizer = checkpoint(family, "ForMaskedLM", tmp_path / "theirs")
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.stdout.endswith("for masked language model\n"), result.output
    mask = tokenizer.mask_token
    lines = [f"The old {mask} sees {mask} .", f"a {mask}", f"Ann's dogs {mask}sleep"]
    ours = [line.replace(mask, "[MASK]") for line in lines]
    for given in (lines, ours):
        for answer, line in zip(zoo.predict(tmp_path / "mine", given, device="cpu"), lines, strict=True):
            ids = tokenizer(line, return_tensors="pt")
            with torch.no_grad():
                rows = model(**ids).logits[0].softmax(1)[ids["input_ids"][0] == tokenizer.mask_token_id]
            assert len(rows) == line.count(mask)
            torch.testing.assert_close(
                torch.tensor(answer["probabilities"]), rows.max(1).values, rtol=0, atol=2e-5
            )
            known = [number for number in rows.argmax(1).tolist() if number < len(tokenizer)]
            words = [
                tokenizer.decode([number]).strip()
                for number in known
                if number not in tokenizer.all_special_ids
            ]
            assert set(words) <= set(answer["words"])


def test_the_loss_at_hidden_tokens_is_that_of_transformers(tmp_path: Path) -> None:
    model, tokenizer = checkpoint("Roberta", "ForMaskedLM", tmp_path / "theirs")
    call("import", tmp_path / "theirs", tmp_path / "mine")
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES))
    found = zoo.open(tmp_path / "mine", "task.rate=0.5", "task.replaced=0.3", "task.masked=0.6", device="cpu")
    import numpy as np

    rows = found.task.read([{"text": line} for line in LINES], found.model)
    varied = [
        found.task.vary(row, np.random.default_rng(number), is_training=True)  # type: ignore[arg-type]
        for number, row in enumerate(rows)
    ]
    batch = found.task.collate(varied)
    tokens, mask = batch["tokens"], batch["mask"]
    assert (tokens[~mask] == tokenizer.pad_token_id).all()
    assert (tokens[:, 0] == tokenizer.cls_token_id).all()
    assert (batch["original"] == tokenizer(LINES, padding=True, return_tensors="pt")["input_ids"]).all()
    labels = (
        torch.full_like(tokens, -100).flatten().scatter(0, batch["places"], batch["labels"]).view_as(tokens)
    )
    hidden = tokens[labels != -100]
    assert {tokenizer.mask_token_id} < set(hidden.tolist())
    expected = model(tokens, attention_mask=mask.long(), labels=labels).loss.detach()
    loss = found.task.loss(found.model, batch, is_training=False)
    torch.testing.assert_close((loss.nll / loss.n_predicted).detach(), expected)
    data = f"task.data={{type: text, train: x, dev: '{tmp_path / 'text'}'}}"
    assert zoo.evaluate(tmp_path / "mine", data, split="dev", device="cpu")["n_hidden"] > 0
