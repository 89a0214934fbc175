"""cost and diff: what specs cost, and where two of them differ."""

import json
import re

import pytest

import zoo as library
from zoo.cli.cost_text import short
from zoo.drawing import pixels
from zoo.kinds import FFN
from zoo.run.spec import load, to_yaml


def test_cost_tells_a_model_by_part_and_in_all(zoo):
    result = zoo("cost", "transformer_base", "--length", "128")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "transformer_base: length 128, batch 1"
    part = next(line for line in lines if line.startswith("encoder.layer.self_attention"))
    assert part.split()[1:] == ["multi_head", "×6", "6.29M", "14.2M", "42.5M", *part.split()[6:]]
    assert any(line.split() == ["parameters", "63,045,632"] for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_cost_in_json_is_what_python_says(zoo):
    result = zoo("cost", "gpt2", "--length", "128,1024", "--batch", "3", "--precision", "bf16", "--json")
    found = json.loads(result.stdout)
    said = [library.cost(load("gpt2"), batch=3, length=n, precision="bf16").as_dict() for n in (128, 1024)]
    assert found == [{"spec": "gpt2", **json.loads(json.dumps(each))} for each in said]
    assert found[0]["n_parameters"] == 124_439_808
    assert sum(part["n_parameters"] for part in found[0]["parts"]) == 124_439_808


def test_several_specs_stand_side_by_side_each_with_the_overrides_behind_it(zoo):
    words = ("transformer_base", "transformer_base", "model.d_model=256", "transformer_big")
    lines = zoo("cost", *words, "--length", "64").stdout.splitlines()
    assert "[2] transformer_base model.d_model=256" in lines
    counts = [
        f"{library.cost(load(*each), length=64).n_parameters:,}"
        for each in (words[:1], words[1:3], words[3:])
    ]
    assert ["parameters", *counts] in [line.split() for line in lines]


def test_sources_of_one_name_are_told_apart_by_their_places(zoo, tmp_path):
    for folder, width in (("a", 96), ("b", 48)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.yaml").write_text(to_yaml(load("gpt2", f"model.d_model={width}")))
    words = ("a/same.yaml", "b/same.yaml", "model.decoder.n_layers=1", "gpt2", "--length", "16", "--json")
    found = [each["spec"] for each in json.loads(zoo("cost", *words).stdout)]
    assert found == ["a/same.yaml", "b/same.yaml model.decoder.n_layers=1", "gpt2"]


def test_formulas_are_told_with_their_order_and_source(zoo):
    text = zoo("cost", "transformer_restricted", "--formulas").stdout
    assert "2·D·(T·H + S·G)·(K + Kv) + 2·T·r·H·(K + Kv)" in text
    assert "r·n·d a layer, 1 after each other, path n/r (Vaswani et al. 2017, Table 1)" in text
    assert "Vaswani et al. 2017, equation 2." in text  # of the mlp


def test_layers_that_do_not_suffice_for_the_longest_path_are_marked(zoo):
    text = zoo("cost", "transformer_restricted", "--length", "4096").stdout
    assert text.count("64*") == 4  # both stacks, the sum of the parts, the totals
    assert "never meet" in text
    assert "never meet" not in zoo("cost", "transformer_restricted", "--length", "129").stdout


PLUGIN = '''
from typing import Literal
from torch import Tensor, nn
from registry import Spec
from zoo.kinds import FFN

class SquareSpec(Spec):
    type: Literal["square"] = "square"

@FFN.register("square", spec=SquareSpec, examples=[{}])
class Square(nn.Module):
    """One product."""
    def __init__(self, *, d_model: int) -> None:
        super().__init__()
        self.map = nn.Linear(d_model, d_model, bias=False)
    def forward(self, x: Tensor) -> Tensor:
        return self.map(x)
'''


def test_a_plugin_without_a_formula_is_counted_and_the_table_says_so(zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(FFN, "_entries", dict(FFN._entries))
    (tmp_path / "parts.py").write_text(PLUGIN)
    result = zoo("cost", "gpt2", "model.decoder.layer.ffn=square", "--plugin", "parts.py", "--length", "16")
    row = next(line for line in result.stdout.splitlines() if line.startswith("decoder.layer.ffn"))
    per_token = 12 * 2 * 768 * 768
    assert row.split()[1:6] == ["square", "×12", "?", short(12 * 768 * 768), short(per_token)]
    assert "FLOPs counted on the meta device" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "there is no SPEC"),
        (["model.d_model=8", "gpt2"], "model.d_model=8 changes the SPEC before it, and there is none"),
        (["gpt2", "--length", "12,x"], "--length takes tokens"),
        (["gpt2", "--length", "0"], "--length takes tokens"),
        (["gpt2", "--precision", "fp8"], "--precision is fp32 or bf16, not 'fp8'"),
        (["gpt2", "--device", "tpu"], "--device is cuda or cpu, not 'tpu'"),
    ],
)
def test_cost_refuses_what_it_cannot_do(zoo, words, message):
    result = zoo("cost", *words)
    assert result.exit_code == 2
    assert message in result.stderr


