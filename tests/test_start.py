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

# Runs the command line as the console script does and tells which of the watched modules it left behind.
PROBE = f"""
import json, sys
from zoo.cli.main import main
sys.argv = ["zoo", *sys.argv[1:]]
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
watched = ["torch", *{list(HEAVY)!r}]
print("\\n" + json.dumps({{"code": code, "loaded": [name for name in watched if name in sys.modules]}}))
"""


def run(*arguments: str, cwd: Path) -> tuple[int, list[str], str]:
    """The exit code, the watched modules imported, and everything printed."""
    process = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
    )
    *printed, last = process.stdout.strip().splitlines()
    probe = json.loads(last)
    return probe["code"], probe["loaded"], "\n".join(printed) + process.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["list", "presets"]])
def test_help_and_the_list_of_presets_need_no_torch(arguments: list[str], tmp_path: Path) -> None:
    code, loaded, printed = run(*arguments, cwd=tmp_path)
    assert (code, loaded) == (0, []), printed


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
    code, loaded, printed = run(command, "bad.yaml", cwd=tmp_path)
    assert (code, loaded) == (2, []), printed
    assert place in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    "arguments",
    [["list"], ["list", "attention"], ["describe", "attention/multi_head"], ["show", "transformer_base"],
     ["check", "transformer_base", "quickstart"], ["schema"]],
    ids=" ".join,
)  # fmt: skip
def test_looking_at_specs_imports_torch_and_nothing_heavier(arguments: list[str], tmp_path: Path) -> None:
    code, loaded, printed = run(*arguments, cwd=tmp_path)
    assert (code, loaded) == (0, ["torch"]), printed
