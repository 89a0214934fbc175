"""The plugins of a run: the files and packages of components it was trained with. No record is a reason to run one."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry import Package, Problem, SpecError, load_plugin, loaded_packages, loaded_plugins, made_kinds
from zoo.storage.records import read_record, write_record
from zoo.training.consent import CONSENT, Asked

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
    files = [
        {"given": each.given, "path": str(each.path), "sha256": each.sha256, "names": each.names}
        for each in loaded_plugins()
        if types & {name.rpartition("/")[2] for name in each.names}
    ]
    packages = [
        {"distribution": each.distribution, "version": each.version, "names": names}
        for each in loaded_packages()
        if (names := [name for name in _names_of(each) if name.rpartition("/")[2] in types])
    ]
    if files or packages:
        write_record(folder / PLUGINS_FILE, {"plugins": files, "packages": packages})


def load_allowed(folder: Path) -> bool:
    """Runs those plugins of a run that are not loaded and that the user allows, see zoo.training.consent.

    True where that makes all known. A file is asked for by the SHA-256 of what it holds, and nothing else is run.
    Raises: PluginError where an allowed file fails.
    """
    missing = [record for record in _recorded(folder).files if _loaded_as(record) is None]
    for record in missing:
        path = Path(record["path"]).resolve()
        sha256 = _sha256(path)
        if sha256 is None or not CONSENT.get()(Asked(folder, path, sha256, record["sha256"])):
            return False
        load_plugin(path, sha256=sha256)
    return bool(missing)


def missing_plugins(folder: Path) -> MissingPluginError | None:
    """What a run folder's spec goes without: the plugins it was trained with that are not loaded; None for none."""
    recorded = _recorded(folder)
    paths, lines = [], []
    for record in recorded.files:
        if _loaded_as(record) is None:
            path, names = record["path"], ", ".join(record["names"])
            now = _sha256(Path(path))
            paths.append(path if now else "PATH")
            said = {None: ", which is not there any more: say where it is", record["sha256"]: ""}
            lines.append(f"needs the plugin {path}, for {names}{said.get(now, ', which has changed since')}")
    absent = [each for each in recorded.packages if _version(each) is None]
    lines += [
        f"needs the package {each['distribution']} {each['version']}, for {', '.join(each['names'])}, which is not "
        "installed"
        for each in absent
    ]
    if not lines:
        return None
    steps = [f"install {each['distribution']}=={each['version']}" for each in absent]
    steps += ["add " + " ".join(f"--plugin {path}" for path in paths)] if paths else []
    return MissingPluginError([Problem("", f"{folder}: {'; '.join([*lines, ' and '.join(steps)])}")], paths)


def _sha256(path: Path) -> str | None:
    """Of a Python file; None where there is none that can be read."""
    try:
        is_python = path.suffix == ".py" and path.is_file()  # a stranger's record may name an endless device
        return hashlib.sha256(path.read_bytes()).hexdigest() if is_python else None
    except OSError:
        return None


def warn_of_changes(folder: Path) -> None:
    """Says which plugins are other than those that the run was trained with."""
    recorded = _recorded(folder)
    for record in recorded.files:
        sha256 = _loaded_as(record)
        if sha256 is not None and sha256 != record["sha256"]:
            names = ", ".join(record["names"])
            log.warning("%s: changed since %s was trained with it (%s)", record["path"], folder, names)
    for record in recorded.packages:
        version = _version(record)
        if version not in (None, record["version"]):
            names, was = ", ".join(record["names"]), record["version"]
            text = "%s: %s is installed, and %s was trained with %s (%s)"
            log.warning(text, record["distribution"], version, folder, was, names)


@dataclass(frozen=True)
class _Recorded:
    files: list[dict[str, Any]]
    packages: list[dict[str, Any]]


def _recorded(folder: Path) -> _Recorded:
    """What a run's record says; it may be a stranger's, so nothing of it is shown that is no plain text."""
    path = folder / PLUGINS_FILE
    if not path.exists():
        return _Recorded([], [])
    return read_record(
        path,
        lambda data: _Recorded(
            [_plain(each, "path", "sha256") for each in data["plugins"]],
            [_plain(each, "distribution", "version") for each in data.get("packages", ())],
        ),
    )


def _plain(record: dict[str, Any], *keys: str) -> dict[str, Any]:
    texts = [*(record[key] for key in keys), *record["names"]]
    if not all(isinstance(text, str) and text.isprintable() and len(text) < 4096 for text in texts):
        raise ValueError("a name or a path in it is no plain text")
    return record


def _names_of(package: Package) -> list[str]:
    """The components that an installed package has registered, as KIND/NAME."""
    return [
        f"{kind.name}/{entry.name}"
        for kind in made_kinds()
        for entry in kind.registered()
        if entry.builder.__module__.partition(".")[0] in package.modules
    ]


def _version(record: dict[str, Any]) -> str | None:
    """The version of a recorded package that is installed, None for none."""
    found = {each.distribution: each.version for each in loaded_packages()}
    return found.get(record["distribution"])


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
