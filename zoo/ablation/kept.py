"""What an ablation's folder says of the ablation itself, so that the folder alone is enough to read it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import presets
from presets.yaml12 import read_value
from registry import Problem, SpecError, dump
from zoo.ablation.plan import Plan, slug
from zoo.ablation.planning import make_plan
from zoo.ablation.spec import read
from zoo.errors import RunError
from zoo.storage.files import write_text
from zoo.training.plugins import PLUGINS_FILE, load_allowed, missing_plugins

ABLATION_FILE = "ablation.yaml"
BASES = "base"
"""The folder of the base's document, which lies in a file of the base's name."""


def keep(plan: Plan, folder: Path, *, plugins: Sequence[Path] = ()) -> None:
    """Writes ablation.yaml, an ablation file again: its base a file beside it, its overrides those of the command line
    too. A preset that changes later, or a base that is moved, changes nothing of it.

    plugins are named in its head only: no file is a reason to run another.
    Raises: RunError where it cannot be written.
    """
    document = presets.read(plan.source, scale=plan.spec.scale)
    base = Path(BASES) / f"{slug(document.name)}.yaml"
    (folder / BASES).mkdir(parents=True, exist_ok=True)
    write_text(folder / base, presets.to_yaml(document.data))
    overrides = {**plan.spec.overrides, **dict(map(_read_override, plan.given))}
    data = {**dump(plan.spec), "base": str(base), "scale": None, "overrides": overrides}
    words = ["zoo ablate", ABLATION_FILE, *(f"--plugin {path}" for path in plugins)]
    head = f"# What this folder is the ablation of; made again by: {' '.join(words)}\n"
    write_text(folder / ABLATION_FILE, head + presets.to_yaml(data))


def kept_plan(folder: Path) -> Plan:
    """The plan of the ablation in a folder; plugins of its runs are loaded that the user allows.

    Raises: RunError where none lies there; PresetError, SpecError where it is not read any more, such as for a plugin
        that is not loaded.
    """
    file = folder / ABLATION_FILE
    if not file.is_file():
        raise RunError(
            f"{folder}: no ablation lies here: there is no {ABLATION_FILE} (zoo ablate FILE --out {folder} writes it, "
            "and trains nothing that has been trained)"
        )
    try:
        return make_plan(read(file), force=True)
    except SpecError as error:
        runs = [file.parent for file in sorted(folder.glob(f"runs/*/*/{PLUGINS_FILE}"))]
        lacking = [run for run in runs if missing_plugins(run)]
        for run in lacking:
            load_allowed(run)
            if missing := missing_plugins(run):
                raise missing from None
        if not lacking:
            raise _with_plugins_named(error, file) from None
        return make_plan(read(file), force=True)


def _with_plugins_named(error: SpecError, file: Path) -> SpecError:
    """The error, and with which plugins the ablation was made, if with any."""
    _, plugin, words = file.read_text(encoding="utf-8").partition("\n")[0].partition("--plugin ")
    if not plugin:
        return error
    hint = Problem("", f"{file}:1: it was made with {plugin}{words}; add that")
    return SpecError([*error.problems, hint], is_ordered=True)


def _read_override(word: str) -> tuple[str, Any]:
    key, _, value = word.partition("=")
    return key.strip(), read_value(value, word)
