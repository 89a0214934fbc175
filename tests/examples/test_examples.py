import argparse
import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from zoo.cli.main import app

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = {
    "01_assemble_a_model.py": ([], ["logits [2, 5, 100]", "did you mean 'rms_norm'?"]),
    "02_train_and_translate.py": (["3"], ["BLEU", "checkpoints"]),
    "03_an_own_attention.py": ([], ["passed: cached_equals_full", "parameters with cosine attention"]),
    "04_three_architectures.py": ([], ["decoder_only, next letter", "composed"]),
    "05_three_crossings.py": ([], ["bert_as_decoder: decoder_only", "it writes: 24 25 26 27 28"]),
    "06_own_trainer.py": (["2"], ["steps in 2 epochs", "test BLEU", "row 0:", "and on from epoch="]),
    "07_path_length.py": (
        [
            "figure.svg",
            "training.max_steps=2",
            "task.data={type: copy, lengths: [12], test_lengths: [12, 17], n_train: 40, n_dev: 9, n_test: 8}",
        ],
        ["base, seed 1: done", "rnn  12: ", "%, path 17", "written: figure.svg", "written: figure-path.svg"],
    ),
    "08_an_own_norm.py": ([], ["passed: its_size_is_what_is_built", "eps=1e-05", "share=0.7"]),
    "09_own_positions.py": (
        [],
        ["recency: hooks_keep_their_shapes passed", "spiral: scores_depend_on_distance_alone passed"],
    ),
    "10_an_own_layout.py": ([], ["passed: in_a_decoder_cached_equals_full", "1,179,136 parameters"]),
    "11_an_own_mixer.py": (
        [],
        ["passed: in_a_decoder_cached_equals_full", "it writes 8 tokens from its state alone"],
    ),
    "12_an_own_task.py": (["20"], ["surely right: ", "'label': "]),
    "13_a_plugin_package.py": (
        [],
        [
            "squared/zoo_squared/presets/squared.yaml",
            "preset: True",
            "d_ff=64",
            '"distribution": "zoo-squared"',
        ],
    ),
    "14_ablating_an_own_part.py": (["3"], ["squared, seed 2: done", "base, seed 1: done"]),
}
QUICK = ("01_assemble_a_model.py", "03_an_own_attention.py", "08_an_own_norm.py", "09_own_positions.py")
NEEDS_A_BUILDER = {"13_a_plugin_package.py": "setuptools"}


def test_each_script_is_listed_and_short():
    found = {path.name: path.read_text().count("\n") for path in EXAMPLES.glob("*.py")}
    assert set(found) == set(SCRIPTS)
    assert {name: lines for name, lines in found.items() if lines >= 60} == {}


@pytest.mark.parametrize(
    "script", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SCRIPTS]
)
def test_it_runs_and_says_what_it_promises(script, tmp_path):
    arguments, promised = SCRIPTS[script]
    if script in NEEDS_A_BUILDER:
        pytest.importorskip(NEEDS_A_BUILDER[script])
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for text in promised:
        assert text in done.stdout


