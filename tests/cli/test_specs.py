"""list, show, describe, check, schema: looking at specs and components."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import presets
from registry import SpecError, kind, made_kinds
from zoo.run.folder import require
from zoo.run.spec import load, to_yaml

MODEL_ALONE = """
model:
  type: encoder_only
  d_model: 12
  inputs: {type: tokens, vocab_size: 23}
  encoder: {n_layers: 2, layer: {self_attention: {type: multi_head, n_heads: 3}, ffn: {type: mlp, d_ff: 20}}}
  head: {type: language_model, predicts: inputs}
"""

PLUGIN = '''
from typing import Literal
from torch import Tensor, nn
from registry import Spec
from zoo.kinds import NORM

class HalfSpec(Spec):
    type: Literal["half"] = "half"

@NORM.register("half", spec=HalfSpec, examples=[{}])
class Half(nn.Module):
    """Halves every value."""
    def __init__(self, *, d_model: int) -> None:
        super().__init__()
    def forward(self, x: Tensor) -> Tensor:
        return x / 2
'''

NEW_KIND = '''
from typing import Literal, Protocol
from registry import Kind, Spec

class Stirrer(Protocol):
    """check(d_model=) of the spec."""
    def __call__(self, x: object, *, speed: int = 1) -> object:
        """x [B, T, D] -> [B, T, D]."""

STIRRER = Kind("stirrer", context=("d_model",), check=("d_model",), contract=Stirrer)

class SpoonSpec(Spec):
    type: Literal["spoon"] = "spoon"

@STIRRER.register("spoon", spec=SpoonSpec, examples=[{}])
def spoon(*, d_model: int) -> object:
    """Stirs by hand."""
'''


@pytest.fixture
def model_alone(tmp_path: Path) -> Path:
    path = tmp_path / "alone.yaml"
    path.write_text(MODEL_ALONE, encoding="utf-8")
    return path


def test_list_names_every_kind_with_its_components(zoo: Any) -> None:
    lines = dict(line.split(maxsplit=1) for line in zoo("list").stdout.splitlines())
    assert (
        lines["ffn"]
        == "clamped_glu, gated, glu, grouped_experts, input_weighted_experts, mixture_of_experts, mlp, none"
    )
    assert lines["model"] == "decoder_only, encoder_decoder, encoder_only"


def test_list_of_a_kind_says_what_each_component_is(zoo: Any) -> None:
    rows = json.loads(zoo("list", "norm", "--json").stdout)
    assert {"layer_norm", "rms_norm"} <= {row["name"] for row in rows}
    assert all(row["summary"].endswith(".") for row in rows)


def test_list_presets_names_each_with_its_scales_and_first_sentence(zoo: Any) -> None:
    rows = {row["name"]: row for row in json.loads(zoo("list", "presets", "--json").stdout)}
    assert sorted(rows) == presets.names()
    assert "tiny" in rows["transformer_base"]["scales"]
    assert "Vaswani et al. 2017" in rows["transformer_base"]["summary"]


def test_describe_gives_source_keys_and_an_example(zoo: Any) -> None:
    text = zoo("describe", "attention/restricted").stdout
    assert text.startswith("attention/restricted  (")
    assert "Source: Vaswani et al. 2017" in text
    assert "radius: an integer, at least 0" in text
    assert '{"type": "restricted"' in text


@pytest.mark.parametrize("name", presets.names())
def test_a_shown_spec_reads_back_equal(name: str, tmp_path: Path) -> None:
    spec = load(name)
    shown = tmp_path / "shown.yaml"
    shown.write_text(to_yaml(spec), encoding="utf-8")
    assert load(shown) == spec


def test_show_resolves_scale_and_overrides_and_its_output_passes_check(zoo: Any, tmp_path: Path) -> None:
    shown = zoo("show", "transformer_base", "--scale=tiny", "model.encoder.n_layers=1", "training.seed=7")
    assert shown.exit_code == 0
    assert shown.stdout.startswith("# transformer_base: ")
    (tmp_path / "shown.yaml").write_text(shown.stdout, encoding="utf-8")
    spec = load(tmp_path / "shown.yaml")
    assert (spec.model.d_model, spec.model.encoder.n_layers, spec.training.seed) == (32, 1, 7)  # type: ignore[attr-defined, union-attr]
    checked = zoo("check", tmp_path / "shown.yaml")
    counted = shown.stdout.splitlines()[0].split(": ")[1]
    assert checked.exit_code == 0
    assert checked.stdout.split(": ")[1].startswith(f"ok, {counted}, about ")


def test_check_counts_the_papers_parameters_and_says_what_training_takes(zoo: Any) -> None:
    line = r"transformer_base: ok, 63,045,632 parameters, about \d+ GB to train(, more than the .* there are here)?\n"
    assert re.fullmatch(line, zoo("check", "transformer_base").stdout)


def test_check_takes_a_model_larger_than_this_machine_but_no_model_beyond_all_measure(zoo: Any) -> None:
    large = zoo("check", "llama2_7b", "model.decoder.n_layers=1000")
    assert large.exit_code == 0
    assert ", more than the " in large.stdout
    words = ("check", "transformer_base", "model.d_model=1000000")
    absurd = zoo(*words)
    assert (absurd.exit_code, absurd.stdout) == (2, "")
    assert (
        "transformer_base: model: has 72,086,224,024,576 parameters, which must be a mistake" in absurd.stderr
    )
    assert "model.d_model=1,000,000" in absurd.stderr
    assert zoo(*words, "--force").exit_code == 0


def test_training_what_memory_cannot_hold_is_refused_before_there_is_a_run(zoo: Any, tmp_path: Path) -> None:
    refused = zoo("train", "quickstart", "model.d_model=100000", "--out", tmp_path / "run")
    assert refused.exit_code == 2
    assert "model: training takes about" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_a_model_alone_can_be_shown_and_checked_but_not_trained(zoo: Any, model_alone: Path) -> None:
    assert zoo("check", model_alone).exit_code == 0
    assert "task" not in zoo("show", model_alone).stdout
    refused = zoo("train", model_alone)
    assert refused.exit_code == 2
    lines = refused.stderr.splitlines()
    assert sorted(line.partition(": ")[0] for line in lines) == ["task", "training"]
    assert all("not to train it" in line for line in lines)


def test_a_search_needs_a_head_that_predicts_tokens(zoo: Any, model_alone: Path) -> None:
    model_alone.write_text(
        MODEL_ALONE.replace("encoder_only", "decoder_only")
        .replace("inputs: {", "tokens: {")
        .replace("encoder:", "decoder:")
        .replace("{type: language_model, predicts: inputs}", "{type: pooled, pool: last}"),
        encoding="utf-8",
    )
    assert zoo("check", model_alone).exit_code == 0
    refused = zoo("check", model_alone, "generation=greedy")
    assert refused.exit_code == 2
    assert "generation: a head of type pooled predicts no tokens to search for" in refused.stderr


def test_a_search_is_asked_for_only_of_a_model_that_writes(model_alone: Path) -> None:
    require(load(model_alone), "generation", why="use its model")
    with pytest.raises(
        SpecError, match="generation: missing key; a spec may go without it, but not to use its"
    ):
        require(load({"model": load("gpt2").model.model_dump()}), "generation", why="use its model")


def test_check_tells_every_mistake_of_every_file_with_its_line(
    zoo: Any, model_alone: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        MODEL_ALONE.replace("n_heads: 3", "n_head: 3").replace("d_ff: 20", "d_ff: -1"), encoding="utf-8"
    )
    result = zoo("check", bad, model_alone, "nobody")
    assert result.exit_code == 2
    assert result.stdout.startswith(f"{model_alone}: ok, ")
    assert (
        f"{bad}:6: model.encoder.layer.self_attention.n_head: unknown key; "
        "did you mean 'model.encoder.layer.self_attention.n_heads'?" in result.stderr
    )
    assert f"{bad}:6: model.encoder.layer.ffn.d_ff: must be at least 1, got -1" in result.stderr
    assert "nobody: no preset has this name" in result.stderr
    assert len(result.stderr.splitlines()) == 3


def test_check_applies_overrides_to_every_file(zoo: Any, model_alone: Path) -> None:
    result = zoo("check", model_alone, "model.encoder.layer.self_attention.n_heads=5")
    assert result.exit_code == 2
    assert "n_heads (5) must divide d_model (12), as 4 and 6 do" in result.stderr


def test_parts_that_do_not_go_together_are_found(zoo: Any, model_alone: Path) -> None:
    result = zoo("check", model_alone, "generation=greedy")
    assert result.exit_code == 2
    assert "generation: a model of type encoder_only has no decoder to search with" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.position=learned", "model.position.max_len=305"], "max_len (305) must be at least 306"),
        (["model.position=learned", "model.position.max_len=306"], ""),
        (["model.decoder.position=sinusoidal", "model.encoder.position={type: learned, max_len: 255}"],
         "model.encoder.position: max_len (255) must be at least 256"),
        (["model.decoder.position=sinusoidal", "model.encoder.position={type: learned, max_len: 256}"], ""),
    ],
)  # fmt: skip
def test_learned_positions_must_reach_as_far_as_the_text(zoo: Any, words: list[str], message: str) -> None:
    result = zoo("check", "transformer_base", "--scale=tiny", *words)
    assert message in result.stderr
    assert result.exit_code == (2 if message else 0)


def test_limits_of_generation_and_of_the_task_are_checked(zoo: Any) -> None:
    result = zoo("check", "transformer_base", "generation.n_best=9", "task.data.source_language=de")
    assert result.exit_code == 2
    assert "generation: n_best (9) must not exceed beam_size (4)" in result.stderr
    assert "source_language and target_language are both 'de'" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["list", "atention"], "no kind is called 'atention'; did you mean 'attention'?"),
        (["describe", "ffn"], "which ffn? say ffn/NAME (known: clamped_glu, gated, glu, "),
        (["describe", "attention/multihead"], "registered as 'multihead'; did you mean 'multi_head'?"),
        (["show", "transformer_bse"], "did you mean 'transformer_base'?"),
        (["show", "transformer_base", "transformer_big"], "one SPEC is needed, and 2 are given"),
        (["show", "model.d_model=3"], "one SPEC is needed, and none is given"),
        (["check", "model.d_model=3"], "model.d_model=3 changes a SPEC, and none is given"),
        (["check", "transformer_base", "--scale", "tinny"], "did you mean 'tiny'?"),
        (["check", "transformer_base", "modl.d_model=3"], "did you mean 'model'?"),
        (["check", "transformer_base", "--plugin", "gone.py"], "'gone.py': no such plugin file"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_refused_in_one_line_with_what_would_be_right(
    zoo: Any, words: list[str], message: str
) -> None:
    result = zoo(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["list", "describe"])
def test_every_word_that_is_offered_is_taken(zoo: Any, command: str) -> None:
    offered = zoo(command, "nothing").stderr.strip().partition("known: ")[2].split(", ")
    assert {"attention", "spec", "task"} <= set(offered)
    assert ("presets" in offered) == (command == "list")
    for word in offered:
        result = zoo(command, word)
        assert result.exit_code == 0 or result.stderr.startswith(f"which {word}? say {word}/NAME"), (
            result.output
        )


def test_a_plugins_component_can_be_listed_described_and_used(zoo: Any, tmp_path: Path) -> None:
    plugin = tmp_path / "parts.py"
    plugin.write_text(PLUGIN, encoding="utf-8")
    half = "model.encoder.layer.norm=half"
    assert "norm: no norm is registered as 'half'" in zoo("check", "quickstart", half).stderr
    assert zoo("check", "quickstart", half, "--plugin", plugin).exit_code == 0
    assert "half" in zoo("list", "norm", "--plugin", plugin).stdout
    assert "Halves every value." in zoo("describe", "norm/half", "--plugin", plugin).stdout


def test_the_schema_knows_every_top_level_key_and_component(zoo: Any) -> None:
    text = zoo("schema").stdout
    assert {"model", "task", "training", "generation"} <= set(json.loads(text)["properties"])
    assert '"restricted"' in text


def test_a_plugin_may_add_a_kind_of_its_own(
    zoo: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kind, "_made", {each.name: each for each in made_kinds()})
    (tmp_path / "kitchen.py").write_text(NEW_KIND, encoding="utf-8")
    given = ("--plugin", str(tmp_path / "kitchen.py"))
    listed = dict(line.split(maxsplit=1) for line in zoo("list", *given).stdout.splitlines())
    assert listed["stirrer"] == "spoon"
    assert zoo("list", "stirrer", *given).stdout.split(maxsplit=1) == ["spoon", "Stirs by hand.\n"]
    found = json.loads(zoo("describe", "stirrer/spoon", "--json", *given).stdout)
    assert found["where"].startswith(str(tmp_path / "kitchen.py"))
    assert found["contract"] == (
        "__call__(x, *, speed=1): x [B, T, D] -> [B, T, D]; check(d_model=) of the spec"
    )


def test_a_plugin_may_not_take_a_kinds_name(zoo: Any, tmp_path: Path) -> None:
    text = NEW_KIND.replace('Kind("stirrer"', 'Kind("norm"')
    (tmp_path / "norms.py").write_text(text, encoding="utf-8")
    done = zoo("list", "--plugin", str(tmp_path / "norms.py"))
    assert done.exit_code == 2
    assert "norms.py:10: ValueError: a kind is already called 'norm', at " in done.stderr
    assert "zoo/kinds/norm.py:" in done.stderr
