"""One process at a time owns a data directory."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from purvey.server.kit.directory_lock import DirectoryInUse, DirectoryLock, waiting_turn

HOLDER = """
import sys
from pathlib import Path
from purvey.server.kit.directory_lock import DirectoryLock
with DirectoryLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    """Start a process that holds the directory, and return when it does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_is_told_the_directory_and_the_process(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path), pytest.raises(DirectoryInUse) as refused, DirectoryLock(tmp_path):
        pass
    assert refused.value.data_dir == tmp_path
    assert refused.value.pid == os.getpid()
    assert str(tmp_path) in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)


def test_the_directory_is_free_again_after_a_release(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    with lock:
        pass
    lock.release()
    with DirectoryLock(tmp_path):
        pass


def test_a_missing_directory_is_made_for_its_owner_only(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path / "shop" / "data"):
        assert (tmp_path / "shop" / "data").stat().st_mode & 0o777 == 0o700


def test_the_lock_keeps_other_processes_out_and_dies_with_its_holder(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(DirectoryInUse, match=f"process {process.pid}:"):
            DirectoryLock(tmp_path).acquire()
        process.kill()
        process.wait()
    with DirectoryLock(tmp_path):
        pass


def test_a_holder_that_has_not_signed_yet_is_called_another_process(tmp_path: Path) -> None:
    with DirectoryLock(tmp_path):
        (tmp_path / "serve.lock").write_text("")
        with pytest.raises(DirectoryInUse, match="by another process"):
            DirectoryLock(tmp_path).acquire()


def test_turns_on_one_file_never_overlap(tmp_path: Path) -> None:
    with (tmp_path / "turn").open("w") as another:
        with waiting_turn(tmp_path / "turn"), pytest.raises(BlockingIOError):
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_whoever_waits_for_a_turn_gets_it_when_the_other_is_done(tmp_path: Path) -> None:
    waiting = threading.Event()
    order: list[str] = []

    def wait_for_turn() -> None:
        waiting.set()
        with waiting_turn(tmp_path / "turn"):
            order.append("second")

    second = threading.Thread(target=wait_for_turn)
    with waiting_turn(tmp_path / "turn"):
        second.start()
        waiting.wait()
        order.append("first")
    second.join()
    assert order == ["first", "second"]
