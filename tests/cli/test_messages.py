"""Mistakes that a new user makes, and what each must be told: the right key, value or command."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import presets
import zoo as api
from presets import PresetError
from registry import SpecError
from zoo.run.spec import load

WRITTEN = "an override is written KEY=VALUE, without spaces: model.d_model=64"
LAYERS = "did you mean 'model.encoder.n_layers' or 'model.decoder.n_layers'?"
FFN = "model.encoder.layer.ffn"


def test_all_mistakes_of_a_file_and_of_overrides_come_at_once(zoo: Any, tmp_path: Path) -> None:
    text = "extends: quickstart\nmodle: 3\nmodel: {d_model: 7}\ntraining: {lr: 3}\n"
    (tmp_path / "my.yaml").write_text(text, encoding="utf-8")
    words = ("my.yaml", "foo.bar=2", "generation.beam_sise=2", "task.data.0.x=1", "--plugin", "nope.py")
    result = zoo("check", *words)
    assert result.exit_code == 2
    for message in (
        "my.yaml:2: modle: unknown top-level key; did you mean 'model'?",
        "my.yaml:4: training.lr: unknown key; did you mean 'training.schedule.peak_lr'?",
        "override 'foo.bar=2': unknown top-level key 'foo'",
        "'nope.py': no such plugin file",
        "override 'generation.beam_sise=2': generation.beam_sise: unknown key; did you mean",
        "override 'task.data.0.x=1': task.data.0: unknown key",
        "model.encoder.layer.self_attention: n_heads (4) must divide d_model (7)",
    ):
        assert message in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        # how an override is written
        (["quickstart", "model.d_model:64"], WRITTEN),
        (["quickstart", "model.d_model", "=", "64"], WRITTEN),
        (["quickstart", "model.d_model=", "64"], WRITTEN),
        (["quickstart", "model.d_model", "=64"], WRITTEN),
        (["quickstart", "model.d_model = 64"], WRITTEN),
        (["quickstart", "--model.d_model=64"], WRITTEN),
        (["quickstart", "--model.d_model", "64"], "an override is written KEY=VALUE, without spaces: model.d_model="),
        (["quickstart", "task.data={type:grammar}"], "'type:grammar'; write 'type: grammar'"),
        # which key is meant
        (["quickstart", "training.lr=1"], "did you mean 'training.schedule.peak_lr'?"),
        (["quickstart", "learning_rate=1"], "did you mean 'training.schedule.peak_lr'?"),
        (["transformer_base", "training.lr=1"], "did you mean 'training.schedule.factor'? (what the schedule's own"),
        (["quickstart", "training.schedule={type: constant, lr: 1, rate: 1}"], "did you mean 'training.schedule.lr'?"),
        (["quickstart", "training.batch_size=3"], "did you mean 'training.tokens_per_batch'? (it counts tokens of a"),
        (["quickstart", "batch_size=3"], "did you mean 'training.tokens_per_batch'? (it counts tokens of a side"),
        (["quickstart", "training.epochs=3"], "did you mean 'training.max_steps'? (it counts steps, not epochs)"),
        (["quickstart", "epochs=3"], "did you mean 'training.max_steps'? (it counts steps, not epochs)"),
        (["quickstart", "n_layers=2"], LAYERS),
        (["quickstart", "model.n_layers=2"], LAYERS),
        (["quickstart", "num_hidden_layers=2"], LAYERS),
        (["gpt2", "n_layer=2"], "did you mean 'model.decoder.n_layers'?"),
        (["quickstart", "hidden_size=2"], "did you mean 'model.d_model'?"),
        (["gpt2", "model.n_embd=2"], "did you mean 'model.d_model'?"),
        (["quickstart", "model.encoder.num_attention_heads=2"], "'model.encoder.layer.self_attention.n_heads'?"),
        (["gpt2", "model.decoder.intermediate_size=2"], "did you mean 'model.decoder.layer.ffn.d_ff'?"),
        (["llama2_7b", "model.rope_theta=2"], "did you mean 'model.position.base'?"),
        (["gpt2", "model.dropout_rate=0.2"], "did you mean 'model.decoder.layer.dropout'?"),
        (["quickstart", "warmup_steps=2"], "did you mean 'training.schedule.warmup_steps'?"),
        (["quickstart", "encoder.n_layers=2"], "did you mean 'model.encoder.n_layers'?"),
        (["quickstart", "model.num_beams=2"], "did you mean 'generation.beam_size'?"),
        (["quickstart", "model.d_mdel=2"], "did you mean 'model.d_model'?"),
        (["quickstart", f"{FFN}.dff=2"], f"did you mean '{FFN}.d_ff'?"),
        (["quickstart", "modle.d_model=2"], "did you mean 'model'?"),
        # which value is meant
        (["quickstart", f"{FFN}.activation=swish"], "did you mean 'silu'?"),
        (["quickstart", f"{FFN}=swiglu"], "did you mean {type: glu, activation: silu}?"),
        (["quickstart", f"{FFN}.activation=swiglu"], "did you mean ffn={type: glu, activation: silu}?"),
        (["quickstart", "model.position=rope"], "did you mean 'rotary'?"),
        (["quickstart", "model.encoder.layer.norm=RMSNorm"], "did you mean 'rms_norm'?"),
        (["quickstart", "training.precision=bf16"], "did you mean 'bf16-mixed'?"),
        (["quickstart", "generation=beam_search"], "did you mean 'beam'?"),
        (["quickstart", "task.tokenizer=bpe"], "did you mean {type: sentencepiece, algorithm: bpe}?"),
        (["quickstart", "model.encoder.layer.self_attention=rotary"], "registered as 'rotary'; known: additive"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_in_a_spec_is_told_what_would_be_right(zoo: Any, words: list[str], message: str) -> None:
    result = zoo("check", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_key_of_a_part_that_the_scale_replaced_is_told_how_to_have_that_part(zoo: Any) -> None:
    told = "unknown key; --scale tiny put task.data of type grammar_text in the place of text; to have that, write "
    whole = "task.data='{type: text, train: input.txt, train_share: 0.9, documents: %s}'"
    result = zoo("check", "char_gpt", "--scale", "tiny", "task.data.train=input.txt")
    place = "override 'task.data.train=input.txt': task.data.train: "
    assert (result.exit_code, result.stderr) == (2, f"{place}{told}{whole % 'file'}\n")
    overrides = [
        "task.data.train=input.txt",
        "task.data.documents=line",
        "task.data.n_train=x",
        "task.data.tarin=y",
    ]
    lines = zoo("check", "char_gpt", "--scale", "tiny", *overrides).stderr.splitlines()
    assert len(lines) == 4
    assert sum(line.endswith(told + whole % "line") for line in lines) == 2
    assert any("must be an integer" in line for line in lines)  # of the part that is there
    assert any(line.endswith("did you mean 'task.data.n_train'?") for line in lines)  # of neither
    # What is written as it says is taken, and a part that is named by hand is no scale's.
    (Path.cwd() / "input.txt").write_text("some text\n")
    assert zoo("check", "char_gpt", "--scale", "tiny", f"task.data={_yaml(whole % 'file')}").exit_code == 0
    result = zoo("check", "char_gpt", "--scale", "tiny", "task.data=shapes", "task.data.train=x")
    assert "put task.data" not in result.stderr


def _yaml(override: str) -> str:
    return override.partition("=")[2].strip("'")


def test_other_parts_that_a_scale_replaced_are_told_as_well() -> None:
    source: dict[str, Any] = {
        "model": {**GPT, "position": {"type": "learned", "max_len": 9}},
        "scales": {"tiny": {"model.position": "alibi", "model.decoder.layer.ffn.type": "glu"}},
    }
    message = (
        "put model.position of type alibi in the place of learned; to have that, "
        "write model.position='{type: learned, max_len: 7}'"
    )
    with pytest.raises(SpecError, match=re.escape(message)):
        load(source, "model.position.max_len=7", scale="tiny")
    # A wrong key of the part that is there, where no part was replaced by another.
    with pytest.raises(SpecError, match="unknown key; did you mean"):
        load(source, "model.decoder.layer.nrom=layer_norm", scale="tiny")


@pytest.mark.parametrize(
    ("words", "path", "value"),
    [
        ("training.schedule.warmup_steps=100", "training.schedule.type", "noam"),
        ("training.optimizer.eps=1e-6", "training.optimizer.type", "adam"),
        ("model.decoder.layer.norm.eps=1e-3", "model.decoder.layer.norm.type", "layer_norm"),
    ],
)
def test_below_a_key_with_a_default_component_its_type_need_not_be_said(
    words: str, path: str, value: str
) -> None:
    found: Any = load({"model": GPT, "training": {}}, words)
    for key in path.split("."):
        found = getattr(found, key)
    assert found == value


GPT = {
    "type": "decoder_only",
    "d_model": 12,
    "tokens": {"type": "tokens", "vocab_size": 23},
    "decoder": {
        "n_layers": 1,
        "layer": {"self_attention": {"type": "multi_head", "n_heads": 3}, "ffn": "mlp"},
    },
    "head": {"type": "language_model", "predicts": "tokens"},
}


@pytest.fixture
def run(trained: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the trained run, as the folder `run`, beside a file, a folder and two lines of text."""
    (tmp_path / "afile").touch()
    (tmp_path / "data").mkdir()
    for name in ("train.de", "train.en", "test.de", "test.en", "text.de"):
        (tmp_path / "data" / name).write_text("eins\n", encoding="utf-8")
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


