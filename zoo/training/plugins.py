"""The plugins of a run: which files of components it was trained with. A record is never a reason to run one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from registry import Problem, SpecError, loaded_plugins
from zoo.storage.records import read_record, write_record

PLUGINS_FILE = "plugins.json"

log = logging.getLogger(__name__)


class MissingPluginError(SpecError):
    """A run folder's spec names components of a plugin that is not loaded; `paths` are those to give."""

    def __init__(self, problems: list[Problem], paths: list[str]) -> None:
        super().__init__(problems)
        self.paths = paths

    def __reduce__(self) -> tuple[type[SpecError], tuple[list[Problem], bool]]:
        return SpecError, (self.problems, self.is_ordered)


def record_plugins(folder: Path, spec: Any) -> None:
    """Writes the plugins whose components the dumped spec of a run names into its plugins.json; none, no file.

    Raises: RunError when it cannot be written.
    """
    types = set(_types(spec))
    records = [
        {"given": each.given, "path": str(each.path), "sha256": each.sha256, "names": each.names}
        for each in loaded_plugins()
        if types & {name.rpartition("/")[2] for name in each.names}
    ]
    if records:
        write_record(folder / PLUGINS_FILE, {"plugins": records})


def missing_plugins(folder: Path) -> MissingPluginError | None:
    """What a run folder's spec goes without: the plugins it was trained with that are not loaded; None for none."""
    paths, lines = [], []
    for record in _recorded(folder):
        if _loaded_as(record) is None:
            path, names = str(record["path"]), ", ".join(record["names"])
            gone = "" if Path(path).is_file() else ", which is not there any more: say where it is"
            paths.append(path if not gone else "PATH")
            lines.append(f"needs the plugin {path}, for {names}{gone}")
    if not paths:
        return None
    wanted = " ".join(f"--plugin {path}" for path in paths)
    return MissingPluginError([Problem("", f"{folder}: {'; '.join(lines)}; add {wanted}")], paths)


def warn_of_changes(folder: Path) -> None:
    """Says which plugins are other than those that the run was trained with."""
    for record in _recorded(folder):
        sha256 = _loaded_as(record)
        if sha256 is not None and sha256 != record["sha256"]:
            names = ", ".join(record["names"])
            log.warning("%s: changed since %s was trained with it (%s)", record["path"], folder, names)


def _recorded(folder: Path) -> list[dict[str, Any]]:
    path = folder / PLUGINS_FILE
    if not path.exists():
        return []
    needed = {"path", "sha256", "names"}
    return read_record(path, lambda data: [each for each in data["plugins"] if needed <= set(each)])


def _loaded_as(record: dict[str, Any]) -> str | None:
    """The SHA-256 of the loaded plugin that a record means: the same file, or one that registers the same names."""
    for each in loaded_plugins():
        if str(each.path) == record["path"] or set(each.names) >= set(record["names"]) > set():
            return each.sha256
    return None


def _types(data: Any) -> Iterator[str]:
    """Every component that a dumped spec names."""
    if isinstance(data, dict):
        if isinstance(data.get("type"), str):
            yield data["type"]
        for value in data.values():
            yield from _types(value)
    elif isinstance(data, list):
        for value in data:
            yield from _types(value)
