"""One at a time: who waits, whom they are told to wait for, and where there are no locks to be had."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orchgate.cli import main
from orchgate.lib import locks
from orchgate.runner.writer import encode_entry
from tests.repo import init

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.repo import Repo

HOLDER = """
import sys
from orchgate.lib import locks

with locks.held(sys.argv[1], "one", "orchgate demo"):
    print("held", flush=True)
    sys.stdin.read()
"""
COUNTER = """
import sys
from orchgate.lib import locks

for _ in range(20):
    with locks.held(sys.argv[1], "one", "orchgate demo"):
        with open(sys.argv[2]) as file:
            number = int(file.read())
        with open(sys.argv[2], "w") as file:
            file.write(str(number + 1))
"""
ENTRY = {
    "entry": 1,
    "run_id": "2026-01-06T09-26-22-129Z-c2f9cb47",
    "pipeline_id": "demo",
    "status": "succeeded",
    "started_at": "2026-01-06T09:26:22.129Z",
    "completed_at": "2026-01-06T09:26:23.129Z",
}


@pytest.fixture
def holder(repo: Repo) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock `one`."""
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(repo.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    yield child
    child.kill()
    child.communicate()


def place(repo: Repo) -> Path:
    return repo.root / ".git/orchgate/locks"


@pytest.mark.slow
def test_whoever_waits_too_long_is_told_for_whom(repo: Repo, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(locks.Busy) as caught, locks.held(str(repo.root), "one", "orchgate demo", patience=0):
        pass

    said = f"is held by pid {holder.pid} on {os.uname().nodename} since "
    assert (said in caught.value.message, caught.value.message.endswith(": orchgate demo")) == (True, True)
    assert (caught.value.exit_code, "run this again" in caught.value.hint) == (3, True)


@pytest.mark.slow
def test_a_name_is_one_lock_and_another_name_is_another(repo: Repo, holder: subprocess.Popen[bytes]) -> None:
    with locks.held(str(repo.root), "two", "orchgate demo", patience=0):
        assert holder.poll() is None


@pytest.mark.slow
def test_a_killed_holder_holds_nothing(repo: Repo, holder: subprocess.Popen[bytes]) -> None:
    holder.kill()
    holder.wait()

    with locks.held(str(repo.root), "one", "orchgate demo"):
        pass

    assert os.listdir(place(repo)) == []


@pytest.mark.slow
@pytest.mark.parametrize("inside", [True, False])
def test_nobody_meets_anybody(tmp_path: Path, inside: bool) -> None:
    made = init(tmp_path / "repo")
    if not inside:  # as where the git folder may not be written to
        (made.root / ".git/orchgate").write_text("theirs")
    (tmp_path / "number").write_text("0")
    argv = [sys.executable, "-c", COUNTER, str(made.root), str(tmp_path / "number")]

    children = [subprocess.Popen(argv) for _ in range(8)]

    assert ([child.wait() for child in children], (tmp_path / "number").read_text()) == ([0] * 8, "160")


def test_a_failure_inside_lets_go(repo: Repo) -> None:
    with pytest.raises(ZeroDivisionError), locks.held(str(repo.root), "one", "orchgate demo"):
        raise ZeroDivisionError

    assert os.listdir(place(repo)) == []


def test_what_a_killed_holder_was_writing_goes(repo: Repo) -> None:
    repo.write(".git/orchgate/writing/.orchgate-0123456789abcdef.tmp", "half")

    with locks.held(str(repo.root), "one", "orchgate demo"):
        pass

    assert os.listdir(repo.root / ".git/orchgate/writing") == []


# File systems without locks

PLAIN = "# Task\n"
VERBS = {
    "new": ("new", "faster-start"),
    "init": ("init", "--native"),
    "pin": ("evidence", "pin"),
    "metrics": ("metrics",),
}


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
@pytest.mark.parametrize("verb", VERBS)
def test_a_file_system_without_locks_is_told(
    repo: Repo, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: str, code: int
) -> None:
    repo.commit(files={"tasks/tasks-0001-demo.md": PLAIN})
    repo.write(".runs/0001-demo/metrics.json", encode_entry(ENTRY) + b"\n")

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    code_ = main(list(VERBS[verb]))
    out, err = capfd.readouterr()

    assert "this file system has no file locks" in out + err
    assert (code_, "internal error" in err) == (0 if verb == "metrics" else 3, False)
    assert [path for path in (repo.root / ".git/orchgate").rglob("*") if path.is_file()] == []
