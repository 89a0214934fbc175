"""Imported checkpoints with a task: what they answer is what transformers answers."""

from __future__ import annotations

import json
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from typer.testing import CliRunner

import zoo
from registry import parse
from tests.checkpoints import write_form, write_gpt2, write_sentencepiece
from zoo.cli.main import app
from zoo.data.labels import Labels
from zoo.data.tokenizers import hugging_face
from zoo.kinds import TASK

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
hf: Any = transformers
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


def checkpoint(
    family: str, head: str, folder: Path, *, only_model: bool = False, **further: Any
) -> tuple[Any, Any]:
    """A random model with a tokenizer in a folder; both as transformers has them.

    only_model: the tokenizer is the SentencePiece model of microsoft/deberta-v3-base's form, with no tokenizer.json.
    """
    form, fields = FAMILIES[family]
    tokenizer = write_sentencepiece("deberta-v2", folder) if only_model else write_form(form, folder)
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in IDS[family == "ModernBert"]}
    sizes = {
        "vocab_size": len(tokenizer) + 3, "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3,
        "max_position_embeddings": 70, "initializer_range": 0.7,
    }  # fmt: skip
    config = getattr(hf, f"{family}Config")(**{**sizes, **ids, **fields, **further})
    torch.manual_seed(5)
    model = getattr(hf, f"{family}{head}")(config).eval()
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
    rows.append({**rows[0], "label": "bad"})
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "rows.tsv").write_text("".join(f"{row['text']}\t{row['label']}\n" for row in rows))
    data = f"task.data={{type: json_lines, train: x, dev: '{tmp_path / 'rows.jsonl'}', columns: {COLUMNS}}}"
    for words, split in ((data, "dev"), (f"task.data.test={tmp_path}/rows.tsv", None)):
        result = zoo.evaluate(tmp_path / "mine", words, split=split, device="cpu")
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


