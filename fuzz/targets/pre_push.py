"""git's lines to a pre-push hook, in a repository in which one of the pushed commits must not pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.calling import called
from fuzz.violation import Violation
from tests.repo import init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SMOKE = 12  # inputs of the quick test: each judges a commit or more
ZERO = "0" * 40
# In place of ids, which differ from machine to machine: what the words stand for is put in before use.
GOOD, BAD = b"GOOD", b"BAD"


def seeds() -> Iterable[bytes]:
    yield b"refs/heads/a GOOD refs/heads/a %s\n" % ZERO.encode()
    yield b"refs/heads/a GOOD refs/heads/a GOOD\nrefs/tags/v1 GOOD refs/tags/v1 %s\n" % ZERO.encode()
    yield b"(delete) %s refs/heads/a GOOD\n" % ZERO.encode()
    yield b"refs/notes/x BAD refs/notes/x %s\nHEAD GOOD refs/for/main BAD\n" % ZERO.encode()
    yield b""


def prepare(folder: str) -> Callable[[bytes], None]:
    repo = init(Path(folder, "repo"))
    base = repo.commit("base", {"orchgate.toml": "[diff-budget]\nmax-lines = 10\n", "a.txt": "a\n"})
    repo.git("update-ref", "refs/remotes/origin/main", base)
    repo.git("remote", "add", "origin", "nowhere")
    good = repo.commit("good", {"a.txt": "b\n"}).encode()
    bad = repo.commit("bad", {"a.txt": "b\n" * 50}).encode()
    planted = b"refs/heads/b %s refs/heads/b %s\n" % (bad, ZERO.encode())

    def one(data: bytes) -> None:
        lines = data.replace(GOOD, good).replace(BAD, bad)
        for stdin, allowed in ((lines, (0, 1, 2, 3)), (planted + lines, (1, 2, 3))):
            code, told = called(str(repo.root), ["hook", "pre-push", "origin", "nowhere"], stdin)
            if code not in allowed:
                raise Violation(f"exit {code}, expected one of {allowed}: {told[-400:]}")

    return one
