"""Files that are there whole or not at all, whatever kills the process or the machine while they are written.

Everything is written beside its destination, never in the system's temporary folder: a rename is
atomic only within one file system. It has a name of its own until then, so that several processes may write the
same file at once, and the last one wins. What a killed process leaves behind is named `.*.tmp` and swept by the
folder's next owner. Permissions are those that the user's umask gives.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import RunError

SPEC_FILE = "spec.yaml"
"""What lies in the folder of a run, of an imported model or of an exported graph: which one it is."""
_SUFFIX = ".tmp"


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Replaces a file's content in one move: a reader sees the old bytes or the new ones.

    Raises: RunError where the file system refuses; the old file is then untouched.
    """
    temporary = _beside(path)
    try:
        try:
            with temporary.open("xb") as file:
                file.write(data)
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def write_text(path: Path, text: str) -> None:
    """Replaces a file's content by a text in UTF-8, as `write_bytes` does. Raises: as that does."""
    write_bytes(path, text.encode())


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Gives an empty folder to fill, which becomes `path` when the block ends without an error.

    Raises: RunError when `path` is there already and not empty: a folder is never written again. OSError as the file
    system gives it; nothing is there then.
    """
    check_free(path)
    temporary = _beside(path)
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


@contextmanager
def export_folder(path: Path) -> Iterator[Path]:
    """A `new_folder` wherever the user wants it: its parents are made.

    Raises: RunError where it exists and is not empty, or cannot be written.
    """
    check_free(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with new_folder(path) as temporary:
            yield temporary
    except RunError:
        raise
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from error


def check_free(folder: Path) -> None:
    """Raises: RunError for a folder that is there already and not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: it exists already; give a folder that does not, or an empty one")


def remove_folder(path: Path) -> None:
    """Removes a folder by way of another name, so that a kill halfway leaves no half under its own.

    Raises: OSError as the file system gives it.
    """
    doomed = _beside(path)
    path.rename(doomed)
    shutil.rmtree(doomed)


def sweep(folder: Path) -> None:
    """Removes what killed writers left in a folder. Only the folder's owner may call it."""
    for leftover in folder.glob(f".*{_SUFFIX}"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _beside(path: Path) -> Path:
    """A hidden name in the same folder that nothing else has."""
    return path.parent / f".{path.name}.{secrets.token_hex(6)}{_SUFFIX}"
