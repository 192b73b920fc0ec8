"""Programs that are killed at each system call of theirs that changes what is on disk, one after the other."""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.repo import Repo

# Not all of them are known on every architecture: strace passes over those after a question mark.
STEPS = (
    *("mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
    *("write", "pwrite64", "ftruncate", "fsync", "fdatasync", "fchmod", "chmod", "fchown", "flock"),
)


def _traces() -> bool:
    if not shutil.which("strace"):
        return False
    tried = subprocess.run(
        ["strace", "-o", os.devnull, "-e", "inject=?mkdir:signal=KILL:when=1", "true"], capture_output=True, check=False
    )
    return tried.returncode == 0


# Each step where somebody asked for many kills, by `ORCHGATE_KILLS=1000`; else some of them: the suite has to end.
EVERY = 1 if int(os.environ.get("ORCHGATE_KILLS", "0")) >= 1000 else 25

TRACED = pytest.mark.skipif(not _traces(), reason="strace is not here, or may not trace")


def _traced(repo: Repo, argv: tuple[str, ...], *options: str) -> int:
    return subprocess.run(
        ["strace", *options, *argv],
        cwd=repo.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode


def _steps(repo: Repo, argv: tuple[str, ...]) -> list[tuple[str, int]]:
    """Each step of a program that runs to its end, as the system call and which of its kind it is."""
    with tempfile.NamedTemporaryFile() as log:
        code = _traced(repo, argv, "-o", log.name, "-e", f"trace={','.join('?' + name for name in STEPS)}")
        assert code == 0, f"{argv} ends with {code}"
        calls = re.findall(r"^(\w+)\(", log.read().decode(errors="replace"), re.MULTILINE)
    seen: collections.Counter[str] = collections.Counter()
    found = []
    for name in calls:
        seen[name] += 1
        found.append((name, seen[name]))
    return found


def killed_at_each_step(*argv: str, every: int = EVERY) -> Iterator[Callable[[Repo], None]]:
    """Runs of a program in a repository: one to its end, then one for each of its steps, killed there.

    Children of the program are left alone.
    """
    found: list[tuple[str, int]] = []

    def whole(repo: Repo) -> None:
        found.extend(_steps(repo, argv))

    yield whole
    assert found
    for name, number in found[::every]:

        def killed(repo: Repo, name: str = name, number: int = number) -> None:
            code = _traced(repo, argv, "-o", os.devnull, "-e", f"inject={name}:signal=KILL:when={number}")
            assert code in {-9, 137}, f"{argv} ends with {code} before its {name} {number}"

        yield killed