TEXT = ["train", "multi30k_small", "--out", "new", "task.data.test=test"]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["generate", "run", "Ein Mann"], 5, "text comes by standard input: echo 'Ein Mann' | zoo generate run"),
        (["generate", "run", "data"], 5, "data: a folder, where a file is asked for"),
        (["generate", "run", "generation.beam_size", "=", "4"], 2, "KEY=VALUE, without spaces: generation.beam_size=4"),
        (["generate", "run", "beam_size=4"], 2, "did you mean 'generation.beam_size'?"),
        (["generate", "model.d_model=3"], 2, "one RUN is needed, and none is given"),
        (["evaluate", "run", "--checkpoint", "stp-2"], 5, "it has no checkpoint 'stp-2' (it has: "),
        (["resume", "run/spec.yaml"], 5, "run/spec.yaml: a file, where a run folder is asked for, such as run"),
        (["resume", "afile"], 5, "afile: a file, where a run folder is asked for"),
        ([*TEXT, "task.data.folder=wmt14"], 3, "looked for train.de in it); say task.data.folder=FOLDER"),
        ([*TEXT, "task.data.folder=afile"], 3, "afile: a file, where a folder is asked for"),
        ([*TEXT, "task.data.folder=data", "task.data.dev=tst"], 3,
         "data/tst.de: no such file, nor with .gz; say task.data.dev=STEM; did you mean 'text.de'?"),
        (["describe", "multi_head"], 2, "'multi_head' without its kind; did you mean 'attention/multi_head'?"),
        (["describe", "spec/StakSpec"], 2, "no spec is called 'StakSpec'; did you mean 'StackSpec'?"),
        (["describe", "corpus/brakets"], 2, "others: zoo list corpus)"),
        (["describe", "corpus/wav_fold"], 2, "'wav_fold'; did you mean 'wav_folder' or 'image_folder'? ("),
        (["describe", "corpus/qqq"], 2, "no corpus is registered as 'qqq'; known: associative_recall, brackets, "),
        (["describe", "atention"], 2, "no kind is called 'atention'; did you mean 'attention'? ("),
        (["list", "atention"], 2, "others: zoo list)"),
        (["describe", "spec"], 2, "which spec? say spec/NAME (known: LayerGroupSpec, LayerSpec, "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_with_runs_and_files_is_told_what_would_be_right(
    zoo: Any, words: list[str], code: int, message: str
) -> None:
    result = zoo(*words)
    assert result.exit_code == code, result.output
    assert message in result.stderr.splitlines()[-1]


def test_a_missing_split_is_never_offered_the_file_of_another(zoo: Any, run: Path) -> None:
    result = zoo(*TEXT, "task.data.folder=data", "task.data.dev=tes")
    last = result.stderr.splitlines()[-1]
    assert "say task.data.dev=STEM" in last
    assert "test.de" not in last
    assert "train.de" not in last


WAYS = ("generation={type: greedy, max_length: 7}", "generation.beam_size=1")


def test_a_search_may_be_changed_as_a_whole_or_in_parts(zoo: Any, run: Path) -> None:
    assert zoo("evaluate", run, "generation=greedy", "--split", "dev").exit_code == 0
    both = [zoo("generate", run, word, input="Peter\n") for word in WAYS]
    assert [result.exit_code for result in both] == [0, 0]
    assert both[0].stdout == both[1].stdout


def test_a_checkpoint_is_called_as_it_is_printed(zoo: Any, run: Path) -> None:
    for name in ("step-2", "2"):
        assert (
            zoo("evaluate", run, "--split", "dev", "--checkpoint", name).stdout.strip().endswith(", step-2")
        )


DONE = "this run is done: step 3 of 3; to go on: zoo resume run training.max_steps=6"


def test_resuming_a_run_that_is_done_says_so_and_how_to_go_on_and_evaluates_nothing_again(
    zoo: Any, run: Path, trained: tuple[Path, str]
) -> None:
    kept = (run / "results.json").read_bytes()
    result = zoo("resume", "run")
    assert result.exit_code == 0
    assert DONE in result.stderr
    assert "after an interruption" not in result.stderr
    assert "at a first guess" not in result.stderr
    assert "answering" not in result.stderr
    assert result.stdout == trained[1].replace(str(trained[0]), "run")  # seconds included
    assert (run / "results.json").read_bytes() == kept


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (["rm", "results.json"], []),
        (["rm", "hypotheses.txt"], []),
        (["evaluate", "run", "--checkpoint", "2"], []),
        (["evaluate", "run", "--beam-size", "1"], []),
        (["evaluate", "run", "task.metric.report=[ter]"], []),
        ([], ["generation.beam_size=2"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_a_run_that_is_done_is_evaluated_where_its_results_are_missing_or_of_something_else(
    zoo: Any, run: Path, before: list[str], words: list[str]
) -> None:
    if before[:1] == ["rm"]:
        (run / before[1]).unlink()
    elif before:
        assert zoo(*before).exit_code == 0
    result = zoo("resume", "run", *words)
    assert result.exit_code == 0
    assert DONE in result.stderr
    assert "evaluating" in result.stderr
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert (results["checkpoint"], results["generation"]["beam_size"]) == ("step-3", 2 if words else 3)
    assert (run / "hypotheses.txt").is_file()
    assert "answering" not in zoo("resume", "run").stderr


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("training", "max_steps: "),
        ("spec/StackSpec", "final_norm: "),
        ("LayerSpec", "ffn: "),
        ("SpecialIds", "pad: "),
    ],
)
def test_the_specs_that_are_no_component_are_described(zoo: Any, name: str, key: str) -> None:
    described = zoo("describe", name)
    assert described.exit_code == 0
    assert f"\n  {key}" in described.stdout
    assert "Base of every spec" not in described.stdout
    title = described.stdout.partition("  (")[0]
    assert title in zoo("list", "spec").stdout.splitlines()


def bare(name: str) -> str:
    """A preset's model alone, as YAML."""
    return presets.to_yaml({"model": presets.read(name).data["model"]})


def test_a_spec_without_a_task_is_told_how_to_come_to_one(zoo: Any, tmp_path: Path) -> None:
    (tmp_path / "bare.yaml").write_text(bare("t5_small"), encoding="utf-8")
    result = zoo("train", "bare.yaml")
    assert result.exit_code == 2
    (task,) = [line for line in result.stderr.splitlines() if line.startswith("task: missing key; ")]
    (training,) = [line for line in result.stderr.splitlines() if line.startswith("training: missing key; ")]
    assert training.endswith("; training: {} takes every default")
    assert "zoo show SPEC > FILE, and add task: {type: TASK, ...} with one of infilling, " in task
    assert "translation" in task
    able = task.partition("presets that have one: ")[2].split(", ")
    assert {"quickstart", "t5_small"} < set(able)
    assert "gpt2" not in able
    # and so it is done
    text = zoo("show", "bare.yaml").stdout + "task: {type: translation, data: grammar}\ntraining: {}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert zoo("check", "mine.yaml", "--force").stdout.startswith("mine.yaml: ok, ")


def test_a_model_that_no_task_takes_is_told_so(zoo: Any, tmp_path: Path) -> None:
    model = {**presets.read("bert_base").data["model"], "head": "none"}
    (tmp_path / "headless.yaml").write_text(presets.to_yaml({"model": model}), encoding="utf-8")
    result = zoo("train", "headless.yaml")
    assert result.exit_code == 2
    reason = "this task needs a head that learns from numbers labels; none learns"
    assert f"no task known here takes its model ({reason}" in result.stderr
    assert result.stderr.count("learns from token labels") == 1
    assert "one of your own comes by --plugin)\n" in result.stderr


# In Python


def test_a_run_s_spec_and_a_preset_s_name_do_for_what_they_name(
    tmp_path: Path, tiny: tuple[str, ...]
) -> None:
    run = api.load("quickstart", scale="tiny")
    weights = api.build(run).state_dict()
    assert weights.keys() == api.build(run.model).state_dict().keys()
    with pytest.raises(PresetError, match=r"quickstrat: no preset has this name.*did you mean 'quickstart'"):
        api.train("quickstrat", tmp_path / "run")
    with pytest.raises(api.SpecError, match=r"task: missing key.*not to train it"):
        api.train({"model": presets.read("gpt2").data["model"]}, tmp_path / "run")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda run: api.build("quickstart"), TypeError, r"build takes a spec, such as zoo\.load\(.*, not str"),
        (lambda run: api.load("quickstart", {"model.d_model": 64}), SpecError, "an override is a string such as"),
        (lambda run: api.load(["quickstart"]), PresetError, "a spec is read from a preset's name.*not a list"),
        (lambda run: api.generate(run, "text"), ValueError, r"lines are several: write generate\(folder"),
        (lambda run: api.generate(load(run), ["text"]), ValueError, "a trained run is a folder"),
    ],
)  # fmt: skip
def test_in_python_a_mistake_is_one_clear_error(
    run: Path, call: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call(run)
