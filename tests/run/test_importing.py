"""An imported checkpoint with its tokenizer: opened, answered by and embedded with, as transformers does it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, GPT2Config, GPT2LMHeadModel, MarianConfig, MarianMTModel
from typer.testing import CliRunner

import zoo
from registry import SpecError
from tests.checkpoints import write_bert, write_gpt2, write_marian
from zoo.cli.main import app
from zoo.errors import DataError, RunError

pytestmark = pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
LINES = ["the dog sees the old house", "a cat", "the house is old"]


def call(*words: str | Path, input: str = "") -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], input=input)


def marian(folder: Path, *, is_separate: bool = False) -> tuple[Any, Any]:
    """A checkpoint of Marian with its tokenizer, in a folder; the model and the tokenizer of transformers."""
    tokenizer = write_marian(folder, is_separate=is_separate)
    size, target_size = len(tokenizer.encoder), len(tokenizer.decoder)
    torch.manual_seed(3)
    pad = tokenizer.pad_token_id
    sizes = {"decoder_vocab_size": target_size} if is_separate else {}
    model = MarianMTModel(
        MarianConfig(
            vocab_size=size, d_model=12, encoder_layers=1, decoder_layers=2, encoder_attention_heads=3,
            decoder_attention_heads=2, encoder_ffn_dim=29, decoder_ffn_dim=23, max_position_embeddings=40,
            pad_token_id=pad, decoder_start_token_id=pad, eos_token_id=0, forced_eos_token_id=None, bos_token_id=0,
            share_encoder_decoder_embeddings=not is_separate, init_std=0.6, **sizes,
        )
    ).eval()  # fmt: skip
    model.generation_config.update(bad_words_ids=[[pad]], num_beams=1, max_length=9, eos_token_id=0)
    model.save_pretrained(folder)
    return model, tokenizer


@pytest.mark.parametrize("is_separate", [False, True])
def test_an_imported_translator_writes_what_transformers_writes(tmp_path: Path, is_separate: bool) -> None:
    model, tokenizer = marian(tmp_path / "theirs", is_separate=is_separate)
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("float32, for translation\n")
    found = zoo.open(tmp_path / "mine")
    assert (found.spec.task.type, len(found.tokenizers)) == ("translation", 1 + is_separate)  # type: ignore[union-attr]
    expected = []
    for line in LINES:
        written = model.generate(**tokenizer([line], return_tensors="pt"))[0, 1:].tolist()
        expected.append([number for number in written if number not in (0, tokenizer.pad_token_id)])
    answers = list(found.answers_to_lines(LINES))
    assert [answer[0].tokens for answer in answers] == expected
    assert len({len(tokens) for tokens in expected}) > 1 or len(expected[0]) > 0
    texts = [answer[0].text for answer in answers]
    assert zoo.generate(tmp_path / "mine", LINES) == texts
    assert call("generate", tmp_path / "mine", input="\n".join(LINES)).stdout.splitlines() == texts
    lines = call("predict", tmp_path / "mine", input="\n".join(LINES)).stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts


def test_an_imported_translator_is_evaluated_on_files(tmp_path: Path) -> None:
    marian(tmp_path / "theirs")
    assert call("import", tmp_path / "theirs", tmp_path / "mine").exit_code == 0
    (tmp_path / "source").write_text("".join(f"{line}\n" for line in LINES))
    (tmp_path / "reference").write_text("".join(f"{line}\n" for line in LINES))
    data = [tmp_path / "source", tmp_path / "reference"]
    results = zoo.evaluate(tmp_path / "mine", data=data)
    assert (results["n_rows"], results["checkpoint"]) == (3, "model.safetensors")
    result = call("evaluate", tmp_path / "mine", "--data", *data)
    assert result.exit_code == 0, result.output
    result = call("evaluate", tmp_path / "mine")
    said = "dev.tsv: cannot be read: No such file or directory; an imported model has no data of its own: say where"
    assert (result.exit_code, f"{said} yours is, as task.data.test=..." in result.stderr) == (3, True)
    with pytest.raises(RunError, match="an imported model has one checkpoint"):
        zoo.open(tmp_path / "mine", checkpoint="last")
    with pytest.raises(DataError, match="an imported model has no data of its own"):
        zoo.evaluate(tmp_path / "mine", split="dev")
    (tmp_path / "pairs.tsv").write_text("".join(f"{line}\t{line}\n" for line in LINES))
    again = zoo.evaluate(tmp_path / "mine", f"task.data.test={tmp_path}/pairs.tsv")
    assert {name: again[name] for name in ("n_rows", "bleu", "chrf")} == {
        name: results[name] for name in ("n_rows", "bleu", "chrf")
    }


def test_the_loss_of_an_imported_translator_is_that_of_transformers(tmp_path: Path) -> None:
    """Begins, ends and padding are the checkpoint's own, so that training goes on where its makers stopped."""
    model, tokenizer = marian(tmp_path / "theirs")
    call("import", tmp_path / "theirs", tmp_path / "mine")
    found = zoo.open(tmp_path / "mine", device="cpu")
    pairs = [{"source": LINES[0], "target": LINES[1][::-1]}, {"source": LINES[1], "target": LINES[0][::-1]}]
    batch = found.task.collate([dict(each) for each in found.task.encode(pairs, is_scored=False)])  # type: ignore[arg-type]
    loss = found.task.loss(found.model, batch, is_training=False)
    theirs = tokenizer(
        [pair["source"] for pair in pairs], text_target=[pair["target"] for pair in pairs], padding=True,
        return_tensors="pt",
    )  # fmt: skip
    labels = theirs["labels"].masked_fill(theirs["labels"] == tokenizer.pad_token_id, -100)
    shifted = model.prepare_decoder_input_ids_from_labels(theirs["labels"])
    expected = model(
        theirs["input_ids"], attention_mask=theirs["attention_mask"], decoder_input_ids=shifted, labels=labels
    ).loss
    assert loss.n_predicted == int((labels != -100).sum())
    torch.testing.assert_close(loss.nll / loss.n_predicted, expected.detach())


