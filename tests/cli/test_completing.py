"""What a shell is told to complete, asked as bash asks: the words of a line and the number of that with the cursor."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import presets
from registry import kinds
from zoo.cli.main import app
from zoo.interop.family import family_names


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def completed(line: str) -> list[str]:
    """The completions of the last word of a line; bash takes KEY, = and VALUE for three words."""
    words = line.replace("=", " = ").split()
    cursor = len(words) - (not line.endswith(" "))
    environment = {
        "_ZOO_COMPLETE": "complete_bash",
        "COMP_WORDS": line.replace("=", " = "),
        "COMP_CWORD": f"{cursor}",
    }
    result = CliRunner().invoke(app, prog_name="zoo", env=environment)
    assert result.exit_code == 0, result.output
    return result.output.split()


def test_a_command_is_completed():
    assert completed("zoo expl") == ["explain", "explore"]


def test_a_source_is_a_preset_a_file_or_a_folder(tmp_path):
    (tmp_path / "transformer_mine.yaml").write_text("extends: quickstart\n")
    (tmp_path / "transformer_run").mkdir()
    (tmp_path / "transformer_run" / "spec.yaml").write_text("extends: quickstart\n")
    (tmp_path / "transformer_notes.txt").write_text("")
    (tmp_path / "transformer_data").mkdir()
    ours = [name for name in presets.names() if name.startswith("transformer_")]
    files = ["transformer_data/", "transformer_mine.yaml", "transformer_run"]
    assert completed("zoo train transformer_") == [*ours, *files]
    assert completed("zoo train transformer_mi") == ["transformer_mine.yaml"]
    assert completed(f"zoo train {tmp_path}/transformer_m") == [f"{tmp_path}/transformer_mine.yaml"]
    assert completed("zoo train [") == []


def test_keys_are_those_of_the_source_and_its_overrides():
    assert completed("zoo train gpt2 model.decoder.layer.self_attention.n_h") == [
        "model.decoder.layer.self_attention.n_heads="
    ]
    assert completed("zoo train gpt2 model.decoder.layer.self_attention.rad") == []
    restricted = "model.decoder.layer.self_attention.type=restricted"
    assert completed(f"zoo train gpt2 {restricted} model.decoder.layer.self_attention.rad") == [
        "model.decoder.layer.self_attention.radius="
    ]


def test_values_are_components_and_choices():
    assert completed("zoo cost gpt2 model.position=r") == [
        "relative_2d",
        "relative_buckets",
        "relative_embeddings",
        "rotary",
    ]
    assert completed("zoo cost gpt2 model.decoder.layer.norm.type=rms") == ["rms_norm"]
    assert completed("zoo cost gpt2 model.head.tied=t") == ["true"]
    assert completed("zoo cost gpt2 model.d_model=1") == []


def test_the_word_with_its_key_is_completed_where_the_shell_leaves_it_whole():
    line = {
        "_ZOO_COMPLETE": "complete_bash",
        "COMP_WORDS": "zoo cost gpt2 model.position=ro",
        "COMP_CWORD": "3",
    }
    assert CliRunner().invoke(app, prog_name="zoo", env=line).output.split() == ["model.position=rotary"]


def test_components_kinds_and_families_are_completed():
    assert completed("zoo describe attention/restr") == ["attention/restricted"]
    assert completed("zoo conform ff") == ["ffn/"]
    assert completed("zoo new at") == [kind.name for kind in kinds() if kind.name.startswith("at")]
    assert completed("zoo certify gem") == [name for name in family_names() if name.startswith("gem")]


@pytest.mark.parametrize(
    "line", ["zoo train nothing model.", "zoo describe nothing/x", "zoo train gpt2 nothing.at=a"]
)
def test_what_is_wrong_completes_nothing(line):
    assert completed(line) == []
