"""The tasks of speech: what is heard, the losses by their formulas, answers, padding, and runs by the command line."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from torch import nn
from typer.testing import CliRunner

import zoo as library
from registry import Spec, SpecError, parse
from zoo.assembly.build import build
from zoo.cli.main import app
from zoo.data.bad_lines import BadLines
from zoo.data.cache import Rejected
from zoo.data.spectrogram import log_mel
from zoo.errors import DataError
from zoo.kinds import CORPUS, DECODING, TASK, Row
from zoo.run.spec import RunSpec
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.speech_recognition import collapsed
from zoo.tasks.task import Refusal
from zoo.training.order import Position

PRESETS = {
    "speech_recognition": "wav2vec2_base",
    "transcription": "whisper_tiny",
    "speech_classification": "spoken_digits",
}
Made = tuple[RunSpec, PreparedTask, nn.Module]


class TaskOnly(Spec):
    task: Annotated[Spec, TASK]


def run_of(name: str, *overrides: str) -> RunSpec:
    few = ("task.data.n_train=60", "task.data.n_dev=7", "task.data.n_test=5")
    return library.load(PRESETS[name], *few, *overrides, scale="tiny")


def made(name: str, folder: Path, *overrides: str) -> Made:
    run = run_of(name, *overrides)
    assert run.task is not None
    data = prepare(run.task, model=run.model, folder=folder, tokens_per_batch=600, seed=3, is_resumed=False)
    torch.manual_seed(2)
    return run, data, build(run.model).eval()


def rows(run: RunSpec, n: int) -> list[Row]:
    corpus: Any = CORPUS.build(run.task.data)  # type: ignore[union-attr]
    return list(itertools.islice(corpus.rows("train", bad_lines=BadLines("error")), n))


def examples(run: RunSpec, data: PreparedTask, n: int = 4) -> Any:
    found = data.task.encode(rows(run, n), is_scored=True)
    assert not any(isinstance(each, Rejected) for each in found)
    return found


def test_ctc_is_the_sum_over_all_ways_to_say_the_labels(tmp_path: Path) -> None:
    run, data, model = made("speech_recognition", tmp_path)
    task: Any = data.task
    example = dict(examples(run, data, 1)[0])
    kernel = 5 + 3 * 2  # samples of a frame: kernels 5 and 3, strides 3 and 2
    example["sound"] = example["sound"][: kernel + 6 * 5]  # 6 frames
    example["labels"] = np.array([5, 5, 7], np.uint16)
    with torch.no_grad():
        found = task.loss(model, task.collate([example]), is_training=False)
        p = model(torch.from_numpy(example["sound"])[None])[0].double().softmax(-1)  # [T, V]
    assert len(p) == 6
    total = 0.0
    for frames in itertools.product((0, 5, 7), repeat=6):
        if collapsed(frames, 0) == [5, 5, 7]:
            total += float(p[torch.arange(6), torch.tensor(frames)].prod())
    assert float(found.nll) == pytest.approx(-np.log(total), rel=1e-4)
    assert found.n_predicted == 3


def test_equal_neighbours_are_one_label_and_blanks_none() -> None:
    assert collapsed([0, 5, 5, 0, 5, 7, 7, 0, 0], 0) == [5, 5, 7]
    assert collapsed([3, 3], 3) == []


def test_a_ctc_answer_is_read_off_the_best_label_of_each_frame(tmp_path: Path) -> None:
    run, data, model = made("speech_recognition", tmp_path)
    task: Any = data.task
    heads: Any = model.head
    frames = torch.tensor([[0, 4, 4, 0, 4, 6, 9]])
    logits = torch.full((1, 7, 13), -9.0).scatter(2, frames[:, :, None], 9.0)
    model.hidden = lambda sound, *, mask: (sound, torch.tensor([[True] * 6 + [False]]))  # type: ignore[assignment]
    heads.forward = lambda hidden, mask=None: logits
    ((answer,),) = task.predict(model, task.collate(examples(run, data, 1)), decoding=None)
    assert answer.tokens == [4, 4, 6]
    assert answer.text == task.tokenizer.decode([[4, 4, 6]])[0]
    expected = float(logits.log_softmax(-1)[0, :6].amax(-1).sum())
    assert answer.score == pytest.approx(expected, abs=1e-5)


def test_the_loss_of_a_transcript_is_the_cross_entropy_of_each_token(tmp_path: Path) -> None:
    run, data, model = made("transcription", tmp_path)
    task: Any = data.task
    given = examples(run, data)
    with torch.no_grad():
        found = task.loss(model, task.collate(given), is_training=False)
        expected = 0.0
        for example in given:
            target = torch.tensor(example["target"].astype("int64"))
            assert target[-1] == 50
            sound = task.collate([example])["source"]
            log_p = model(sound, torch.cat([torch.tensor([51]), target[:-1]])[None])[0].log_softmax(-1)
            expected -= float(log_p[torch.arange(len(target)), target].sum())
    assert float(found.nll) == pytest.approx(expected, rel=1e-4)
    assert found.n_predicted == sum(len(example["target"]) for example in given)


def test_the_loss_of_a_class_is_its_cross_entropy(tmp_path: Path) -> None:
    run, data, model = made("speech_classification", tmp_path)
    task: Any = data.task
    given = examples(run, data)
    with torch.no_grad():
        found = task.loss(model, task.collate(given), is_training=False)
        expected = 0.0
        for example in given:  # alone, so without padding
            sound = torch.from_numpy(example["sound"].T.copy())[None]
            expected -= float(model(sound)[0].log_softmax(-1)[int(example["label"][0])])
    assert float(found.nll) == pytest.approx(expected, rel=1e-4)
    assert found.n_predicted == 4


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        (
            "speech_recognition",
            ("model.inputs.norm=layer",),
        ),  # group takes its statistics over padding, as published
        ("transcription", ()),
        ("speech_classification", ()),
    ],
)
def test_padding_has_no_influence(tmp_path: Path, name: str, overrides: tuple[str, ...]) -> None:
    run, data, model = made(name, tmp_path, *overrides)
    task: Any = data.task
    given = examples(run, data, 5)
    assert len({len(example["sound"]) for example in given}) > 1
    with torch.no_grad():
        whole = task.loss(model, task.collate(given), is_training=False)
        alone = [task.loss(model, task.collate([example]), is_training=False) for example in given]
        answers = task.predict(model, task.collate(given), decoding=run.generation)
        single = [
            task.predict(model, task.collate([example]), decoding=run.generation)[0] for example in given
        ]
    assert float(whole.nll) == pytest.approx(sum(float(each.nll) for each in alone), rel=1e-4)
    if name == "speech_classification":
        assert [answer.number for answer in answers] == [answer.number for answer in single]
        assert sum(answers[0].probabilities.values()) == pytest.approx(1)
    else:
        assert [answer[0].text for answer in answers] == [answer[0].text for answer in single]


def test_a_recording_is_followed_by_silence_to_the_length_that_the_model_takes(tmp_path: Path) -> None:
    run, data, _ = made("transcription", tmp_path)
    task: Any = data.task
    (row,) = rows(run, 1)
    whole = np.pad(row["waveform"], (0, 44 * 40 - len(row["waveform"])))
    expected = log_mel(whole, rate=2000, n_mels=7, window=128, hop=40)
    found = task.collate(examples(run, data, 1))
    assert found.get("source_mask") is None
    np.testing.assert_allclose(found["source"][0].numpy().T, expected, atol=1e-5)


def test_another_rate_is_refused_with_the_key_to_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"4000 samples a second.*set task\.sound\.sample_rate=4000"):
        made("speech_classification", tmp_path, "task.sound.sample_rate=8000")


def test_what_cannot_be_heard_is_left_out_or_refused(tmp_path: Path) -> None:
    run, data, model = made("speech_recognition", tmp_path, "task.sound.max_seconds=2")
    task: Any = data.task
    noise = np.random.default_rng(1).normal(0, 0.1, 5000).astype(np.float32)

    def row(n: int, text: str = "a", rate: int = 2000) -> Row:
        return {"waveform": noise[:n], "rate": rate, "text": text}

    long, short, crowded = task.encode([row(4001), row(10), row(20, "a b")], is_scored=False)
    assert (long.reason, short.reason) == ("over max_seconds", "too short for the model")
    assert crowded.reason == "too short for its text"
    answers = task.read([row(4001), row(10), row(100, rate=44100), {"waveform": noise, "rate": 2000}], model)
    assert [isinstance(answer, Refusal) for answer in answers] == [True] * 4
    assert isinstance(task.read([{"waveform": noise[:100], "rate": 2000}], model)[0], dict)
    del run


def test_bands_and_frames_are_hidden_in_training_alone_by_the_numbers_given(tmp_path: Path) -> None:
    run, data, _ = made("speech_classification", tmp_path)
    task: Any = data.task
    (example,) = examples(run, data, 1)
    draw = [task.vary(example, np.random.default_rng(seed), is_training=True)["sound"] for seed in (4, 4, 5)]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert not np.array_equal(draw[0], draw[2])
    hidden = draw[2] != example["sound"]
    assert 0 < hidden.mean() < 0.8
    assert np.unique(draw[2][hidden]).size == 1
    assert task.vary(example, np.random.default_rng(4), is_training=False) is example


@pytest.mark.parametrize(
    ("preset", "override", "fault"),
    [
        (
            "spoken_digits",
            "task={type: speech_recognition, data: tones}",
            "learns from transcript labels; pooled",
        ),
        ("wav2vec2_base", "model.head.blank=5", r"blank \(5\) must be no label"),
        ("spoken_digits", "model.inputs={type: tokens, vocab_size: 9}", "needs a model that hears"),
        (
            "whisper_tiny",
            "generation.ids.start=49",
            "start 49 and end 50 must be those of task.ids, start 51 and end 50",
        ),
        ("spoken_digits", "task.data={type: grammar}", "waveform, rate, label is missing"),
    ],
)
def test_a_model_or_data_that_does_not_fit_is_refused(preset: str, override: str, fault: str) -> None:
    with pytest.raises(SpecError, match=fault):
        library.load(preset, override, scale="tiny")


def test_as_many_labels_as_the_head_has_classes_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"7 labels .* 9 classes: set model\.head\.n_classes=7"):
        made("speech_classification", tmp_path, "model.head.n_classes=9", "task.data.n_train=99")


def call(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize(
    ("preset", "shown", "answers"),
    [
        ("wav2vec2_base", "Word error rate", "hypotheses.txt"),
        ("wav2vec2_large", "Word error rate", "hypotheses.txt"),
        ("whisper_tiny", "Word error rate", "hypotheses.txt"),
        ("whisper_small", "Word error rate", "hypotheses.txt"),
        ("spoken_digits", "Accuracy", "answers.jsonl"),
    ],
)
def test_a_run_is_trained_and_evaluated_by_the_command_line(
    tmp_path: Path, preset: str, shown: str, answers: str
) -> None:
    few = ("task.data.n_train=60", "task.data.n_dev=5", "task.data.n_test=4", "training.max_steps=3")
    result = call("train", preset, "--scale=tiny", *few, "--quiet", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert shown in result.stdout
    assert call("evaluate", tmp_path / "run").exit_code == 0
    assert len((tmp_path / "run" / answers).read_text(encoding="utf-8").splitlines()) == 4
    samples = json.loads((tmp_path / "run/results.json").read_text(encoding="utf-8"))["samples"]
    assert samples[0]["recording"].startswith("tones/test/0, ")


def test_a_bad_recording_ends_the_command_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes/a.wav").write_bytes(b"no sound")
    data = f"{{type: wav_folder, train: {tmp_path}, dev: {tmp_path}}}"
    out = tmp_path / "run"
    result = call("train", "spoken_digits", "--scale=tiny", f"task.data={data}", "--quiet", "--out", out)
    assert result.exit_code == 3
    assert f"{tmp_path}/yes/a.wav: no readable wav file" in " ".join(result.stderr.split())
    assert not list(out.glob("checkpoints/*"))


def test_searches_and_tasks_are_as_the_presets_say() -> None:
    run = run_of("transcription")
    assert run.task.ids.start == run.generation.ids.start  # type: ignore[union-attr]
    assert DECODING.build(run.generation).ids.ends == (50,)  # type: ignore[arg-type]
    assert parse(TaskOnly, {"task": {"type": "speech_recognition", "data": "tones"}}).task.sound.window == 400  # type: ignore[attr-defined]


def test_the_ids_that_every_output_begins_with_are_learnt_too(tmp_path: Path) -> None:
    first = ("task.ids.first=[52, 49]", "generation.ids.first=[52, 49]")
    run = library.load("whisper_tiny", *first, "training.rows_per_batch=3", scale="tiny")
    _, data = library.lightning(run, tmp_path / "run", progress=False)
    batch = data.batches[Position(0, 0)]
    target = batch["target"]
    assert target[:, :3].tolist() == [[51, 52, 49]] * 3
    labels = torch.zeros_like(target)
    labels.view(-1)[batch["places"]] = batch["labels"]
    assert labels[:, :2].tolist() == [[52, 49]] * 3
    assert (labels == 50).sum().item() == 3
    with pytest.raises(SpecError, match=r"first \[52\] and end 50 must be those of task.ids, start 51 and"):
        library.load("whisper_tiny", "generation.ids.first=[52]", scale="tiny")