def test_a_folder_with_only_a_sentencepiece_model_answers_and_is_learnt_upon(tmp_path: Path) -> None:
    pytest.importorskip("google.protobuf")
    model, tokenizer = checkpoint(
        "DebertaV2", "ForSequenceClassification", tmp_path / "theirs", only_model=True, num_labels=2
    )
    assert not (tmp_path / "theirs" / "tokenizer.json").exists()
    mine, out = tmp_path / "mine", tmp_path / "run"
    result = call("import", tmp_path / "theirs", mine)
    assert (result.exit_code, result.stdout.endswith("for text classification\n")) == (0, True), result.output
    answered = call("predict", mine, input="".join(f"{line}\n" for line in LINES))
    found = [json.loads(line) for line in answered.stdout.splitlines()]
    for answer, line in zip(found, LINES, strict=True):
        expected = model(**tokenizer(line, return_tensors="pt")).logits[0].softmax(0).detach()
        torch.testing.assert_close(
            torch.tensor([*answer["probabilities"].values()]), expected, rtol=0, atol=2e-5
        )
    rows = "".join(f"{'good' if 'dog' in line else 'bad'}\t{line}\n" for line in LINES * 3)
    (tmp_path / "rows.tsv").write_text(rows)
    file = json.dumps(str(tmp_path / "rows.tsv"))
    result = call(
        "train", mine, "--init-from", mine, "--out", out, "--quiet",
        f"task.data={{type: columns, train: {file}, dev: {file}, columns: [label, text]}}",
        "training.max_steps=2", "training.accelerator=cpu", "training.precision=fp32",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert zoo.open(out).tokenizer.data == zoo.open(mine).tokenizer.data


def test_a_folder_whose_tokenizer_has_no_form_here_says_so_in_a_line(tmp_path: Path) -> None:
    checkpoint("DebertaV2", "ForSequenceClassification", tmp_path / "theirs", only_model=True)
    (tmp_path / "theirs" / "tokenizer_config.json").write_text('{"tokenizer_class": "BigBirdTokenizer"}')
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.exit_code == 0, result.output
    assert "no task is written: " in result.stderr
    assert (
        "spm.model: a tokenizer of class BigBirdTokenizer is not read from such a file (known: "
        in result.stderr
    )


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
    sentences = (zip(each, answer["tags"], strict=True) for each, answer in zip(words, found, strict=True))
    tagged = "\n".join("".join(f"{word} _ {tag}\n" for word, tag in sentence) for sentence in sentences)
    (tmp_path / "tagged.txt").write_text(tagged)
    result = zoo.evaluate(tmp_path / "mine", f"task.data.test={tmp_path}/tagged.txt", device="cpu")
    assert result["accuracy"] == 100


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


@pytest.mark.parametrize("family", ["Bert", "Roberta"])
def test_vectors_of_a_masked_language_model_are_of_texts_in_which_nothing_is_hidden(
    family: str, tmp_path: Path
) -> None:
    model, tokenizer = checkpoint(family, "ForMaskedLM", tmp_path / "theirs")
    assert call("import", tmp_path / "theirs", tmp_path / "mine").exit_code == 0
    lines = [*LINES, f"a {tokenizer.mask_token} cat", " ".join(LINES * 4)]
    for line, answer in zip(lines, zoo.predict(tmp_path / "mine", lines, embed=True), strict=True):
        given = tokenizer([line], return_tensors="pt", truncation=True)
        with torch.no_grad():
            expected = model.base_model(**given).last_hidden_state[0].mean(0)
        torch.testing.assert_close(torch.tensor(answer["vector"]), expected, rtol=0, atol=2e-5)


def test_the_loss_at_hidden_tokens_is_that_of_transformers(tmp_path: Path) -> None:
    model, tokenizer = checkpoint("Roberta", "ForMaskedLM", tmp_path / "theirs")
    call("import", tmp_path / "theirs", tmp_path / "mine")
    (tmp_path / "text").write_text("".join(f"{line}\n" for line in LINES))
    found = zoo.open(tmp_path / "mine", "task.rate=0.5", "task.replaced=0.3", "task.masked=0.6", device="cpu")
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
    data = f"task.data.test={tmp_path}/text"
    assert zoo.evaluate(tmp_path / "mine", data, device="cpu")["n_hidden"] > 0


@pytest.mark.parametrize("n_channels", [3, 1])
def test_classes_of_images_are_those_of_transformers(n_channels: int, tmp_path: Path) -> None:
    config = hf.ViTConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=19, image_size=[6, 9],
        patch_size=3, num_channels=n_channels, id2label={0: "cat", 1: "dog", 2: "owl"}, initializer_range=0.7,
    )  # fmt: skip
    torch.manual_seed(4)
    model = hf.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "theirs")
    said = {
        "do_resize": True, "size": {"height": 6, "width": 9}, "resample": 2, "do_rescale": True,
        "rescale_factor": 1 / 200, "do_normalize": True, "image_mean": [0.5, 0.4, 0.3][:n_channels],
        "image_std": [0.2, 0.3, 0.4][:n_channels], "image_processor_type": "ViTImageProcessor",
    }  # fmt: skip
    (tmp_path / "theirs" / "preprocessor_config.json").write_text(json.dumps(said))
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.stdout.endswith("for image classification\n"), result.output
    random, paths = np.random.default_rng(3), []
    for number in range(3):
        label = ("cat", "dog", "owl")[number]
        (tmp_path / "pets" / "val" / label).mkdir(parents=True)
        paths.append(tmp_path / "pets" / "val" / label / "1.png")
        Image.fromarray(random.integers(0, 256, (17, 11 + number, 3), np.uint8)).save(paths[-1])
    answered = call("predict", tmp_path / "mine", input="\n".join(map(str, [*paths, tmp_path / "none.png"])))
    found = [json.loads(line) for line in answered.stdout.splitlines()]
    assert found[3]["file"].endswith("none.png")
    assert found[3]["refused"] == "No such file or directory"
    for path, answer in zip(paths, found[:3], strict=True):
        image = (
            Image.open(path)
            .convert("RGB" if n_channels == 3 else "L")
            .resize((9, 6), Image.Resampling.BILINEAR)
        )
        if n_channels == 3:
            processor = hf.ViTImageProcessorPil.from_pretrained(tmp_path / "theirs")
            given = processor(Image.open(path), return_tensors="pt")["pixel_values"]
        else:
            pixels = torch.tensor(np.asarray(image)).reshape(6, 9, n_channels).permute(2, 0, 1)[None] / 200
            mean, deviation = (
                torch.tensor(said[name])[:, None, None] for name in ("image_mean", "image_std")
            )
            given = (pixels - mean) / deviation
        with torch.no_grad():
            expected = model(given).logits[0].softmax(0)
        torch.testing.assert_close(
            torch.tensor([*answer["probabilities"].values()]), expected, rtol=0, atol=2e-5
        )
    maps = zoo.attention_maps(tmp_path / "mine", paths[0], device="cpu").maps
    assert [each.name for each in maps] == [f"encoder.layers.{i}.self_attention" for i in (0, 1)]
    assert maps[0].keys == maps[0].queries == ("class", "1,1", "1,2", "1,3", "2,1", "2,2", "2,3")
    result = zoo.evaluate(
        tmp_path / "mine", f"task.data.folder='{tmp_path / 'pets'}'", split="dev", device="cpu"
    )
    right = sum(answer["label"] == path.parent.name for answer, path in zip(found, paths, strict=False))
    assert result["accuracy"] == pytest.approx(100 * right / 3)


