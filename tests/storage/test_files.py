from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from zoo.errors import RunError
from zoo.storage import files
from zoo.storage.files import export_folder, new_folder, remove_folder, sweep, write_bytes, write_text


def test_a_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "ü\r\n\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xbc\r\n\n"


def test_the_content_is_on_the_disk_before_its_name_and_the_name_before_the_return(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync", lambda path: seen.append((path.name, (tmp_path / "a").exists())))
    write_bytes(tmp_path / "a", b"x")
    (content, was_there), entry = seen
    assert content.startswith(".a.")
    assert not was_there
    assert entry == (tmp_path.name, True)


def test_a_file_system_that_refuses_leaves_the_old_file_and_nothing_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes(tmp_path / "a", b"old")

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(RunError, match=r"/a: cannot be written: No space left on device$"):
        write_bytes(tmp_path / "a", b"new")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_several_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    texts = [bytes([i]) * 10_000 for i in range(8)]
    failures: list[BaseException] = []

    def write(data: bytes) -> None:
        try:
            for _ in range(20):
                write_bytes(tmp_path / "a", data)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(data,)) for data in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [path.read_bytes() in texts for path in tmp_path.iterdir()] == [True]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_bytes(tmp_path / "a", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_a_folder_appears_at_the_end_and_not_at_all_after_an_error(tmp_path: Path) -> None:
    with new_folder(tmp_path / "good") as inner:
        (inner / "a").write_bytes(b"x")
        assert not (tmp_path / "good").exists()
    assert (tmp_path / "good" / "a").read_bytes() == b"x"
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "bad") as inner:
        (inner / "a" / "b").write_bytes(b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["good"]


def test_only_an_exported_folder_gets_its_parents(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), new_folder(tmp_path / "a" / "b"):
        pass
    assert not (tmp_path / "a").exists()
    with export_folder(tmp_path / "a" / "b") as inner:
        (inner / "c").touch()
    assert (tmp_path / "a" / "b" / "c").exists()
    with (
        pytest.raises(RunError, match=r"/b: it exists already; give a folder that does not, or an empty one"),
        export_folder(tmp_path / "a" / "b"),
    ):
        pass


def test_a_folder_is_removed_by_way_of_a_name_that_is_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    monkeypatch.setattr(files.shutil, "rmtree", lambda path: None)  # a kill just before it
    remove_folder(tmp_path / "a")
    monkeypatch.undo()
    assert not (tmp_path / "a").exists()
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []
