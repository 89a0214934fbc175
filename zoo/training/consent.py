"""Whether a plugin that a run's record names may be run: nobody but the user decides that, see zoo/cli/consent.py."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Asked:
    """A file that a run folder says it was trained with."""

    run: Path
    path: Path
    """The file, every link in its path followed."""
    sha256: str
    """Of what it holds now."""
    recorded: str
    """Of what it held then."""


class Consent(Protocol):
    """Says whether a file of this content may be run."""

    def __call__(self, asked: Asked, /) -> bool: ...


def nobody(asked: Asked, /) -> bool:
    """The consent of a program, which has none to give."""
    return False


CONSENT: ContextVar[Consent] = ContextVar("CONSENT", default=nobody)
"""What is asked here and now."""
