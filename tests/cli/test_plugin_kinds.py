"""What a plugin adds beside modules, by the rules that hold for ours: a kind, a task, a corpus, a metric, others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import zoo.kinds  # noqa: F401  ours are made before they are kept
from registry import kind as registry_kind
from tests.cli.conftest import TINY

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

KIND = '''
from typing import Annotated, Literal
import torch
from pydantic import Field
from torch import nn
from registry import Kind, Spec
from zoo.kinds import FFN

GATE = Kind("gate", context=(), check=(), summary="closes a branch")

class SoftSpec(Spec):
    type: Literal["soft"] = "soft"
    slope: float = Field(2.0, gt=0)

@GATE.register("soft", spec=SoftSpec, examples=[{}])
class Soft(nn.Module):
    """A sigmoid."""
    def __init__(self, *, slope: float) -> None:
        super().__init__()
        self.slope = slope
    def forward(self, x):
        return torch.sigmoid(self.slope * x)

class GatedSpec(Spec):
    type: Literal["softened"] = "softened"
    gate: Annotated[Spec, GATE] = Field("soft", validate_default=True)

@FFN.register("softened", spec=GatedSpec, examples=[{}])
class Gated(nn.Module):
    """A linear map through a gate."""
    def __init__(self, *, d_model: int, gate: Spec) -> None:
        super().__init__()
        self.inner, self.gate = nn.Linear(d_model, d_model), GATE.build(gate)
    def forward(self, x):
        return x * self.gate(self.inner(x))
'''


@pytest.fixture(autouse=True)
def known_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that a plugin adds is forgotten at the end."""
    monkeypatch.setattr(registry_kind, "_made", dict(registry_kind._made))


def test_a_plugin_s_kind_is_listed_described_checked_and_trained(zoo: Any, tmp_path: Path) -> None:
    (tmp_path / "gates.py").write_text(KIND, encoding="utf-8")
    own = ("--plugin", "gates.py")
    assert "gate " in zoo("list", *own).stdout
    assert zoo("list", "gate", *own).stdout.startswith("soft")
    assert "slope" in zoo("describe", "gate/soft", *own).stdout
    wrong = zoo("check", *TINY, "model.encoder.layer.ffn={type: softened, gate: sofd}", *own)
    assert (
        "model.encoder.layer.ffn.gate: no gate is registered as 'sofd'; did you mean 'soft'?" in wrong.stderr
    )
    sharp = "model.encoder.layer.ffn={type: softened, gate: {type: soft, slope: 3.0}}"
    result = zoo("train", *TINY, sharp, *own, "--quiet", "--out", "run")
    assert result.exit_code == 0, result.output
    assert '"gate/soft"' in Path("run/plugins.json").read_text(encoding="utf-8")
    assert "no template of kind gate" in zoo("new", "gate", "mine").stderr  # known in this process by now


def test_a_plugin_s_task_corpus_and_metric_train_and_are_recorded(zoo: Any) -> None:
    plugin = ("--plugin", EXAMPLES / "12_an_own_task.py")
    for name in ("task/many_or_few", "corpus/counted_words", "metric/surely_right"):
        result = zoo("describe", name, *plugin)
        assert result.exit_code == 0, result.output
    task = "task={type: many_or_few, data: {type: counted_words, n_train: 90, n_dev: 9, n_test: 9}, tokenizer: words}"
    words = (task, "task.metric=surely_right", "model.head.n_classes=2", "training.max_steps=2")
    result = zoo("train", "text_classifier_small", "--scale=tiny", *words, *plugin, "--quiet", "--out", "run")
    assert result.exit_code == 0, result.output
    recorded = Path("run/plugins.json").read_text(encoding="utf-8")
    for name in ("task/many_or_few", "corpus/counted_words", "metric/surely_right"):
        assert f'"{name}"' in recorded
    result = zoo("predict", "run", "--json-lines", *plugin, input='{"words": ["a", "dog"]}\n')
    assert (result.exit_code, '"label"' in result.stdout) == (0, True), result.output


def test_a_plugin_s_mistake_in_a_task_is_told_where_it_stands(zoo: Any) -> None:
    plugin = ("--plugin", EXAMPLES / "12_an_own_task.py")
    task = "task={type: many_or_few, data: grammar_sentences, tokenizer: words}"
    result = zoo("check", "text_classifier_small", "--scale=tiny", task, *plugin)
    assert result.exit_code == 2
    assert "this task reads words, label: words is missing" in result.stderr
