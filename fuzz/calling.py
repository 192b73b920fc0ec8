"""The command line without a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

from orchgate import cli

if TYPE_CHECKING:
    from collections.abc import Iterator


def called(root: str, argv: list[str], stdin: bytes = b"") -> tuple[int, str]:
    """Exit code and all output of a command in a folder."""
    told = io.StringIO()
    with _standing_in(root), _fed(stdin), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        return cli.main(argv), told.getvalue()


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