def test_series_are_forecast_and_scored_as_transformers_does(tmp_path: Path) -> None:
    T, look_back, horizon, n_test = 120, 24, 6, 24
    config = hf.PatchTSTConfig(
        num_input_channels=2, context_length=look_back, patch_length=5, patch_stride=3, prediction_length=horizon,
        d_model=12, num_attention_heads=3, ffn_dim=19, num_hidden_layers=2, pooling_type=None,
    )  # fmt: skip
    torch.manual_seed(0)
    reference = hf.PatchTSTForPrediction(config).train()
    reference(past_values=torch.randn(5, look_back, 2) * 3 + 1)  # moves its running statistics
    reference.eval().save_pretrained(tmp_path / "theirs")
    values = (np.random.default_rng(0).normal(size=(T, 2)) * [3, 0.2] + [10, -1]).round(3)
    lines = ["date,a,b", *(f"{i},{a},{b}" for i, (a, b) in enumerate(values))]
    (tmp_path / "series.csv").write_text("\n".join(lines) + "\n")
    assert call("import", tmp_path / "theirs", tmp_path / "mine").exit_code == 0
    given = torch.tensor(values, dtype=torch.float32)
    starts = range(T - n_test, T - horizon + 1)
    pasts = torch.stack([given[i - look_back : i] for i in starts])
    futures = torch.stack([given[i : i + horizon] for i in starts])
    with torch.no_grad():
        forecasts = reference(past_values=pasts, future_values=futures)
        last = reference(past_values=given[None, -look_back:]).prediction_outputs[0]
    scores = zoo.evaluate(tmp_path / "mine", f"task.data.path={tmp_path}/series.csv")
    assert scores["mse"] == pytest.approx(forecasts.loss.item(), rel=1e-4)
    assert scores["mae"] == pytest.approx(
        (forecasts.prediction_outputs - futures).abs().mean().item(), rel=1e-4
    )
    (line,) = call("predict", tmp_path / "mine", tmp_path / "series.csv").stdout.splitlines()
    np.testing.assert_allclose(json.loads(line)["forecast"], last, rtol=1e-4, atol=1e-4)
    exported = call("export", tmp_path / "mine", tmp_path / "back")
    assert (exported.exit_code, exported.stderr) == (0, "")
    again = hf.PatchTSTForPrediction.from_pretrained(tmp_path / "back").eval()
    with torch.no_grad():
        torch.testing.assert_close(again(past_values=pasts).prediction_outputs, forecasts.prediction_outputs)


def test_images_without_their_settings_and_settings_that_no_task_has_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    config = hf.ViTConfig(hidden_size=12, num_hidden_layers=1, num_attention_heads=3, intermediate_size=19,
                                    image_size=6, patch_size=3, num_labels=3)  # fmt: skip
    hf.ViTForImageClassification(config).save_pretrained(folder)
    for number, (said, why) in enumerate(
        [
            (None, "there is no preprocessor_config.json, which says what the model is given"),
            ({"size": 8}, "preprocessor_config.json: images become 8 × 8, but the model reads (6, 6)"),
            (
                {"size": 6, "image_mean": [0.5]},
                "image_mean must be a number for each of the 3 channels, got [0.5]",
            ),
            ({"size": 6, "resample": 9}, "resample 9 is no number of Pillow's, 0 to 5"),
        ]
    ):
        if said is not None:
            (folder / "preprocessor_config.json").write_text(json.dumps(said))
        result = call("import", folder, tmp_path / f"mine{number}")
        assert (
            result.exit_code,
            f"no task is written: {'' if said else f'{folder}: '}" in result.stderr,
        ) == (0, True)
        assert why in result.stderr