def test_vectors_are_means_over_real_places(tmp_path: Path) -> None:
    model, tokenizer = marian(tmp_path / "theirs")
    call("import", tmp_path / "theirs", tmp_path / "mine")
    found = zoo.predict(tmp_path / "mine", [*LINES, "", {"target": "x"}], embed=True, device="cpu")
    for line, answer in zip(LINES, found, strict=False):
        hidden = model.model.encoder(**tokenizer([line], return_tensors="pt")).last_hidden_state[0]
        torch.testing.assert_close(torch.tensor(answer["vector"]), hidden.mean(0).detach())
    assert found[3:] == [{"refused": "no token in it"}, {"refused": "it has no field 'source'"}]


def test_rows_of_json_are_answered_and_bad_ones_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    marian(tmp_path / "theirs")
    call("import", "theirs", "mine")
    rows = ['{"source": "a cat", "target": "x"}', "{", "[1]", '{"source": 3}', '{"source": "the dog"}']
    Path("rows.jsonl").write_text("\n".join(rows))
    result = call("predict", "mine", "rows.jsonl", "--embed")
    assert result.exit_code == 0, result.output
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert ["vector" in answer for answer in answers] == [True, False, False, False, True]
    where = [line.partition(": ")[0] for line in result.stderr.splitlines()]
    assert where == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4"]
    assert "rows.jsonl:4: its field 'source' is no text: no answer" in result.stderr
    piped = call("predict", "mine", "--json-lines", "--embed", input=rows[0])
    assert json.loads(piped.stdout) == answers[0]


def test_a_model_without_a_task_gives_vectors_and_is_asked_nothing_else(tmp_path: Path) -> None:
    tokenizer = write_bert(tmp_path / "theirs")
    torch.manual_seed(4)
    config = BertConfig(
        vocab_size=14, hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=29,
        max_position_embeddings=8,
    )  # fmt: skip
    model = BertModel(config).eval()
    model.save_pretrained(tmp_path / "theirs")
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    said = "no task of ours is what this model is for, so that none is written; zoo predict --embed gives a text's"
    assert said in result.stderr
    found = zoo.open(tmp_path / "mine")
    assert found.model(torch.tensor([[1, 2, 3]])).shape == (1, 12)  # its pooler's
    with pytest.raises(SpecError, match="task: missing key"):
        found.answers_to_lines(["x"])
    lines = [*LINES, " ".join(LINES)]  # the last one is longer than there are positions
    result = call("predict", tmp_path / "mine", "--embed", input="\n".join(lines))
    vectors = [json.loads(line)["vector"] for line in result.stdout.splitlines()]
    assert [answer["vector"] for answer in zoo.predict(tmp_path / "mine", lines, embed=True)] == vectors
    for line, vector in zip(lines, vectors, strict=True):
        given = tokenizer([line], return_tensors="pt", truncation=True, max_length=8)
        hidden = model(**given).last_hidden_state[0]
        torch.testing.assert_close(torch.tensor(vector), hidden.mean(0).detach())
    result = call("predict", tmp_path / "mine", input="a cat")
    assert (result.exit_code, "task: missing key" in result.stderr) == (2, True)


def test_a_run_is_opened_and_asked_alike(run: Path) -> None:
    found = zoo.open(run)
    assert isinstance(found, zoo.TrainedRun)
    assert found.spec is found.run
    assert list(found.tokenizers) == ["tokenizer"]
    texts = zoo.generate(run, ["the dog", "a"])
    assert [
        answer["text"] for answer in zoo.predict(run, ["the dog", {"source": "a", "target": "?"}])
    ] == texts
    (vector, _) = zoo.predict(run, ["the dog", "a"], embed=True)
    assert len(vector["vector"]) == 12


def test_an_imported_language_model_goes_on_as_transformers_does(tmp_path: Path) -> None:
    tokenizer = write_gpt2(tmp_path / "theirs")
    end = tokenizer.eos_token_id
    torch.manual_seed(2)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer), n_positions=30, n_embd=12, n_head=3, n_layer=2, bos_token_id=end,
            eos_token_id=end, initializer_range=0.5,
        )
    ).eval()  # fmt: skip
    model.generation_config.update(max_new_tokens=9)
    model.save_pretrained(tmp_path / "theirs")
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.stdout.endswith("for language model\n"), result.output
    expected = []
    for line in [*LINES, ""]:
        ids = tokenizer([line], return_tensors="pt")["input_ids"] if line else torch.tensor([[end]])
        written = model.generate(ids, max_new_tokens=9, pad_token_id=end)[0, ids.shape[1] :].tolist()
        expected.append([number for number in written if number != end])
    found = zoo.open(tmp_path / "mine", "generation.max_length=9", device="cpu")
    answers = list(found.answers_to_lines([*LINES, ""]))
    assert [answer[0].tokens for answer in answers] == expected
    assert [answer[0].text for answer in answers] == tokenizer.batch_decode(expected)
    (vector,) = zoo.predict(tmp_path / "mine", [LINES[0]], embed=True, device="cpu")
    hidden = model.transformer(**tokenizer([LINES[0]], return_tensors="pt")).last_hidden_state[0]
    torch.testing.assert_close(torch.tensor(vector["vector"]), hidden.mean(0).detach())
