"""What the README promises in its first screen is what runs here."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_ci_runs_the_readmes_test_command() -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    setup = [block.strip() for block in blocks if "venv" in block]
    assert len(setup) == 2
    assert all("\n" not in block for block in setup)
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f'test_command="{setup[1]}"\n' in script
