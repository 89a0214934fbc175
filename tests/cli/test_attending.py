"""zoo attend: what is printed, what is written, what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from tests.analysis.attention_examples import example
from tests.checkpoints import write_bert, write_gpt2
from tests.cli.conftest import Zoo
from zoo.cli.attention_text import map_lines, maps_text
from zoo.cli.main import app
from zoo.drawing import pixels

LINE = "the old house is small"


def test_the_keys_with_most_weight_are_printed(zoo: Zoo, trained: tuple[Path, str]) -> None:
    result = zoo("attend", trained[0], LINE)
    assert result.exit_code == 0, result.output
    first, checked, *rest = result.stdout.splitlines()
    written = zoo("generate", trained[0], input=LINE).stdout.strip()
    assert first == f"{LINE} → {written}"
    assert checked.startswith("Checked: the model's own kernels gave what these weights give, to ")
    heads = [line for line in rest if line.endswith(":")]
    assert [line.partition(" (")[0] for line in heads] == [
        "Encoder to itself, layer 0",
        "Decoder to itself, layer 0",
        "Decoder to source, layer 0",
    ]
    assert all("mean of heads 0, 1" in line for line in heads)
    rows = [line for line in rest if line.startswith("  ")]
    assert all(line.endswith("%") for line in rows)
    assert [row.startswith("  </s> ") for row in rows[:6]] == [False] * 5 + [True]  # the source and its end
    assert result.stderr == ""


def test_keys_of_little_weight_are_left_out_but_the_greatest_stays() -> None:
    weights = np.array([[[0.0, 0.06, 0.04, 0.3, 0.6], [0.2] * 5, [0.04, 0.0, 0.0, 0.0, 0.0]]], np.float32)
    shown = replace(example().maps[3], weights=weights, heads=(2,), keys=("a", "b", "c", "d", "e"))
    assert map_lines(shown, columns=100, n_queries=None) == [
        "Decoder to source, layer 0 (additive), head 2:",
        "  das   e 60%  d 30%  b 6%",
        "  Haus  a 20%  b 20%  c 20%",
        "  </s>  a 4%",
    ]


def test_a_map_is_cut_to_the_terminal_and_says_so() -> None:
    long, wide = "Donaudampfschifffahrtsgesellschaft", "漢字" * 9
    keys = (long, wide, "c", "d", "e")
    weights = np.array([[[0.3, 0.3, 0.2, 0.1, 0.1]] * 3], np.float32)
    shown = replace(example().maps[3], weights=weights, heads=(2,), keys=keys, writes=(wide, long, "x"))
    found = replace(example(), maps=(shown,))
    assert map_lines(shown, columns=63, n_queries=2) == [  # ten columns a word
        "Decoder to source, layer 0 (additive), head 2:",
        "  漢字漢字…   Donaudamp… 30%  漢字漢字… 30%  c 20%",
        "  Donaudamp…  Donaudamp… 30%  漢字漢字… 30%  c 20%",
        "  … and 1 more",
    ]
    cut, whole = "Cut to fit here: -o FILE.html draws the whole", "Donaudampfschifffahrtsgesellschaft 30%"
    assert cut in maps_text(found, found.maps, columns=63, n_queries=None)
    assert cut in maps_text(found, found.maps, columns=1000, n_queries=2)
    text = maps_text(replace(found, given="wort " * 300), found.maps, columns=40, n_queries=3)
    assert text.splitlines()[0] == ("wort " * 24)[:-1] + "…"  # three lines
    text = maps_text(found, found.maps, columns=1000, n_queries=3)
    assert (cut in text, whole in text) == (False, True)


def test_the_terminal_bounds_what_is_printed(
    zoo: Zoo, trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for columns, lines in ((60, 8), (30, 7)):
        monkeypatch.setattr(shutil, "get_terminal_size", lambda fallback, size=(columns, lines): size)
        result = zoo("attend", trained[0], LINE)
        maps = result.stdout.split("\n\n")[1:4]
        assert len(maps[0].splitlines()) == lines - 2
        assert all(len(line) <= columns for each in maps for line in each.splitlines()[1:])
    assert "Cut to fit here" in result.stdout


def test_layers_heads_and_a_target_are_chosen(zoo: Zoo, trained: tuple[Path, str]) -> None:
    result = zoo("attend", trained[0], "the house", "--target", " read read", "--layers", "0", "--heads", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("the house → read read (given)\n")
    assert result.stdout.count(", head 1:") == 3


@pytest.mark.parametrize("suffix", ["html", "svg", "npz"])
def test_a_file_is_written_by_its_ending(
    zoo: Zoo, trained: tuple[Path, str], tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"a.{suffix}"
    result = zoo("attend", trained[0], LINE, "-o", file)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(file)
    if suffix == "npz":
        assert np.load(file)["decoder.layers.0.cross_attention"].shape[0] > 1
    else:
        assert file.read_text(encoding="utf-8").startswith(
            {"html": "<!doctype html>", "svg": "<svg "}[suffix]
        )


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "a sentence is needed: zoo attend "),
        (("generation.beam_size=1",), 2, "a sentence is needed"),
        (("",), 3, "'': there is no word in it"),
        (("\udcff" * 90,), 3, "'... (90 characters): "),
        (("x", "--layers", "3,1"), 2, "layers: no layers 3, 1: encoder has 0 alone, decoder has 0 alone"),
        (("x", "--heads", "9"), 2, "heads: no head 9: there are heads 0 to "),
        (
            ("x", "--layers", "one"),
            2,
            "--layers: numbers with commas between are needed, such as 0,2; got 'one'",
        ),
        (
            ("x", "-o", "a.pdf"),
            2,
            "a.pdf: the name of a file is needed that ends in .html, .svg, .png or .npz",
        ),
        (("x", "-o", "missing/a.svg"), 2, "--output missing/a.svg: there is no folder missing"),
        (
            ("Ein", "brauner", "Hund", "generation.beam_size=1"),
            2,
            "the sentence is in 3 words and wants quotes: zoo attend RUN 'Ein brauner Hund' generation.beam_size=1\n",
        ),
        (("x", "model.d_model=3"), 2, "wants quotes: zoo attend RUN 'x model.d_model=3'\n"),
    ],
)
def test_what_cannot_be_is_refused(
    zoo: Zoo, trained: tuple[Path, str], words: tuple[str, ...], code: int, message: str
) -> None:
    result = zoo("attend", trained[0], *words)
    said = result.stderr.replace(str(trained[0]), "RUN")
    assert (result.exit_code, message in said) == (code, True), result.output


def test_png_without_its_library_is_refused_before_anything_slow(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels, "can_draw", lambda: False)
    result = zoo("attend", "nowhere", "x", "-o", "a.png")
    assert result.exit_code == 2
    assert "pip install 'architecture-zoo[report]'" in result.stderr


def test_a_run_that_is_none_and_one_without_attention(zoo: Zoo, tiny: tuple[str, ...]) -> None:
    assert zoo("attend", "nowhere", "x").exit_code == 5
    words = [word for word in tiny if not word.startswith(("quickstart", "model.encoder"))]
    made = zoo("train", "seq2seq_lstm", *words, "--quiet", "--out", "lstm")
    assert made.exit_code == 0, made.output
    result = zoo("attend", "lstm", "the house")
    assert result.exit_code == 2
    assert result.stderr == "model: nothing attends by a softmax; it mixes positions by lstm, seeded_lstm\n"


def test_a_wrong_kernel_is_told_on_standard_error(
    zoo: Zoo, trained: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoo.kernels import sdpa

    right = sdpa.attention
    monkeypatch.setattr(sdpa, "attention", lambda *given, **rest: right(*given, **rest) * 1.1)
    result = zoo("attend", trained[0], LINE)
    assert result.exit_code == 0
    assert result.stderr.startswith(
        "NOT what the model's own kernels gave: the outputs of encoder.layers.0.self_att"
    )
    assert "Checked" not in result.stdout


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_an_imported_model_has_maps_like_a_trained_one(zoo: Zoo, tmp_path: Path, family: str) -> None:
    transformers: Any = pytest.importorskip("transformers")
    folder = tmp_path / "theirs"
    if family == "bert":
        tokenizer = write_bert(folder)
        config = transformers.BertConfig(
            vocab_size=len(tokenizer), hidden_size=12, num_hidden_layers=2, num_attention_heads=3,
            intermediate_size=29, max_position_embeddings=16,
        )  # fmt: skip
        model = transformers.BertForMaskedLM(config).eval()
        texts, stack = ["[CLS]", "the", "old", "house", "[SEP]"], "encoder"
    else:
        tokenizer = write_gpt2(folder)
        end = tokenizer.eos_token_id
        config = transformers.GPT2Config(
            vocab_size=len(tokenizer), n_embd=12, n_layer=2, n_head=3, n_positions=32, bos_token_id=end,
            eos_token_id=end,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config).eval()
        texts, stack = [], "decoder"
    model.set_attn_implementation("eager")
    for parameter in model.parameters():
        parameter.data.normal_(std=0.7)
    model.save_pretrained(folder)
    assert zoo("import", folder, tmp_path / "mine").exit_code == 0
    result = zoo("attend", tmp_path / "mine", "the old house", "-o", tmp_path / "a.npz")
    assert result.exit_code == 0, result.output
    arrays = np.load(tmp_path / "a.npz")
    ids = tokenizer("the old house", return_tensors="pt")["input_ids"]
    theirs = model(input_ids=ids, output_attentions=True).attentions
    for number, other in enumerate(theirs):
        name = f"{stack}.layers.{number}.self_attention"
        np.testing.assert_allclose(arrays[name], other[0].detach().numpy(), atol=1e-5)
        assert len(arrays[f"{name}/keys"]) == ids.shape[1]
        if texts:
            assert arrays[f"{name}/keys"].tolist() == texts
    assert (
        CliRunner()
        .invoke(app, ["attend", str(tmp_path / "mine"), "the old house", "--target", "x"])
        .exit_code
        == 2
    )
