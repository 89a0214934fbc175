"""import, export, certify: from transformers, to transformers, and the proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from zoo.assembly.build import build
from zoo.cli.interop import certify, export, import_
from zoo.cli.main import app as main_app
from zoo.cli.shell import Shell
from zoo.interop.family import family_named
from zoo.interop.hugging_face import export as write
from zoo.interop.hugging_face import from_hf
from zoo.interop.matching import spec_of
from zoo.run.spec import load

NO_TOKENIZER = "no tokenizer of a known form lies there, so that no task is written"
NO_LENGTH = (
    "config.json: it does not say how long an output may become; transformers stops after 20 tokens, "
    "this search after 16"
)
SIZES = {"vocab_size": 31, "n_positions": 17, "n_embd": 12, "n_head": 3, "n_layer": 2, "n_inner": 29}

Zoo = Callable[..., Any]


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Zoo:
    """Calls a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    app = typer.Typer(cls=Shell)
    app.command("import")(import_)
    app.command("export")(export)
    app.command("certify")(certify)
    return lambda *words: CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkpoint of transformers."""
    torch.manual_seed(0)
    spec = spec_of(family_named("gpt2"), {"model_type": "gpt2", **SIZES})
    write(spec, build(spec), tmp_path / "theirs", fields={"eos_token_id": 7, "bos_token_id": 5})
    return tmp_path / "theirs"


def test_what_is_imported_is_exported_as_it_was(zoo: Zoo, folder: Path) -> None:
    result = zoo("import", folder, "mine")
    assert result.exit_code == 0, result.output
    assert result.stdout == "mine: decoder-only, 3,418 parameters, float32\n"
    result = zoo("export", "mine", "back")
    checked = "read back: differs from the model by 0 at most"
    assert (result.exit_code, result.stdout) == (0, f"back: gpt2, float32\n{checked}\n")
    assert Path("back/model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    assert from_hf("back")[0] == from_hf(folder)[0]


def test_an_imported_folder_is_a_spec(zoo: Zoo, folder: Path) -> None:
    zoo("import", folder, "mine")
    shown = CliRunner().invoke(main_app, ["show", "mine"])
    assert shown.exit_code == 0, shown.output
    assert "# mine: 3,418 parameters" in shown.stdout
    assert "end: 7" in shown.stdout


def test_ids_and_further_fields_are_exported(zoo: Zoo, folder: Path) -> None:
    zoo("import", folder, "--out", "mine")
    assert zoo("export", "mine", "--out", "back", "--field", "label=x", "--field", "n_ctx=17").exit_code == 2
    assert zoo("export", "mine", "--out", "back", "--field", "n_ctx=17", "--field", "prefix=x").exit_code == 0
    config = json.loads(Path("back/config.json").read_text())
    assert {config[name] for name in ("eos_token_id", "bos_token_id", "n_ctx", "prefix")} == {7, 5, 17, "x"}
    result = zoo("export", "mine", "other", "--field", "n_head=4")
    assert (result.exit_code, Path("other").exists()) == (2, False)
    assert "fields: these change what the model computes: n_head" in result.stderr


def test_one_folder_to_write_is_needed(zoo: Zoo, folder: Path) -> None:
    assert "OUT or --out OUT, and none is given" in zoo("import", folder).stderr
    assert zoo("export", folder, "one", "--out", "two").exit_code == 2
    assert "should read KEY=VALUE" in zoo("export", folder, "one", "--field", "x").stderr


def test_ids_that_no_search_of_ours_takes_are_left_out_with_a_word(zoo: Zoo, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": []}))
    result = zoo("import", folder, "mine")
    assert result.exit_code == 0
    assert "no generation section is written: " in result.stderr
    assert "generation" not in Path("mine/spec.yaml").read_text()


def test_what_generation_config_says_is_imported_and_exported_again(zoo: Zoo, folder: Path) -> None:
    said = {"eos_token_id": [7, 8], "num_beams": 6, "bad_words_ids": [[3]], "max_new_tokens": 9}
    (folder / "generation_config.json").write_text(json.dumps({**said, "min_length": 4, "temperature": 0.6}))
    result = zoo("import", folder, "mine")
    assert (result.exit_code, result.stderr) == (
        0,
        f"{folder}/generation_config.json: a search of ours cannot express min_length 4; it is searched without\n"
        f"{folder}: {NO_TOKENIZER}\n",
    )
    result = zoo("export", "mine", "back", "--field", "pad_token_id=2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(Path("back/generation_config.json").read_text()) == {
        "bos_token_id": 5,
        "pad_token_id": 2,
        "length_penalty": 1.0,
        "early_stopping": False,
        **said,
    }
    assert zoo("import", "back", "again").exit_code == 0
    generation = (load(name).generation for name in ("mine", "again"))
    mine, again = (dict(each) for each in generation)  # type: ignore[call-overload]
    assert mine.pop("ids").ends == again.pop("ids").ends == (7, 8)
    assert mine == again


def test_a_search_that_transformers_has_not_is_exported_with_a_word(zoo: Zoo, folder: Path) -> None:
    zoo("import", folder, "mine")
    spec = Path("mine/spec.yaml")
    spec.write_text(spec.read_text().replace("max_length: 16", "max_length: source + 4"))
    result = zoo("export", "mine", "back")
    assert (result.exit_code, result.stderr) == (
        0,
        "back: generation_config.json cannot say of generation: max_length 'source + 4'\n",
    )


def test_tensors_are_left_out_by_patterns_that_may_be_repeated(zoo: Zoo, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    extra = {name: torch.ones(2) for name in ("score.weight", "score.bias", "mc_head.summary.weight")}
    save_file({**tensors, **extra}, folder / "model.safetensors")
    result = zoo("import", folder, "mine")
    assert result.exit_code == 3
    assert "(--ignore-tensor mc_head.summary.weight --ignore-tensor 'score.*')" in result.stderr
    result = zoo("import", folder, "mine", "--ignore-tensor", "score.*", "--ignore-tensor", "mc_head.*")
    assert (result.exit_code, result.stderr) == (
        0,
        f"{folder}: left out, as asked for: mc_head.summary.weight, score.bias, score.weight\n"
        f"{folder}/{NO_LENGTH}\n"
        f"{folder}: {NO_TOKENIZER}\n",
    )
    result = zoo("import", folder, "other", "--ignore-tensor", "scores.*")
    assert result.exit_code == 3
    assert "to be left out is 'scores.*', and no tensor beside the model's own is called so" in result.stderr


def test_pickles_are_read_at_a_word(zoo: Zoo, folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    result = zoo("import", folder, "mine")
    assert result.exit_code == 5
    assert "save_pretrained write safetensors" in result.stderr
    assert result.stderr.endswith("by torch.load(weights_only=True): --unpickle\n")
    assert zoo("import", folder, "mine", "--unpickle").exit_code == 0


def test_a_class_may_be_named_where_the_config_names_nothing(zoo: Zoo, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for name in ("model_type", "architectures"):
        del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    result = zoo("import", folder, "mine")
    assert result.exit_code == 2
    assert (
        "model_type: it is missing; say which class of transformers this is by --architecture"
        in result.stderr
    )
    result = zoo("import", folder, "mine", "--architecture", "GPT2LMHeadModel")
    assert (result.exit_code, result.stderr) == (0, f"{folder}/{NO_LENGTH}\n{folder}: {NO_TOKENIZER}\n")


def test_the_dtype_can_be_chosen(zoo: Zoo, folder: Path) -> None:
    assert zoo("import", folder, "mine", "--dtype", "bfloat16").stdout.endswith(", bfloat16\n")
    assert ", bfloat16\n" in zoo("export", "mine", "back").stdout
    assert json.loads(Path("back/config.json").read_text())["dtype"] == "bfloat16"
    result = zoo("import", folder, "other", "--dtype", "fp8")
    assert (result.exit_code, result.stderr) == (
        2,
        "--dtype: 'fp8' is unknown; known: float32, float16, bfloat16, float64\n",
    )


def test_a_config_that_cannot_be_represented_is_exit_code_2_and_can_be_told_to_be_harmless(
    zoo: Zoo, folder: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "foo": 1}))
    result = zoo("import", folder, "mine")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{folder}/config.json: foo: unknown to the gpt2 mapping (1); ")
    assert not Path("mine").exists()
    assert zoo("import", folder, "mine", "--ignore", "foo").exit_code == 0


def test_tensors_that_do_not_fit_are_exit_code_3_and_files_that_cannot_be_read_5(
    zoo: Zoo, folder: Path
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "n_layer": 3}))
    result = zoo("import", folder, "mine")
    assert result.exit_code == 3
    assert "missing for a model of this config: 'transformer.h.2." in result.stderr
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    result = zoo("import", folder, "mine")
    assert result.exit_code == 5
    assert "a pickle can execute anything" in result.stderr
    assert zoo("import", "nowhere", "mine").exit_code == 5


def test_nothing_is_written_over(zoo: Zoo, folder: Path) -> None:
    for command in ("import", "export"):
        result = zoo(command, folder, folder)
        assert result.exit_code == 5
        assert f"{folder}: it exists already" in result.stderr


def test_a_trained_run_that_no_family_holds_is_refused(zoo: Zoo, trained: tuple[Path, str]) -> None:
    result = zoo("export", trained[0], "out")
    assert result.exit_code == 2
    assert "no config of transformers says this model exactly; the nearest family is " in result.stderr
    assert not Path("out").exists()
    assert zoo("export", "nowhere", "out").exit_code == 5


def test_a_certificate_is_printed(zoo: Zoo) -> None:
    pytest.importorskip("transformers")
    result = zoo("certify", "gpt2", "--seeds", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("gpt2 against transformers ")
    assert "gpt2: 124,439,808 parameters, as the reference" in result.stdout
    data = json.loads(zoo("certify", "gpt2", "--seeds", "1", "--json").stdout)
    assert data["failures"] == []
    assert data["logits_error"] < 2e-5
    assert zoo("certify", "gtp2").exit_code == 2


def test_a_certificate_that_fails_is_exit_code_1(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("zoo.interop.certify.LOGITS_BAR", 0.0)
    result = zoo("certify", "gpt2", "--seeds", "1")
    assert result.exit_code == 1
    assert "FAILED: " in result.stdout
