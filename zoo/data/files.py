"""Files written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces a file in one move; several processes may do so at once, the last one wins.

    Raises: OSError as the file system gives it; the old file is then untouched.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's own is for nobody else to read
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
