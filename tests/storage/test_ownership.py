from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.errors import RunError
from zoo.storage.ownership import owned

HOLDER = """
import sys, time
from pathlib import Path
from zoo.storage.ownership import owned
with owned(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with (
        owned(tmp_path),
        pytest.raises(RunError, match=f"in use by process {os.getpid()} on "),
        owned(tmp_path),
    ):
        pass
    with owned(tmp_path):
        pass


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"in use by process {holder.pid} on "), owned(tmp_path):
            pass
        holder.kill()
        holder.wait()
    with owned(tmp_path):
        pass


def test_a_child_that_outlives_its_parent_does_not_hold_the_lock(tmp_path: Path) -> None:
    there, here = os.pipe()
    with owned(tmp_path):
        child = os.fork()
        if child == 0:
            os.write(here, b"running")
            time.sleep(60)
            os._exit(0)
    try:
        assert os.read(there, 7) == b"running"
        with owned(tmp_path):
            pass
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write here"), owned(tmp_path / "none"):
        pass
