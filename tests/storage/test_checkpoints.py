from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from zoo.errors import RunError
from zoo.storage.averaging import average
from zoo.storage.checkpoints import FORMAT, Checkpoints, DamagedError
from zoo.storage.selection import load_weights, weights_folder
from zoo.storage.weights import write_weights


def weights(seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(5, 3, generator=generator)
    return {
        "source.weight": embedding,
        "n_seen": torch.tensor(seed),
        "head.bias": torch.randn(5, generator=generator),
        "head.weight": embedding,
        "turned": torch.randn(4, 2, generator=generator).t(),
    }


def state(seed: int) -> dict[str, Any]:
    return {"random": torch.arange(7) + seed, "progress": {"step": seed, "best": None}, "name": "x"}


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    made = Checkpoints(tmp_path / "checkpoints")
    made.open()
    for step in (2, 4, 7, 8):
        made.save(step, weights(step), state(step), is_regular=step != 7)
    return made


def test_what_was_saved_comes_back(checkpoints: Checkpoints) -> None:
    assert checkpoints.steps() == [2, 4, 7, 8]
    found = checkpoints.weights(checkpoints.path(4))
    assert set(found) == set(weights(4))
    for name, tensor in weights(4).items():
        assert torch.equal(found[name], tensor)
    assert checkpoints.state(4)["progress"] == {"step": 4, "best": None}
    assert torch.equal(checkpoints.state(4)["random"], torch.arange(7) + 4)


def test_a_tied_tensor_is_stored_once_and_comes_back_tied(checkpoints: Checkpoints) -> None:
    stored = load_file(checkpoints.path(2) / "model.safetensors")
    assert sorted(stored) == ["head.bias", "n_seen", "source.weight", "turned"]
    found = checkpoints.weights(checkpoints.path(2))
    assert found["head.weight"] is found["source.weight"]


def test_equal_tensors_that_are_not_one_are_both_stored(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, {"a": torch.ones(3), "b": torch.ones(3)}, {}, is_regular=True)
    found = checkpoints.weights(checkpoints.path(1))
    assert found["a"] is not found["b"]


def test_a_committed_step_is_never_written_again(checkpoints: Checkpoints) -> None:
    before = (checkpoints.path(4) / "manifest.json").read_bytes()
    checkpoints.save(4, weights(99), state(99), is_regular=True)
    assert (checkpoints.path(4) / "manifest.json").read_bytes() == before


def every_file(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def test_a_flip_of_any_byte_is_found(checkpoints: Checkpoints) -> None:
    folder = checkpoints.path(4)
    places = [(file, i) for file in every_file(folder) for i in range(file.stat().st_size)]
    generator = random.Random(1)
    for file, i in generator.sample(places, 1000):
        original = file.read_bytes()
        changed = bytearray(original)
        changed[i] ^= 1 << generator.randrange(8)
        file.write_bytes(changed)
        with pytest.raises(DamagedError):
            checkpoints.verify(folder)
        file.write_bytes(original)
    checkpoints.verify(folder)


def test_a_file_cut_short_lengthened_or_missing_is_found(checkpoints: Checkpoints) -> None:
    folder = checkpoints.path(4)
    for file in every_file(folder):
        original = file.read_bytes()
        for length in (0, 1, len(original) // 2, len(original) - 1):
            file.write_bytes(original[:length])
            with pytest.raises(DamagedError):
                checkpoints.verify(folder)
        file.write_bytes(original + b"\n")
        with pytest.raises(DamagedError):
            checkpoints.verify(folder)
        file.unlink()
        with pytest.raises(DamagedError):
            checkpoints.verify(folder)
        file.write_bytes(original)


@pytest.mark.parametrize("name", ["model.safetensors", "training.pt"])
def test_files_of_two_steps_exchanged_are_found(checkpoints: Checkpoints, name: str) -> None:
    one, other = checkpoints.path(2) / name, checkpoints.path(4) / name
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    for step in (2, 4):
        with pytest.raises(DamagedError):
            checkpoints.verify(checkpoints.path(step))


def test_a_step_under_another_steps_name_is_found(checkpoints: Checkpoints) -> None:
    checkpoints.path(8).rename(checkpoints.path(9))
    with pytest.raises(DamagedError, match="holds step 8"):
        checkpoints.verify(checkpoints.path(9))


def test_the_newest_intact_step_is_found_behind_damaged_ones(checkpoints: Checkpoints) -> None:
    for step in (7, 8):
        file = checkpoints.path(step) / "training.pt"
        file.write_bytes(file.read_bytes()[:-3])
    step, damage = checkpoints.newest_intact()
    assert step == 4
    assert [damaged for _, damaged in damage] == [8, 7]
    assert "step-8" in str(damage[0][0])


def test_when_all_are_damaged_it_says_so_and_starts_nothing(checkpoints: Checkpoints) -> None:
    for step in checkpoints.steps():
        (checkpoints.path(step) / "manifest.json").write_text("{}")
    with pytest.raises(RunError, match="no checkpoint is intact"):
        checkpoints.newest_intact()


def test_without_any_there_is_no_newest(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").newest_intact() == (None, [])


def test_a_newer_format_is_refused_and_not_taken_for_damage(checkpoints: Checkpoints) -> None:
    from zoo.storage.checkpoints import _render

    file = checkpoints.path(8) / "manifest.json"
    manifest = json.loads(file.read_text())
    del manifest["checksum"]
    file.write_text(_render({**manifest, "format": FORMAT + 1}))
    with pytest.raises(RunError, match="reads up to"):
        checkpoints.newest_intact()


def test_only_the_steps_asked_for_are_kept(checkpoints: Checkpoints) -> None:
    checkpoints.save_average([4, 8], weights(1))
    checkpoints.keep({4, 7})
    assert sorted(path.name for path in checkpoints.folder.iterdir()) == ["step-4", "step-7"]


def test_what_a_killed_writer_left_is_swept(checkpoints: Checkpoints) -> None:
    (checkpoints.folder / ".step-9.tmp").mkdir()
    (checkpoints.folder / ".step-9.tmp" / "model.safetensors").write_bytes(b"half")
    (checkpoints.folder / ".index.json.tmp").write_text("{")
    checkpoints.open()
    assert not list(checkpoints.folder.glob(".*"))
    assert checkpoints.steps() == [2, 4, 7, 8]


def test_a_damaged_step_is_set_aside_under_another_name(checkpoints: Checkpoints) -> None:
    assert checkpoints.set_aside(8).name == "step-8.damaged"
    assert checkpoints.steps() == [2, 4, 7]


def test_the_average_is_the_mean_of_the_last_regular_checkpoints(checkpoints: Checkpoints) -> None:
    path = average(checkpoints.folder.parent, 3)
    assert path.name == "step-8-average-3"
    found = load_weights(checkpoints.folder.parent, "average")
    mean = sum(weights(step)["head.bias"].double() for step in (2, 4, 8)) / 3  # 7 is not regular
    torch.testing.assert_close(found["head.bias"], mean.float(), rtol=0, atol=0)  # type: ignore[attr-defined]
    assert found["head.weight"] is found["source.weight"]
    assert int(found["n_seen"]) == 8


def test_the_last_checkpoint_counts_for_the_average_though_not_regular(checkpoints: Checkpoints) -> None:
    checkpoints.save(9, weights(9), state(9), is_regular=False)
    average(checkpoints.folder.parent, 2)
    mean = (weights(8)["turned"].double() + weights(9)["turned"].double()) / 2
    torch.testing.assert_close(
        load_weights(checkpoints.folder.parent)["turned"], mean.float(), rtol=0, atol=0
    )


def test_an_average_needs_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(RunError, match="no checkpoint to average"):
        average(tmp_path, 3)


def test_the_result_is_the_average_else_the_best_else_the_last(checkpoints: Checkpoints) -> None:
    run = checkpoints.folder.parent
    with pytest.raises(RunError, match="it has no checkpoint 'result'"):
        weights_folder(run)
    checkpoints.write_index({"last": checkpoints.path(8)})
    assert weights_folder(run).name == "step-8"
    checkpoints.write_index({"last": checkpoints.path(8), "best": checkpoints.path(4)})
    assert weights_folder(run).name == "step-4"
    average(run, 2)
    assert weights_folder(run).name == "step-8-average-2"
    assert [weights_folder(run, which).name for which in ("last", "best", 7)] == [
        "step-8",
        "step-4",
        "step-7",
    ]
    with pytest.raises(RunError, match="no such checkpoint"):
        load_weights(run, 5)


@pytest.mark.parametrize("text", ["[]", "{", '{"last": 3}', '{"last": "../../elsewhere"}'])
def test_a_damaged_index_is_an_error(checkpoints: Checkpoints, text: str) -> None:
    (checkpoints.folder / "index.json").write_text(text)
    with pytest.raises(RunError, match=r"index\.json"):
        checkpoints.index()


FULL_DISK = """
import resource, sys, torch
from pathlib import Path
from zoo.errors import RunError
from zoo.storage.checkpoints import Checkpoints
checkpoints = Checkpoints(Path(sys.argv[1]))
big, small = torch.zeros(200_000), torch.zeros(3)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for weights, state in (({"w": big}, {}), ({"w": small}, {"s": big})):
    try:
        checkpoints.save(5, weights, state, is_regular=True)
    except RunError as error:
        print(error)
"""


def test_a_full_disk_is_an_error_and_leaves_what_was_there(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(4, weights(4), state(4), is_regular=True)
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "step-5: cannot be written: " in line
        assert "File too large" in line
        assert "earlier checkpoints are intact" in line
    assert [path.name for path in tmp_path.iterdir()] == ["step-4"]
    assert checkpoints.newest_intact() == (4, [])


def test_a_folder_that_went_away_is_an_error_and_does_not_come_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")
    with pytest.raises(RunError, match="cannot be written: No such file"):
        checkpoints.save(1, weights(1), state(1), is_regular=True)
    assert not (tmp_path / "run").exists()


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    weight = torch.randn(3, 5)
    for i in range(20):  # an order at random would differ in some
        write_weights(tmp_path / f"{i}.safetensors", {"a": weight, "b": weight, "c": torch.ones(2)})
    assert len({(tmp_path / f"{i}.safetensors").read_bytes() for i in range(20)}) == 1
