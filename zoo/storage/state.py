"""Where this project keeps what a user has decided, outside of every project and run: their own state folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def state_folder() -> Path:
    """$XDG_STATE_HOME/zoo, or ~/.local/state/zoo where that is unset or relative; it need not exist.

    A relative one would lie in whatever folder a command is called from, which may be a stranger's.
    """
    given = os.environ.get("XDG_STATE_HOME", "")
    home = Path(given) if os.path.isabs(given) else Path.home() / ".local" / "state"
    return home / "zoo"


def is_own(path: Path) -> bool:
    """Whether a file, or a folder, is this user's, and nobody else may write to it."""
    if not hasattr(os, "getuid"):
        return True
    found = path.stat()
    return found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