@pytest.mark.parametrize("form", ["T5", "Bart"])
def test_a_text_is_written_for_a_text_as_transformers_does(form: str, tmp_path: Path) -> None:
    tokenizer = write_form(form, tmp_path / "theirs")
    torch.manual_seed(6)
    if form == "T5":
        config: Any = hf.T5Config(
            vocab_size=len(tokenizer),
            d_model=12,
            d_kv=4,
            num_heads=3,
            num_layers=2,
            d_ff=19,
            decoder_start_token_id=0,
        )  # fmt: skip
        model: Any = hf.T5ForConditionalGeneration(config).eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    else:
        config = hf.BartConfig(
            vocab_size=len(tokenizer), d_model=12, encoder_layers=1, decoder_layers=1, encoder_attention_heads=3,
            decoder_attention_heads=3, encoder_ffn_dim=19, decoder_ffn_dim=17, max_position_embeddings=60, init_std=0.9,
            bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
        )  # fmt: skip
        model = hf.BartForConditionalGeneration(config).eval()
    model.generation_config.update(
        max_length=12, num_beams=1, forced_eos_token_id=2 if form == "Bart" else None
    )
    model.save_pretrained(tmp_path / "theirs")
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.stdout.endswith("for translation\n"), result.output
    answers = list(zoo.open(tmp_path / "mine", device="cpu").answers_to_lines(LINES))
    for answer, line in zip(answers, LINES, strict=True):
        ids = model.generate(**tokenizer([line], return_tensors="pt"))[0, 1:].tolist()
        assert answer[0].tokens == [number for number in ids if number != tokenizer.eos_token_id]
    texts = [answer[0].text for answer in answers]
    assert len({tuple(answer[0].tokens) for answer in answers}) > 1
    assert call("generate", tmp_path / "mine", input="\n".join(LINES)).stdout.splitlines() == texts
    for answer in answers:
        expected = tokenizer.decode(answer[0].tokens, skip_special_tokens=True)
        assert " ".join(answer[0].text.split()) == " ".join(expected.split())


@pytest.mark.parametrize(
    ("form", "task", "mark"), [("T5", "span_corruption", "<extra_id_0>"), ("Bart", "infilling", "<mask>")]
)
def test_sentinels_and_masks_are_the_tokenizers_own(form: str, task: str, mark: str, tmp_path: Path) -> None:
    """What transformers feeds for a text with marks, and a source and a target in the frame of its labels."""
    theirs = write_form(form, tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={"start": 0})
    assert ours is not None
    words = ["task.n_sentinels=9", "task.max_length=40"] if form == "T5" else []
    preset = "t5_small" if form == "T5" else "bart_base"
    model = zoo.load(preset, f"model.source.vocab_size={len(theirs) + 3}", *words).model
    n = {"n_sentinels": 9, "max_length": 40} if form == "T5" else {}
    spec = parse(TASK.entry(task).spec, {"type": task, "data": "none", "tokenizer": "hugging_face", **n})
    made: Any = TASK.build(spec, model=model, coders={"tokenizer": ours})
    made.check_coders(tmp_path)
    text = f"the old {mark} sees the house."
    (read,) = made.read([{"text": text}], torch.nn.Identity())
    varied = made.vary(read, np.random.default_rng(1), is_training=False)
    assert varied["source"].tolist() == theirs(text)["input_ids"]
    (row,) = made.encode([{"text": LINES[2]}], is_scored=False)
    varied = made.vary(row, np.random.default_rng(1), is_training=True)
    batch = made.collate([varied])
    number = theirs.convert_tokens_to_ids(mark)
    whole = theirs(LINES[2])["input_ids"]
    assert made.collate([made.unvaried(row)])["source"].tolist() == [whole]
    assert number in varied["source"].tolist()
    assert varied["source"].tolist()[-1] == whole[-1]
    assert batch["target"][0].tolist() == [0, *varied["target"].tolist()[:-1]]
    if form == "Bart":
        assert varied["target"].tolist() == whole
        assert varied["source"].tolist()[0] == whole[0]
    else:
        assert varied["target"].tolist()[0] == number
        gaps = theirs.decode(varied["target"], skip_special_tokens=False)
        assert gaps.endswith("</s>")


