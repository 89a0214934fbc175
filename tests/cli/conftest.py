"""The command line called in this process, and a small run trained by it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from registry import plugins
from registry.kind import made_kinds
from zoo.cli.main import app

# A few steps of a model that learns nothing: what is tested is the way there.
TINY = (
    "quickstart",
    "--scale=tiny",
    "model.d_model=12",
    "model.encoder.n_layers=1",
    "task.data.n_train=67",
    "task.data.n_dev=5",
    "task.data.n_test=11",
    "task.tokenizer=words",
    "training.max_steps=3",
    "training.checkpoint_every=2",
    "training.validate_every=3",
    "task.validation_sentences=2",
    "training.precision=fp32",
    "training.accelerator=cpu",
    "generation.beam_size=3",
    "generation.max_length=7",
)

Zoo = Callable[..., Any]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Zoo:
    """Calls `zoo WORDS...` in a folder of its own; the result has exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str | Path, input: str | bytes = "") -> Any:
        return CliRunner().invoke(app, [str(word) for word in words], input=input)

    return call


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Calls forget what plugins were loaded, and so does the end of a test: what another process would not know."""

    def forget() -> None:
        for plugin in plugins.loaded_plugins():
            for kind in made_kinds():
                for entry in kind.registered():
                    if entry.where.startswith(f"{plugin.path}:"):
                        del kind._entries[entry.name]
            for name in [name for name in sys.modules if name.startswith(f"plugin_{plugin.path.stem}_")]:
                del sys.modules[name]
        plugins._loaded.clear()

    monkeypatch.setattr(plugins, "_loaded", {})
    yield forget
    forget()


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """The words of such a run's command, behind `train`."""
    return TINY


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A trained run's folder and what `zoo train` printed; not to be written to but by evaluate."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    result = CliRunner().invoke(app, ["train", *TINY, "--quiet", "--out", str(folder)])
    assert result.exit_code == 0, result.output
    return folder, result.stdout
