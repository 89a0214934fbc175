"""The kinds and parts of this project alone: test modules, which a process imports as one, add some of their own."""

from pathlib import Path

import zoo
from registry import Kind
from zoo.cli.arguments import kinds

HOME = Path(zoo.__file__).parent


def our_kinds() -> dict[str, Kind]:
    """By their names."""
    return {kind.name: kind for kind in kinds(None) if Path(kind.where).is_relative_to(HOME)}


def our_parts(kind: Kind) -> list[str]:
    """The names registered for a kind by this project's own files, sorted."""
    return [
        name for name in kind.names() if Path(kind.entry(name).where.rpartition(":")[0]).is_relative_to(HOME)
    ]
