"""The kinds of this project alone: test modules, which a process imports as one, make some of their own."""

from pathlib import Path

import zoo
from registry import Kind
from zoo.cli.arguments import kinds

HOME = Path(zoo.__file__).parent


def our_kinds() -> dict[str, Kind]:
    """By their names."""
    return {kind.name: kind for kind in kinds(None) if Path(kind.where).is_relative_to(HOME)}
