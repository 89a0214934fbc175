"""Asks the user whether a plugin that a run's record names may be run, and remembers a yes.

A yes is for one content of one file, by its SHA-256 and its absolute path, and lies in the user's own state folder:
nothing in a run folder, which may be a stranger's, says what is allowed.
"""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo.training.consent import Asked

FILE = "allowed_plugins.json"
SHOWN = 16
"""Digits of a SHA-256 that are shown."""


def may_run(asked: Asked) -> bool:
    """Whether a file may be run: what was allowed before, told in a line, or else what the user says on a terminal."""
    key = [str(asked.path), asked.sha256]
    if key in _allowed(asked.run):
        print(f"{asked.path}: run, as you have allowed (sha256 {asked.sha256[:SHOWN]})", file=sys.stderr)
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    now = asked.sha256[:SHOWN]
    what = f"sha256 {now}" if asked.sha256 == asked.recorded else _changed(asked)
    print(
        f"{asked.run} was trained with {asked.path} ({what}); run it? [y/N] ",
        end="",
        file=sys.stderr,
        flush=True,
    )
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        return False
    _remember(asked, key)
    return True


def _changed(asked: Asked) -> str:
    return f"sha256 {asked.recorded[:SHOWN]}), which has changed since (now {asked.sha256[:SHOWN]}"


def _allowed(run: Path) -> list[list[str]]:
    """What was allowed, as path and SHA-256; nothing where another may have written it."""
    from zoo.storage.state import is_own, state_folder

    file = state_folder() / FILE
    try:
        if not file.is_file():
            return []
        if file.resolve().is_relative_to(run.resolve()) or not (is_own(file) and is_own(file.parent)):
            print(f"{file}: others may write to it; what it allows does not count", file=sys.stderr)
            return []
        data = json.loads(file.read_text(encoding="utf-8"))
        return [[str(each["path"]), str(each["sha256"])] for each in data["allowed"]]
    except (OSError, ValueError, KeyError, TypeError):
        print(f"{file}: damaged; what it allows does not count", file=sys.stderr)
        return []


def _remember(asked: Asked, key: list[str]) -> None:
    from zoo.errors import RunError
    from zoo.storage.files import write_text
    from zoo.storage.state import state_folder

    folder = state_folder()
    if folder.resolve().is_relative_to(asked.run.resolve()):
        return
    kept = [*(each for each in _allowed(asked.run) if each[0] != key[0]), key]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / FILE
        records = [{"path": path, "sha256": sha256} for path, sha256 in kept]
        write_text(file, json.dumps({"allowed": records}, indent=1) + "\n")
        with suppress(OSError):
            file.chmod(0o600)
    except (OSError, RunError) as error:
        print(f"{folder}: the answer cannot be kept there, it is for now only: {error}", file=sys.stderr)