def benchmark(name):
    """A benchmark as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / "benchmarks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def gpu():
    return benchmark("gpu")


TASKS = benchmark("tasks")


@pytest.mark.parametrize("name", TASKS.TRAININGS)
def test_a_training_on_real_data_is_a_valid_command(name, tmp_path):
    program, train, *words = TASKS.command(name, tmp_path, tmp_path / "out", 7)
    assert (program, train, words[-2]) == ("zoo", "train", "--out")
    done = CliRunner().invoke(app, ["check", *words[:-2]])
    assert done.exit_code == 0, done.output


def test_a_training_on_real_data_is_told_by_its_steps_speed_and_scores(tmp_path):
    lines = [
        {"kind": "train", "step": 1, "tokens_per_second": 10.4},
        {"kind": "train", "step": 2, "tokens_per_second": 90.6},
        {"kind": "validation", "step": 2, "epoch": 0.5, "accuracy": 97.12344, "seconds": 3.0},
        {"kind": "train", "step": 3, "tokens_per_second": 20.0},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    expected = {"steps": 3, "tokens_per_second": 20, "minutes": 1.5, "dev": {2: {"accuracy": 97.1234}}}
    assert TASKS.row_of(tmp_path, 1.52) == expected


def test_what_the_benchmark_of_a_gpu_starts_finds_the_checkout_where_nothing_is_installed(gpu):
    bare = ("-S", "-P", "-c", "import importlib.util; print(importlib.util.find_spec('zoo').origin)")
    assert gpu.python(*bare).stdout.strip() == str(EXAMPLES.parent / "zoo" / "__init__.py")


def test_a_case_that_fails_on_a_gpu_hides_no_other_and_is_tried_again(gpu, tmp_path):
    tried = []

    def case(name, args):
        tried.append(name)
        if tried == ["first"]:
            raise KeyError("a kernel")
        return [{"case": name, "side": "zoo", "utilisation": 0.25}]

    gpu.CASES = {"first": case, "second": case}
    args = argparse.Namespace(out=tmp_path / "gpu.json", device="cpu", cases=None, minutes=1)
    failed = dict(gpu.run(args))
    assert failed["first"] == [{"case": "first", "failed": "KeyError: 'a kernel'"}]
    done = [row for _, rows in gpu.run(args) for row in rows]
    assert tried == ["first", "second", "first"]
    assert [line.split() for line in gpu.table([*done, *failed["first"]]).splitlines()] == [
        ["case", "side", "utilisation", "failed"],
        ["first", "zoo", "0.25"],
        ["second", "zoo", "0.25"],
        ["first", "KeyError:", "'a", "kernel'"],
    ]


@pytest.mark.slow
def test_the_benchmark_of_a_gpu_works_at_toy_size_and_resumes(tmp_path):
    script = EXAMPLES / "benchmarks" / "gpu.py"
    command = [sys.executable, str(script), "--toy", "--out", "toy.json"]
    first = subprocess.run(
        [*command, "--cases", "transformer_base", "vit_base"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert first.returncode == 0, first.stderr
    before = json.loads((tmp_path / "toy.json").read_text())["cases"]
    assert set(before) == {"transformer_base", "vit_base"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    after = json.loads((tmp_path / "toy.json").read_text())["cases"]
    assert set(after) > set(before)
    assert {name: after[name] for name in before} == before
    assert not [row for rows in after.values() for row in rows if "failed" in row]
    trained = [row for rows in after.values() for row in rows if "tokens_per_second" in row]
    assert len(trained) == 12  # six models, two sides
    assert all(row["utilisation"] > 0 for row in trained)
    searches = [(row["case"], row["side"], row["equal_outputs"]) for row in after["decoding"]]
    sides = ("zoo", "transformers")
    assert searches == [(f"decoding, {how}", side, 1.0) for how in ("beam 4", "greedy") for side in sides]
    n_marked, *rest = after["tests"][0]["printed"].split("/")
    assert int(n_marked) > 100
    assert "tests collected" in rest[0]


@pytest.mark.slow
def test_the_benchmark_of_long_documents_works_at_toy_size(tmp_path):
    draw = random.Random(1)
    for split, n in (("train", 40), ("dev", 10)):
        words = [
            draw.choices(["aa", "bb", "cc", "dd"], k=draw.randint(20, 90)) + [("good", "bad")[i % 2]] * 5
            for i in range(n)
        ]
        lines = [f"{i % 2}\t{' '.join(draw.sample(each, len(each)))}\n" for i, each in enumerate(words)]
        (tmp_path / f"{split}.tsv").write_text("".join(lines))
    script = EXAMPLES / "benchmarks" / "long_documents.py"
    sizes = [
        "--sizes",
        "16",
        "64",
        "3",
        "--epochs",
        "1",
        "--seeds",
        "1",
        "2",
        "--repeats",
        "2",
        "--learn",
        "0",
        "2",
    ]
    small = ["--override", "model.inputs.vocab_size=10", "model.d_model=32"]
    done = subprocess.run(
        [sys.executable, str(script), "--data", str(tmp_path), *sizes, *small],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "TF-IDF and logistic regression: " in done.stdout
    assert done.stdout.count("'steps': 5}") == 4
    rows = [line for line in done.stdout.splitlines() if line.startswith("│")]
    assert ["not trained" in row for row in rows] == [False, True, False, True]
    assert len({row.split("│")[2] for row in rows}) == 1  # parameters


@pytest.mark.slow
def test_the_benchmark_against_a_plain_loop_works_at_toy_size():
    """Its first step compares the two losses, which would fail here were the models not the same."""
    script = EXAMPLES / "benchmarks" / "plain_loop.py"
    done = subprocess.run(
        [sys.executable, str(script), "--steps", "3", "--threads", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["3", "zoo", "plain", "plain,"]