def changes(zoo, *words):
    result = zoo("diff", *words, "--json")
    assert result.exit_code == 1
    return json.loads(result.stdout)


def test_diff_tells_a_replaced_part_as_one_change_with_its_cost(zoo):
    found = changes(zoo, "transformer_base", "transformer_restricted", "--length", "512")
    paths = [change["path"] for change in found["changes"]]
    assert paths == ["model.encoder.layer.self_attention", "model.decoder.layer.self_attention"]
    first = found["changes"][0]
    assert (first["before"]["type"], first["after"]["radius"]) == ("multi_head", 64)
    assert first["alone"]["n_parameters"] == 0
    # Six layers in which each token meets 129 others in place of 512, by scores and by values.
    assert first["alone"]["forward_per_token"] == -6 * 4 * (512 - 129) * 512
    assert found["added"]["forward_per_token"] == sum(
        each["alone"]["forward_per_token"] for each in found["changes"]
    )
    assert (found["before"]["path"], found["after"]["path"]) == (1, 8)


def test_each_change_is_costed_alone_and_all_of_them_together(zoo):
    words = ("model.encoder.layer.ffn.d_ff=4096", "model.d_model=256", "training.max_steps=9")
    found = changes(zoo, "transformer_base", *words)
    costs = {change["path"]: change["alone"] for change in found["changes"]}

    def parameters(*overrides):
        base, changed = (
            library.cost(load("transformer_base", *each)).n_parameters for each in ((), overrides)
        )
        return changed - base

    assert costs["model.d_model"]["n_parameters"] == parameters("model.d_model=256")
    wider = parameters("model.encoder.layer.ffn.d_ff=4096", "model.decoder.layer.ffn.d_ff=2048")
    assert costs["model.encoder.layer.ffn.d_ff"]["n_parameters"] == wider
    assert costs["training.max_steps"] is None
    assert found["added"]["n_parameters"] == parameters(*words[:2])


def test_changes_that_only_go_together_are_costed_together(zoo):
    found = changes(zoo, "bert_base", "modernbert_base")
    by_path = {change["path"]: change for change in found["changes"]}
    deeper = by_path["model.encoder.n_layers"]
    assert deeper["alone"]["n_sequential"] == 10
    assert by_path["model.encoder.layers"]["joined"] == "model.encoder.n_layers"
    assert "must be below vocab_size" in by_path["model.inputs.padding_id"]["why_not"]


def test_a_diff_reads_as_a_tree(zoo):
    result = zoo("diff", "transformer_base", "transformer_big")
    lines = result.stdout.splitlines()
    assert lines[0] == "transformer_base → transformer_big: length 512, batch 1"
    assert any(line.startswith("  d_model: 512 → 1024 ") and "+101M" in line for line in lines)
    assert "    layer" in lines
    assert any(line.strip() == "max_steps: 100000 → 300000" for line in lines)
    assert all(len(line) <= 100 for line in lines)


def test_the_exit_code_of_diff_tells_whether_two_specs_differ(zoo, tmp_path):
    assert zoo("diff", "gpt2", "gpt2").exit_code == 0
    (tmp_path / "same.yaml").write_text(to_yaml(load("gpt2")))
    assert zoo("diff", "gpt2", "same.yaml").stdout == "gpt2 and same are the same\n"
    assert zoo("diff", "gpt2", "model.d_model=96").exit_code == 1
    assert zoo("diff", "gpt2", "nothing_of_that_name").exit_code == 2
    assert zoo("diff", "gpt2").exit_code == 2
    assert zoo("diff", "gpt2", "gpt2", "gpt2").exit_code == 2


def test_another_architecture_is_one_change(zoo):
    found = changes(zoo, "gpt2", "bert_base")
    (model,) = [change for change in found["changes"] if change["path"].startswith("model")]
    assert (model["path"], model["alone"]) == ("model", found["added"])


def test_a_models_spec_without_a_run_differs_as_well():
    a, b = (load("gpt2", *each).model for each in ((), ("model.d_model=96",)))
    assert [change.path for change in library.diff(a, b).changes] == ["model.d_model"]
    assert not library.diff(a, a)


@pytest.mark.parametrize(
    ("n", "unit", "text"),
    [
        (0, "", "0"),
        (63_045_632, "", "63.0M"),
        (999_600, "", "1.00M"),
        (1_048_576, "B", "1.05 MB"),
        (12, "B", "12 B"),
        (-4_710_000, "", "-4.71M"),
        (None, "", "?"),
        (0.25, "", "0.25"),
    ],
)
def test_numbers_are_told_in_three_digits(n, unit, text):
    assert short(n, unit) == text


