"""git's lines to a pre-push hook, in a repository in which one of the pushed commits must not pass."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fuzz.violation import Violation
from orchgate import cli
from tests.repo import init

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
            code = _hook(str(repo.root), stdin)
            if code not in allowed:
                raise Violation(f"exit {code}, expected one of {allowed}")

    return one


def _hook(root: str, stdin: bytes) -> int:
    told = io.StringIO()
    with _standing_in(root), _fed(stdin), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        return cli.main(["hook", "pre-push", "origin", "nowhere"])


@contextlib.contextmanager
def _standing_in(root: str) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def _fed(data: bytes) -> Iterator[None]:
    """Standard input is a pipe that holds the data, as from git."""
    before, (out, into) = sys.stdin, os.pipe()
    os.write(into, data[:60_000])
    os.close(into)
    try:
        with open(out, encoding="utf-8") as stream:
            sys.stdin = stream
            yield
    finally:
        sys.stdin = before
