"""Files that are there whole or not at all, whatever kills the process or the machine while they are written.

Everything is written beside its destination, never in the system's temporary folder: a rename is
atomic only within one file system. What a killed process leaves behind is named `.*.tmp` and swept by
the folder's next owner.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TEMPORARY_SUFFIX = ".tmp"


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Replaces a file's content in one move: a reader sees the old text or the new one.

    Raises: OSError as the file system gives it; the old file is then untouched.
    """
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes `path` when the block ends without an error.

    Raises: FileExistsError when `path` is there already: a committed folder is never written again.
    """
    if path.exists():
        raise FileExistsError(f"{path} exists already")
    temporary = path.with_name(f".{path.name}{TEMPORARY_SUFFIX}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()  # not its parents: a removed run folder must not come back half empty
    try:
        yield temporary
        for file in temporary.iterdir():
            sync(file)
        sync(temporary)
        temporary.rename(path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def sweep(folder: Path) -> None:
    """Removes what killed writers left in a folder. Only the folder's owner may call it."""
    for leftover in folder.glob(f".*{TEMPORARY_SUFFIX}"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
