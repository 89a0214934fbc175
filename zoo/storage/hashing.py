"""SHA-256, as hexadecimal digits."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def sha256(data: bytes) -> str:
    """Of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_of_text(text: str) -> str:
    """Of a text in UTF-8."""
    return sha256(text.encode())


def sha256_of_json(data: Any) -> str:
    """Of what JSON can say, whatever the order of its keys."""
    return sha256_of_text(json.dumps(data, sort_keys=True))


def sha256_of_file(path: Path) -> str:
    """Of a file's bytes, as they are on disk. Raises: OSError as the file system gives it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