def test_bench_measures_and_tells_how_time_grows(zoo):
    words = ("bench", "quickstart", "tagger_small", "--scale", "tiny", "--repeats", "1", "--device", "cpu")
    lines = zoo(*words, "--length", "5,11", "--batch", "2").stdout.splitlines()
    assert [line.split()[:2] for line in lines[4:8]] == [
        ["quickstart", "5"],
        ["tagger_small", "5"],
        ["quickstart", "11"],
        ["tagger_small", "11"],
    ]
    assert lines[-1].startswith(
        "tagger_small: from length 5 to 11 the time of a training step grows as length ** "
    )
    doubt = "(of two lengths only, which a power law always fits; of one turn, so nobody knows how much it varies)"
    assert lines[-1].endswith(doubt)
    found = json.loads(zoo(*words, "--length", "5", "--json").stdout)
    assert [each["title"] for each in found] == ["quickstart", "tagger_small"]
    assert zoo(*words, "--length", "5", "--precision", "fp8").exit_code == 2


def test_batches_that_no_memory_holds_are_told_as_too_large(zoo):
    words = ("bench", "char_gpt", "--scale", "tiny", "--length", "8", "--repeats", "1", "--device", "cpu")
    result = zoo(*words, "--batch", "9999999999999")
    assert result.exit_code == 2
    told = "out of memory on cpu with batches of 9,999,999,999,999 sequences of up to 8 tokens; take a smaller --batch"
    assert result.stderr.startswith(told)


def test_table_1_is_told_by_formula_and_measured(zoo):
    lines = zoo("cost", "--table1", "--length", "128,1024").stdout.splitlines()
    rows = [line.split()[-4:] for line in lines if line.startswith("Recurrent")]
    assert rows == [["O(n)", "128", "O(n)", "128"], ["O(n)", "1,024", "O(n)", "1,024"]]
    assert all(len(line) <= 100 for line in lines)
    assert json.loads(zoo("cost", "--table1", "--length", "128", "--json").stdout)[0]["complexity"] == "n²·d"
    measured = zoo("bench", "--table1", "--length", "16,32", "--repeats", "1", "--batch", "1").stdout
    assert "Self-Attention (restricted): from length 16 to 32 the time" in measured
    for command in ("cost", "bench"):
        assert "--table1 takes no SPEC" in zoo(command, "gpt2", "--table1").stderr


def test_a_change_after_which_there_is_no_way_says_so(zoo):
    lines = zoo(
        "diff", "gpt2", "model.decoder.layer.self_attention=none", "--length", "64"
    ).stdout.splitlines()
    change = next(line for line in lines if "self_attention: multi_head → none" in line)
    assert change.split()[-1] == "none"
    assert change.split()[-2] == "-12"  # sequential operations: there are none left


def figure(path):
    """The words in an SVG."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8"))


def test_table_1_is_drawn_by_formula_and_measured(zoo, tmp_path):
    assert zoo("cost", "--table1", "--length", "128,1024", "-o", "formulas.svg").exit_code == 0
    words = figure(tmp_path / "formulas.svg")
    assert {"128", "1,024", "Self-Attention: n^1.28", "Self-Attention (restricted): n^1.00"} <= set(words)
    few = ("--length", "16,32", "--repeats", "1", "--batch", "1", "--device", "cpu")
    result = zoo("bench", "--table1", *few, "--json", "--output", "measured.svg")
    assert len(json.loads(result.stdout)) == 8
    words = " ".join(figure(tmp_path / "measured.svg"))
    assert re.search(r"Recurrent: n\^\S+ measured, n\^\S+ by formula", words)
    assert "1 turn of batches of 1 sequence on cpu in fp32" in words
    assert "scaled to the time measured at n = 32." in words


def test_any_specs_growth_is_drawn(zoo, tmp_path):
    words = ("quickstart", "tagger_small", "model.position=none", "--scale", "tiny", "--length", "5,11")
    assert zoo("cost", *words, "-o", "a.svg").exit_code == 0
    assert any(each.startswith("tagger_small model.position=none: n^") for each in figure(tmp_path / "a.svg"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-o", "a.pdf"), "--output a.pdf: the name of a file is needed that ends in .svg or .png\n"),
        (("-o", "none/a.svg"), "--output none/a.svg: there is no folder none\n"),
        (("-o", "a.png"), "--output a.png: PNG needs matplotlib (pip install 'architecture-zoo[report]')"),
        (("-o", "a.svg", "--length", "16,16"), "--output a.svg draws growth with the length"),
    ],
)
@pytest.mark.parametrize("command", ["cost", "bench"])
def test_a_figure_that_cannot_be_drawn_is_refused_first(zoo, tmp_path, monkeypatch, command, words, message):
    monkeypatch.setattr(pixels, "can_draw", lambda: False)
    result = zoo(command, "--table1", "--length", "16,32", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(message)
    assert [*tmp_path.iterdir()] == []


def test_a_png_is_drawn_by_matplotlib(zoo, tmp_path):
    pytest.importorskip("matplotlib")
    assert zoo("cost", "--table1", "--length", "128,1024", "-o", "a.png").exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