@pytest.mark.parametrize("is_last", [False, True])
def test_what_is_heard_is_transcribed_as_transformers_does(is_last: bool, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    letters = ["|", "A", "B", "C", "'", "D"]
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    tokens = [*special[1:], *letters, "<pad>"] if is_last else [*special, *letters]
    (tmp_path / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    tokenizer = hf.Wav2Vec2CTCTokenizer(tmp_path / "vocab.json", do_lower_case=is_last)
    extractor = hf.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=not is_last)
    tokenizer.save_pretrained(folder)
    extractor.save_pretrained(folder)
    config = hf.Wav2Vec2Config(
        vocab_size=10, hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=19,
        conv_dim=[8, 8], conv_kernel=[5, 3], conv_stride=[4, 3], num_conv_pos_embeddings=5,
        num_conv_pos_embedding_groups=3, pad_token_id=tokenizer.pad_token_id, feat_extract_norm="layer",
        initializer_range=0.7, num_feat_extract_layers=2,
    )  # fmt: skip
    torch.manual_seed(8)
    model = hf.Wav2Vec2ForCTC(config).eval()
    with torch.no_grad():
        for token in special:
            if token != "<pad>":
                model.lm_head.bias[
                    tokenizer.convert_tokens_to_ids(token)
                ] = -99  # a trained model never writes them
    model.save_pretrained(folder)
    result = call("import", folder, tmp_path / "mine")
    assert result.stdout.endswith("for speech recognition\n"), result.output
    sounds, texts = recordings(tmp_path, rate=8000, n=900), []
    for samples in sounds.values():
        given = extractor(samples, sampling_rate=8000, return_tensors="pt")
        with torch.no_grad():
            best = model(given["input_values"]).logits.argmax(-1)
        texts.append(tokenizer.batch_decode(best)[0])
    lines = call("predict", tmp_path / "mine", input="\n".join(map(str, sounds))).stdout.splitlines()
    assert [json.loads(line)["text"] for line in lines] == texts
    assert len(set(texts)) > 1
    table = "".join(f"{path}\t{text}\n" for path, text in zip(sounds, texts, strict=True) if text)
    (tmp_path / "sounds.tsv").write_text(f"path\ttext\n{table}")
    assert zoo.evaluate(tmp_path / "mine", f"task.data.test={tmp_path}/sounds.tsv", device="cpu")["wer"] == 0
    heard = zoo.attention_maps(tmp_path / "mine", next(iter(sounds)), layers=[1], device="cpu").maps[0]
    assert heard.keys == tuple(str(i + 1) for i in range(heard.weights.shape[2]))
    found = zoo.open(tmp_path / "mine").tokenizer
    for text in ("a b'c", "AB CD", "zebra"):
        assert found.encode([text])[0] == tokenizer(text)["input_ids"]
    assert found.decode(found.encode([texts[0]])) == [texts[0]]


def recordings(folder: Path, *, rate: int, n: int) -> dict[Path, np.ndarray[Any, Any]]:
    """Four wav files of noise, of n samples and more, and what is in them."""
    random, found = np.random.default_rng(5), {}
    for number in range(4):
        samples = random.integers(-20000, 20000, n + n * number // 5).astype("<i2")
        path = folder / f"{number}.wav"
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        found[path] = (samples / 32768).astype(np.float32)
    return found


def whisper(folder: Path) -> tuple[Any, Any, Any]:
    """A small random Whisper of two languages, as transformers saves it, its tokenizer and its ears."""
    end = "<|endoftext|>"
    marks = [
        "<|startoftranscript|>",
        "<|en|>",
        "<|de|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|notimestamps|>",
    ]
    tokenizer = write_gpt2(folder)
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.pad_token = end
    tokenizer.save_pretrained(folder)
    ears = hf.WhisperFeatureExtractor(feature_size=7, chunk_length=1)
    ears.save_pretrained(folder)
    number = tokenizer.convert_tokens_to_ids
    sizes = {f"{stack}_{name}": size for stack in ("encoder", "decoder")
             for name, size in (("layers", 1), ("attention_heads", 3), ("ffn_dim", 9))}  # fmt: skip
    config = hf.WhisperConfig(
        vocab_size=len(tokenizer), d_model=12, num_mel_bins=7, max_source_positions=50, max_target_positions=20,
        pad_token_id=number(end), bos_token_id=number(end), eos_token_id=number(end), init_std=0.9,
        decoder_start_token_id=number(marks[0]), suppress_tokens=[5], begin_suppress_tokens=None, **sizes,
    )  # fmt: skip
    torch.manual_seed(9)
    model = hf.WhisperForConditionalGeneration(config).eval()
    settings = {
        "lang_to_id": {"<|en|>": number("<|en|>"), "<|de|>": number("<|de|>")}, "is_multilingual": True,
        "task_to_id": {name: number(f"<|{name}|>") for name in ("translate", "transcribe")}, "return_timestamps": False,
        "no_timestamps_token_id": number("<|notimestamps|>"), "max_length": 16,
        "suppress_tokens": [5, *map(number, marks)],
    }  # fmt: skip
    for name, value in settings.items():  # not by update, which leaves out what other families have not
        setattr(model.generation_config, name, value)
    return model, tokenizer, ears


@pytest.mark.parametrize("task", ["transcribe", "translate"])
def test_whisper_writes_what_transformers_writes_in_the_language_that_is_said(
    task: str, tmp_path: Path
) -> None:
    model, tokenizer, ears = whisper(tmp_path / "theirs")
    model.generation_config.language, model.generation_config.task = "de", task
    model.save_pretrained(tmp_path / "theirs")
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.stdout.endswith("for transcription\n"), result.output
    used = zoo.open(tmp_path / "mine", device="cpu")
    marks = [tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("de", task, "notimestamps")]
    assert list(used.spec.generation.ids.first) == marks
    sounds, texts = recordings(tmp_path, rate=16000, n=6000), []
    for samples in sounds.values():
        heard = ears(samples, sampling_rate=16000, return_tensors="pt")
        written = [token for token in model.generate(**heard)[0].tolist() if token < marks[0] - 3]
        # At its limit transformers may write a further token in the place of the end.
        texts.append(tokenizer.decode(written[: used.spec.generation.max_length - len(marks)]))
    lines = call("predict", tmp_path / "mine", *sounds).stdout.splitlines()
    assert [json.loads(line)["text"].split() for line in lines] == [text.split() for text in texts]
    assert len(set(texts)) > 1
    table = [f"{path}\t{json.loads(line)['text']}\n" for path, line in zip(sounds, lines, strict=True)]
    (tmp_path / "sounds.tsv").write_text("path\ttext\n" + "".join(table))
    assert zoo.evaluate(tmp_path / "mine", f"task.data.test={tmp_path}/sounds.tsv", device="cpu")["wer"] == 0


def test_a_language_that_is_guessed_there_is_told(tmp_path: Path) -> None:
    model, *_ = whisper(tmp_path / "theirs")
    model.save_pretrained(tmp_path / "theirs")
    result = call("import", tmp_path / "theirs", tmp_path / "mine")
    assert result.exit_code == 0, result.output
    assert "lang_to_id" in result.stderr
    assert "generation.ids.first=[...] would say them" in result.stderr
    assert zoo.open(tmp_path / "mine").spec.task.type == "transcription"


def test_a_text_without_a_token_is_refused_where_nothing_stands_around_texts(tmp_path: Path) -> None:
    """A tokenizer such as GPT-2's puts nothing there, so that of an empty text nothing is left to read."""
    theirs = write_gpt2(tmp_path)
    ours = hugging_face.read_folder(tmp_path, ids={})
    assert ours is not None
    model = zoo.load(
        "text_classifier_small", f"model.inputs.vocab_size={len(theirs)}", "model.head.n_classes=2"
    ).model
    spec = parse(
        TASK.entry("text_classification").spec,
        {"type": "text_classification", "data": "none", "tokenizer": "hugging_face"},
    )
    made: Any = TASK.build(spec, model=model, coders={"tokenizer": ours, "labels": Labels(["a", "b"])})
    rows = [{"text": "", "label": "a"}, {"text": "the dog", "label": "b"}]
    for found in (made.read(rows, torch.nn.Identity()), made.encode(rows, is_scored=True)):
        assert "no token in it" in str(found[0])
        assert found[1]["inputs"].tolist() == theirs("the dog")["input_ids"]
