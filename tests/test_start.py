"""What starting costs: which command may import what, looked up in sys.modules of a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "lightning",
    "pytorch_lightning",
    "transformers",
    "sentencepiece",
    "tensorboard",
    "sacrebleu",
    "scipy",
    "torchmetrics",
    "pyarrow",
    "datasets",
    "torch._dynamo",
)

# Runs commands as the console script does, one after the other until one fails or leaves something heavy behind, and
# tells what the last of them was, its exit code and which of the watched modules are there.
PROBE = f"""
import json, sys
from zoo.cli.main import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["zoo", *words]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    heavy = [name for name in {list(HEAVY)!r} if name in sys.modules]
    if code or heavy:
        break
loaded = [*["torch"][: "torch" in sys.modules], *heavy]
print("\\n" + json.dumps({{"last": words, "code": code, "loaded": loaded}}))
"""


def run(*commands: list[str], cwd: Path) -> tuple[list[str], int, list[str], str]:
    """The last command that was run, its exit code, the watched modules imported, and everything printed."""
    process = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(commands)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )
    *printed, last = process.stdout.strip().splitlines()
    probe = json.loads(last)
    return probe["last"], probe["code"], probe["loaded"], "\n".join(printed) + process.stderr


def test_help_and_the_list_of_presets_need_no_torch(tmp_path: Path) -> None:
    *_, last = commands = [["--help"], ["train", "--help"], ["list", "presets"]]
    *found, printed = run(*commands, cwd=tmp_path)
    assert found == [last, 0, []], printed


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("model: {type: encoder_decoder\n", "bad.yaml:"),
        ("model: {d_model: 64}\nmodel: {d_model: 32}\n", "bad.yaml:2"),
        ("- model\n", "bad.yaml"),
    ],
    ids=["no YAML", "duplicate key", "no mapping"],
)
@pytest.mark.parametrize("command", ["check", "train"])
def test_a_file_that_is_no_document_is_refused_before_torch(
    command: str, text: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    _, code, loaded, printed = run([command, "bad.yaml"], cwd=tmp_path)
    assert (code, loaded) == (2, []), printed
    assert place in printed
    assert "Traceback" not in printed


def test_looking_at_specs_imports_torch_and_nothing_heavier(tmp_path: Path) -> None:
    *_, last = commands = [
        ["list"],
        ["list", "attention"],
        ["describe", "attention/multi_head"],
        ["show", "transformer_base"],
        ["check", "transformer_base", "quickstart"],
        ["schema"],
    ]
    *found, printed = run(*commands, cwd=tmp_path)
    assert found == [last, 0, ["torch"]], printed


READING = """
import sys
import zoo.storage.selection, zoo.tasks.prepared, zoo.training.spec
from zoo.kinds import CORPUS, OPTIMIZER, SCHEDULE, TASK, TOKENIZER
from zoo.run.explaining import explain
for kind in (CORPUS, OPTIMIZER, SCHEDULE, TASK, TOKENIZER):
    kind.names()
explain("d_model")
heavy = ("lightning", "pytorch_lightning", "tensorboard", "transformers")
print([name for name in sys.modules if name.startswith(heavy)])
"""


def test_specs_of_tasks_and_trainings_are_read_and_words_explained_without_lightning() -> None:
    done = subprocess.run([sys.executable, "-c", READING], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")
