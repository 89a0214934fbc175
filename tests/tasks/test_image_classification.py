"""Image classification: normalisation, augmentation, the loss by its formula, answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import zoo
from registry import SpecError
from zoo.data.cache import Rejected
from zoo.data.labels import Labels
from zoo.data.scaling import Scaling
from zoo.errors import DataError, RunError
from zoo.kinds import TASK
from zoo.tasks.image_classification import ImageClassification
from zoo.tasks.prepared import PreparedTask, prepare
from zoo.tasks.task import Refusal

H, W, C = 6, 9, 2
NAMES = ("bird", "cat", "dog")
SMALL = (
    "model.inputs={type: image_patches, image_size: [6, 9], patch_size: 3, n_channels: 2}",
    "model.position.max_len=7",
    "model.head.n_classes=3",
)


def task(*overrides: str) -> ImageClassification:
    run = zoo.load("vit_small_fashion", *SMALL, *overrides, scale="tiny")
    coders = {"labels": Labels(NAMES), "scaling": Scaling(np.array([0.5, 0.2]), np.array([0.25, 0.5]))}
    built: ImageClassification = TASK.build(run.task, model=run.model, coders=coders)
    return built


def model() -> nn.Module:
    torch.manual_seed(5)
    return zoo.build(zoo.load("vit_small_fashion", *SMALL, scale="tiny").model).eval()


def rows(n: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(1)
    return [
        {"image": draw.integers(0, 256, (H, W, C)).astype(np.uint8), "label": NAMES[i % 3]} for i in range(n)
    ]


def examples(ours: ImageClassification, n: int) -> list[Any]:
    return list(ours.encode(rows(n), is_scored=True))


@pytest.mark.parametrize("is_training", [True, False])
def test_the_loss_is_the_cross_entropy_of_standardised_images(is_training: bool) -> None:
    ours, learner = task("task.label_smoothing=0.3"), model()
    loss = ours.loss(learner, ours.collate(examples(ours, 4)), is_training=is_training)
    wanted = nll = 0.0
    for i, row in enumerate(rows(4)):
        image = torch.zeros(1, C, H, W)
        for c, (mean, deviation) in enumerate(((0.5, 0.25), (0.2, 0.5))):
            image[0, c] = (torch.from_numpy(row["image"][..., c]) / 255 - mean) / deviation
        surprises = -learner(image).detach().log_softmax(1)[0]
        nll += float(surprises[i % 3])
        wanted += 0.7 * float(surprises[i % 3]) + 0.3 * float(surprises.mean())
    assert float(loss.nll) == pytest.approx(nll, rel=1e-5)
    assert float(loss.loss.detach()) == pytest.approx(wanted if is_training else nll, rel=1e-5)
    assert loss.n_predicted == 4
    assert loss.n_processed == 4 * 7


def test_answers_are_the_most_probable_classes_and_do_not_depend_on_their_batch() -> None:
    ours, learner = task(), model()
    given = examples(ours, 5)
    answers = ours.predict(learner, ours.collate(given), decoding=None)
    for example, answer in zip(given, answers, strict=True):
        (alone,) = ours.predict(learner, ours.collate([example]), decoding=None)
        assert alone.label == answer.label == NAMES[answer.number]
        assert alone.probabilities == pytest.approx(answer.probabilities, rel=1e-4)
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert max(answer.probabilities, key=answer.probabilities.__getitem__) == answer.label
        assert ours.written(answer)["label"] == answer.label


def vary(ours: ImageClassification, image: Any, seed: int, *, is_training: bool = True) -> Any:
    random = np.random.Generator(np.random.Philox(seed))
    varied = ours.vary({"image": image, "label": np.array([1])}, random, is_training=is_training)
    assert varied["label"] == [1]
    return varied["image"]


def test_a_crop_is_the_image_moved_with_black_beside_it() -> None:
    ours, image = task("task.crop_padding=2", "task.flip=false"), rows(1)[0]["image"]
    framed = np.zeros((H + 4, W + 4, C), np.uint8)
    framed[2:-2, 2:-2] = image
    places = {(top, left): framed[top : top + H, left : left + W] for top in range(5) for left in range(5)}
    met = set()
    for seed in range(300):
        varied = vary(ours, image, seed)
        met.add(next(place for place, crop in places.items() if np.array_equal(varied, crop)))
    assert met == set(places)


def test_a_flip_mirrors_half_of_the_images_left_to_right() -> None:
    ours, image = task("task.crop_padding=0", "task.flip=true"), rows(1)[0]["image"]
    n = sum(np.array_equal(vary(ours, image, seed), image[:, ::-1]) for seed in range(200))
    m = sum(np.array_equal(vary(ours, image, seed), image) for seed in range(200))
    assert n + m == 200
    assert 70 < n < 130


def test_what_is_measured_or_not_to_be_varied_stays() -> None:
    image = rows(1)[0]["image"]
    for seed in range(9):
        on, off = task("task.crop_padding=2"), task("task.crop_padding=0", "task.flip=false")
        assert np.array_equal(vary(on, image, seed, is_training=False), image)
        assert np.array_equal(vary(off, image, seed), image)
        assert np.array_equal(vary(on, image, seed), vary(on, image, seed))


def learnt(ours: ImageClassification, given: list[dict[str, Any]]) -> Any:
    return ours.learn(lambda: iter(given), n_rows=len(given), report=None)


def test_normalisation_is_learnt_from_the_training_images_or_given() -> None:
    given = rows(5)
    pixels = np.stack([row["image"] for row in given]).reshape(-1, C) / 255
    found = learnt(task(), given)["scaling"]
    np.testing.assert_allclose(found.mean, pixels.mean(0))
    np.testing.assert_allclose(found.deviation, pixels.std(0))
    said = task("task.normalisation={mean: [0.1, 0.2], deviation: [0.3, 0.4]}")
    assert learnt(said, given)["scaling"].mean.tolist() == [0.1, 0.2]
    with pytest.raises(RunError, match=r"scaling\.json: holds another normalisation than the spec"):
        said.check_coders(Path("run"))


def test_classes_are_those_of_the_training_images_and_the_head_must_have_as_many() -> None:
    assert learnt(task(), rows(5))["labels"].names == NAMES
    message = "the training data has 2 labels, and the model's head is for 3; set model.head.n_classes=2"
    with pytest.raises(DataError, match=message):
        learnt(task(), rows(2))


def test_rows_that_do_not_fit_are_named_or_refused() -> None:
    ours, learner, (row, *_) = task(), model(), rows(1)
    wide, unknown = {**row, "image": row["image"][:, 1:]}, {**row, "label": "cow"}
    first, second = ours.encode([wide, unknown], is_scored=True)
    assert isinstance(first, Rejected)
    assert first.detail.startswith("an image of 6 × 8 × 2 numbers, but the model reads 6 × 9 × 2")
    assert isinstance(second, Rejected)
    assert second.detail == "class 'cow' does not occur in the training data"
    third, fourth, fifth = ours.read([wide, unknown, {"image": row["image"]}], learner)
    assert isinstance(third, Refusal)
    assert not isinstance(fourth, Refusal)  # answered, and never rightly
    metric = ours.metric()
    metric.update(ours.predict(learner, ours.collate([fourth]), decoding=None), [fourth])
    assert metric.scores(["accuracy"]).values == {"accuracy": 0}
    assert not isinstance(fifth, Refusal)
    assert len(ours.predict(learner, ours.collate([fifth]), decoding=None)) == 1


def ready(folder: Path, *overrides: str) -> PreparedTask:
    run = zoo.load("vit_small_fashion", *overrides, scale="tiny")
    return prepare(
        run.task, model=run.model, folder=folder, tokens_per_batch=6400, rows_per_batch=7, seed=3, is_resumed=False
    )  # fmt: skip


def test_batches_go_by_rows_and_vary_from_epoch_to_epoch(tmp_path: Path) -> None:
    data = ready(tmp_path, "task.data={type: shapes, n_train: 23, n_dev: 7, n_test: 5}")
    assert max(len(key.rows) for key in data.epoch(0)) == 7
    assert sorted(np.concatenate([key.rows for key in data.epoch(0)]).tolist()) == list(range(23))
    key = data.epoch(0)[0]
    first, again, later = (data.batch(key._replace(epoch=epoch))["image"] for epoch in (0, 0, 1))
    assert first.shape[1:] == (1, 12, 12)
    assert torch.equal(first, again)
    assert not torch.equal(first, later)


def test_images_of_another_size_end_the_training_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"shapes, train, row 1: an image of 10 × 10 × 1 numbers"):
        ready(tmp_path, "task.data={type: shapes, image_size: 10, n_train: 23, n_dev: 7, n_test: 5}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "model.head={type: token_classifier, n_classes: 4}",
            "needs a head that learns from sequence labels",
        ),
        ("model.head.n_classes=1", "needs two classes or more"),
        (
            "task.normalisation={mean: [0, 0], deviation: [1, 1]}",
            "is of 2 channels; the model's images have 1",
        ),
        ("task.normalisation={mean: [0, 0], deviation: [1]}", "2 means, but 1 deviations"),
        ("model.inputs={type: waveform_frames}", "a model that reads images"),
    ],
)
def test_another_model_is_refused(override: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        zoo.load("vit_small_fashion", override, scale="tiny")
