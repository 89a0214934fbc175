"""Presets that installed packages ship: folders of YAML files, announced as components are, by an entry point."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path

from presets.errors import PresetError

ENTRY_POINT_GROUP = "zoo.presets"
"""The group whose values name a folder of YAML files within a package, as `my_package.presets`."""


@cache
def packaged() -> dict[str, Path]:
    """Each shipped preset's file, by its name. No package is imported for it.

    Raises: PresetError for a folder that is not there, and for a name that two packages give.
    """
    found: dict[str, Path] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        for file in sorted(_folder(point).glob("*.yaml")):
            if file.stem in found:
                raise PresetError(
                    f"the preset '{file.stem}' of {_owner(point)} is already shipped as {found[file.stem]}; "
                    "uninstall one of the packages"
                )
            found[file.stem] = file
    return found


def _folder(point: EntryPoint) -> Path:
    top, *below = point.value.split(".")
    for home in _homes(top):
        folder = home.joinpath(*below)
        if folder.is_dir():
            return folder
    raise PresetError(
        f"the presets {point.value!r} of {_owner(point)}: there is no such folder in an installed package; "
        "mend or uninstall that package"
    )


def _homes(package: str) -> Iterator[Path]:
    try:
        found = find_spec(package)
    except (ImportError, ValueError):
        return
    yield from map(Path, (found.submodule_search_locations or ()) if found else ())


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unnamed package"
