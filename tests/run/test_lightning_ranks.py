"""Two processes give the numbers of one, by `zoo train` and in a stock Trainer: gloo on the CPU, really run."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.storage.metrics import read
from zoo.storage.selection import load_weights
from zoo.training.ranks import READY_FILE

pytestmark = pytest.mark.slow

TINY = (
    "model.d_model=12",
    "model.encoder.n_layers=1",
    "model.source.vocab_size=301",
    "task.data={type: grammar, n_train: 50, n_dev: 11, n_test: 7}",
    "task.tokenizer=words",
    "task.validation_sentences=5",
    "training.tokens_per_batch=120",
    "training.max_minutes=null",
    "training.max_steps=3",
    "training.validate_every=3",
    "training.clip_norm=0.5",
    "training.precision=fp32",
    "training.accelerator=cpu",
    "training.schedule={type: inverse_sqrt, peak_lr: 0.01, warmup_steps: 4}",
    "generation={type: greedy, max_length: 5}",
)
"""Without dropout, whose masks each rank draws for itself."""


def spec_file(folder: Path, *overrides: str) -> Path:
    path = folder / "spec.yaml"
    folder.mkdir()
    run = zoo.load("quickstart", *TINY, *overrides, scale="tiny")
    path.write_text(zoo.to_yaml(run), encoding="utf-8")
    return path


def run(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, *map(str, words)], check=False, timeout=300, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def own(folder: Path, devices: int, accumulate: int, shares: int = 0) -> dict[str, Any]:
    spec = spec_file(folder)
    script = Path(__file__).with_name("own_ranks.py")
    run(script, spec, folder / "data", str(devices), "3", str(accumulate), str(shares))
    result: dict[str, Any] = torch.load(folder / "data" / "own.pt", weights_only=True)
    return result


def trained(folder: Path, devices: int, accumulate: int) -> Path:
    spec = spec_file(folder, f"training.devices={devices}", f"training.accumulate={accumulate}")
    run("-m", "zoo.cli.main", "train", spec, "--quiet", "--out", folder / "run")
    return folder / "run"


def assert_close(left: dict[str, Any], right: dict[str, Any]) -> None:
    """Equal but for the order in which floating-point numbers are added."""
    assert left.keys() == right.keys()
    for name, value in left.items():
        torch.testing.assert_close(right[name], value, rtol=1e-5, atol=1e-6)


def test_a_stock_trainer_on_two_ranks_gives_the_numbers_of_one(tmp_path: Path) -> None:
    one, two = own(tmp_path / "one", 1, 2), own(tmp_path / "two", 2, 1)
    assert_close(one["weights"], two["weights"])
    assert_close(one["figures"], two["figures"])
    assert one["answers"] == two["answers"]
    assert [row for row, _ in two["answers"]] == list(range(7))


def test_a_stock_trainer_whose_devices_share_the_weights_gives_the_numbers_of_one(tmp_path: Path) -> None:
    one, two = own(tmp_path / "one", 1, 2), own(tmp_path / "two", 2, 1, shares=1)
    assert_close(one["weights"], two["weights"])
    assert_close(one["figures"], two["figures"])
    assert one["answers"] == two["answers"]
    assert one["held"] == 1
    assert two["held"] == pytest.approx(0.5, abs=0.05)


def test_zoo_train_on_two_ranks_gives_the_numbers_of_one_and_of_a_stock_trainer(tmp_path: Path) -> None:
    one, two = trained(tmp_path / "one", 1, 2), trained(tmp_path / "two", 2, 1)
    assert_close(load_weights(one, 3), load_weights(two, 3))
    records = [[r for r in read(folder) if r["kind"] == "validation"][-1] for folder in (one, two)]
    for name in ("loss", "bleu"):
        assert records[0][name] == pytest.approx(records[1][name], rel=1e-6)
    stock = own(tmp_path / "own", 2, 1)
    assert_close(load_weights(two, 3), stock["weights"])
    for name in ("loss", "bleu"):
        assert stock["figures"][f"val_{name}"] == pytest.approx(records[1][name], rel=1e-6)
    assert stock["figures"]["test_bleu"] == pytest.approx(zoo.evaluate(two)["bleu"], rel=1e-6)


def test_two_nodes_are_two_devices(tmp_path: Path) -> None:
    """torchrun starts all processes at once: those of other nodes wait for what the first one prepares."""
    two = trained(tmp_path / "two", devices=2, accumulate=1)
    spec = spec_file(tmp_path / "nodes", "training.num_nodes=2")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1"]
    command += ["--master_addr=127.0.0.1", f"--master_port={port}"]
    words = ["-m", "zoo.cli.main", "train", spec, "--quiet", "--out", tmp_path / "nodes" / "run"]
    nodes = [
        subprocess.Popen(
            [*command, f"--node_rank={rank}", *map(str, words)], stderr=subprocess.PIPE, text=True
        )
        for rank in (1, 0)
    ]
    for node in nodes:
        _, error = node.communicate(timeout=300)
        assert node.returncode == 0, error
    assert_close(load_weights(two), load_weights(tmp_path / "nodes" / "run"))
    assert not (
        tmp_path / "nodes" / "run" / READY_FILE
    ).exists()  # which would let a later start begin too soon
    assert read(two)[-1]["loss"] == pytest.approx(read(tmp_path / "nodes" / "run")[-1]["loss"], rel=1e-6)
