"""One owner per run folder."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.errors import RunError

LOCK_FILE = ".lock"

_held: set[int] = set()


def _release_in_child() -> None:
    # A data-loading process would hold its killed parent's lock for as long as it outlives it.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_release_in_child)


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Holds the folder's lock for the length of the block.

    The kernel releases it when the process dies, however it dies, so there is no stale lock to clear.
    Raises: RunError when another process, or another block of this one, holds it.
    """
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f"{folder}: cannot write here: {error.strerror}") from error
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.read(descriptor, 200).decode(errors="replace").strip() or "another process"
            raise RunError(f"{folder}: in use by {owner}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        if descriptor in _held:  # not in a child, where it is closed already
            _held.remove(descriptor)
            os.close(descriptor)


def is_owned(folder: Path) -> bool:
    """Whether a process holds a folder's lock at the moment."""
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"{folder}: cannot write here: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
