"""A trained run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from zoo.run.spec import load
from zoo.run.training import train

TINY = (
    "model.d_model=12",
    "model.encoder.n_layers=1",
    "model.source.vocab_size=301",
    "model.position={type: learned, max_len: 20}",
    "task.max_length=20",
    "task.data={type: grammar, n_train: 67, n_dev: 5, n_test: 11}",
    "task.tokenizer=words",
    "task.validation_sentences=2",
    "training.max_steps=2",
    "training.validate_every=2",
    "training.precision=fp32",
    "training.accelerator=cpu",
    "generation.beam_size=2",
    "generation.max_length=5",
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    return train(load("quickstart", *TINY, scale="tiny"), folder, progress=False)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run."""
    return Path(shutil.copytree(trained, tmp_path / "run"))
