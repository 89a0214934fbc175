"""zoo report FOLDER, from a few small trainings to the page."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

Zoo = Callable[..., Any]

FILE = """
base: quickstart
scale: tiny
overrides:
  model.d_model: 12
  model.encoder.n_layers: 1
  task.data.n_train: 67
  task.data.n_dev: 5
  task.data.n_test: 11
  task.tokenizer: words
  task.validation_sentences: 2
  training.max_steps: 3
  training.validate_every: 3
  training.precision: fp32
  training.accelerator: cpu
  generation: {type: greedy, max_length: 7}
variants: {none: {model.position: none}}
seeds: 2
"""


def test_a_folder_without_an_ablation_says_how_to_make_one(zoo: Zoo, tmp_path: Path) -> None:
    found = zoo("report", tmp_path)
    assert found.exit_code == 5
    assert "no ablation lies here: there is no ablation.yaml (zoo ablate FILE --out" in found.stderr


@pytest.mark.slow
def test_an_ablation_is_reported_from_its_folder_alone(zoo: Zoo, tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text(FILE)
    made = zoo("ablate", "file.yaml", "--out", "abl", "task.data.seed=5", "--quiet")
    assert made.exit_code == 0, made.output
    (tmp_path / "file.yaml").unlink()
    found = zoo("report", "abl", "--shuffles", "20")
    assert found.exit_code == 0, found.output
    assert "the page is abl/report/report.html" in found.stdout
    page = (tmp_path / "abl/report/report.html").read_text(encoding="utf-8")
    for text in ("Ablation of quickstart", "model.position", "sacrebleu", "Row 1", "seed: 5"):
        assert text in page
    assert (tmp_path / "abl/report/figures/loss_by_step.svg").exists()
    has_png = (tmp_path / "abl/report/figures/loss_by_step.png").exists()
    assert has_png == (find_spec("matplotlib") is not None)
    assert has_png != ("PNG needs matplotlib" in found.stderr)
