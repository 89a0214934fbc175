"""Corpora of images: what they read, and what they say of bad data."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from registry import parse
from zoo.data.bad_lines import BadLines
from zoo.data.corpora import image_folder
from zoo.data.corpora.shapes import SHAPES
from zoo.data.images import fitted
from zoo.errors import DataError
from zoo.kinds import CORPUS, Corpus, Row

H, W = 5, 3


def of(data: dict[str, Any]) -> Corpus:
    built: Corpus = CORPUS.build(parse(CORPUS.entry(data["type"]).spec, data))
    return built


def read(corpus: Corpus, split: str) -> list[Row]:
    return list(corpus.rows(split, bad_lines=BadLines("error")))


def idx_bytes(values: Any) -> bytes:
    array = np.asarray(values, np.uint8)
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def images(n: int, *shape: int) -> Any:
    return np.random.default_rng(n).integers(0, 256, (n, *(shape or (H, W))))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for stem, n in (("train", 7), ("t10k", 4)):
        (tmp_path / f"{stem}-images-idx3-ubyte").write_bytes(idx_bytes(images(n)))
        (tmp_path / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx_bytes(np.arange(n) % 3)))
    return tmp_path


def idx(folder: Path, **fields: Any) -> Corpus:
    return of({"type": "idx", "folder": str(folder), "n_dev": 2, **fields})


def test_the_last_training_images_are_validated_on(folder: Path) -> None:
    corpus = idx(folder)
    assert corpus.splits() == ["train", "dev", "test"]
    for split, n, wanted in (("train", 7, range(5)), ("dev", 7, range(5, 7)), ("test", 4, range(4))):
        rows = read(corpus, split)
        assert [row["label"] for row in rows] == [str(i % 3) for i in wanted]
        np.testing.assert_array_equal([row["image"] for row in rows], images(n)[list(wanted)])
        assert rows[0]["image"].dtype == np.uint8


def test_files_of_their_own_are_validated_on_and_images_may_be_in_colour(folder: Path) -> None:
    (folder / "val-images-idx3-ubyte").write_bytes(idx_bytes(images(3, H, W, 2)))
    (folder / "val-labels-idx1-ubyte").write_bytes(idx_bytes([5, 6, 7]))
    corpus = idx(folder, dev="val", test=None)
    assert corpus.splits() == ["train", "dev"]
    assert len(read(corpus, "train")) == 7
    assert [(row["image"].shape, row["label"]) for row in read(corpus, "dev")] == [
        ((H, W, 2), label) for label in "567"
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx_bytes(images(7))[:-4], "ubyte: image 7 of 7: the file ends here"),
        (idx_bytes(images(7))[:9], "ubyte: the header: the file ends here"),
        (idx_bytes(images(7)) + b"x", r"ubyte: longer than its header says \(7 items\)"),
        (idx_bytes(images(6)), "ubyte: 6 images, but train-labels-idx1-ubyte.gz has 7 labels"),
        (idx_bytes([1, 2, 3]), "ubyte: no IDX file of unsigned bytes in 3 or 4 dimensions"),
        (b"PNG and so on", "ubyte: no IDX file"),
        (gzip.compress(idx_bytes(images(7)), mtime=0)[:-9], "the compressed data is damaged or cut off here"),
    ],
)
def test_a_file_that_is_no_such_file_is_named(folder: Path, content: bytes, message: str) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(idx(folder), "train")


def test_too_few_images_and_missing_files_are_named(folder: Path) -> None:
    with pytest.raises(DataError, match="7 images, too few for n_dev 7"):
        read(idx(folder, n_dev=7), "dev")
    with pytest.raises(DataError, match="other-images-idx3-ubyte: cannot be read"):
        read(idx(folder, test="other"), "test")


def test_names_may_have_a_point_before_idx(folder: Path) -> None:
    expected = read(idx(folder), "train")
    for path in list(folder.iterdir()):
        path.rename(folder / path.name.replace("-idx", ".idx"))
    np.testing.assert_equal(read(idx(folder), "train"), expected)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    image = pytest.importorskip("PIL.Image")
    for split in ("train", "val"):
        for name, value in (("dog", 200), ("cat", 50)):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(2):
                pixels = np.full((8, 16, 3), value + number, np.uint8)
                pixels[:, 0] = pixels[:, -1] = 0  # what is cut off, further out than bicubic scaling looks
                image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    (tmp_path / "train" / "cat" / "notes.txt").write_text("no image")
    return tmp_path


def folders(folder: Path, **fields: Any) -> Corpus:
    return of({"type": "image_folder", "folder": str(folder), "image_size": 4, **fields})


def test_a_folder_is_a_class_and_images_are_brought_to_one_size(pictures: Path) -> None:
    rows = read(folders(pictures), "train")
    assert [row["label"] for row in rows] == ["cat", "cat", "dog", "dog"]
    for row, value in zip(rows, (50, 51, 200, 201), strict=True):
        assert row["image"].shape == (4, 4, 3)
        assert row["image"].dtype == np.uint8
        assert (row["image"] == value).all()
    grey = read(folders(pictures, colours="grey", image_size=[2, 4]), "dev")
    assert grey[0]["image"].shape == (2, 4)


def test_what_is_no_image_is_named_or_left_out(pictures: Path) -> None:
    (pictures / "train" / "cat" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"train/cat/1\.png: no image: cannot identify image file"):
        read(folders(pictures), "train")
    bad_lines = BadLines("skip")
    assert len(list(folders(pictures).rows("train", bad_lines=bad_lines))) == 3
    assert bad_lines.counts == {"no image": 1}


def test_folders_that_cannot_be_used_are_named(pictures: Path) -> None:
    with pytest.raises(DataError, match="other: cannot be read: No such file"):
        read(folders(pictures, dev="other"), "dev")
    with pytest.raises(
        DataError, match="cat: no image in it; they must lie in folders named as their classes"
    ):
        read(folders(pictures, dev="train/cat"), "dev")


def test_without_pillow_it_is_said_what_to_install(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(DataError, match=r"pip install 'architecture-zoo\[images\]'"):
        read(folders(pictures), "train")
    assert image_folder.SUFFIXES


SIZES = {"type": "shapes", "n_train": 40, "n_dev": 9, "n_test": 5}


def test_shapes_are_the_same_each_time_and_differ_from_split_to_split() -> None:
    first, again, other = (read(of({**SIZES, "seed": seed}), "train") for seed in (1, 1, 2))
    np.testing.assert_array_equal([row["image"] for row in first], [row["image"] for row in again])
    assert not np.array_equal(first[0]["image"], other[0]["image"])
    assert not np.array_equal(first[0]["image"], read(of(SIZES), "dev")[0]["image"])
    assert first[0]["image"].shape == (12, 12)
    assert {name: sum(row["label"] == name for row in first) for name in SHAPES} == dict.fromkeys(SHAPES, 10)


def test_shapes_without_noise_are_drawn_in_one_brightness() -> None:
    for row in read(of({**SIZES, "noise": 0}), "train"):
        assert len(np.unique(row["image"])) == 2


def test_a_fingerprint_tells_splits_and_settings_apart(folder: Path, pictures: Path) -> None:
    for make in (
        lambda **more: idx(folder, **({"n_dev": 3} if more else {})),
        lambda **more: folders(pictures, **({"image_size": 3} if more else {})),
        lambda **more: of(SIZES | ({"noise": 0.1} if more else {})),
    ):
        corpus = make()
        found = {corpus.fingerprint(split) for split in corpus.splits()}
        assert len(found) == len(corpus.splits())
        assert make().fingerprint("train") in found
        assert make(changed=True).fingerprint("train") not in found


def test_grey_images_of_16_bits_keep_their_upper_8(tmp_path: Path) -> None:
    values = np.arange(24, dtype=np.uint16).reshape(4, 6) * 2730  # up to 62,790
    image = pytest.importorskip("PIL.Image")
    image.fromarray(values).save(tmp_path / "wide.png")
    for colours, shape in (("grey", (4, 6)), ("colour", (4, 6, 3))):
        found = fitted(tmp_path / "wide.png", (4, 6), colours)  # type: ignore[arg-type]
        expected = np.broadcast_to((values >> 8)[..., None], (4, 6, 3)).reshape(4, 6, 3)
        np.testing.assert_array_equal(found, expected[:, :, 0] if colours == "grey" else expected)
        assert np.shape(found) == shape


@pytest.mark.parametrize("kind", ["int32", "float32"])
def test_images_whose_range_is_not_said_are_no_images(tmp_path: Path, kind: str) -> None:
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.full((4, 6), 3, kind)).save(tmp_path / "wide.tif")
    assert str(fitted(tmp_path / "wide.tif", (4, 6), "grey")).startswith(
        "grey numbers of 32 bits (Pillow's mode "
    )
