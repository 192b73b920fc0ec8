"""Small repositories made by real git."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

ORCHGATE = str(Path(sys.executable).with_name("orchgate"))
PRE_COMMIT = str(Path(sys.executable).with_name("pre-commit"))


class Result(NamedTuple):
    code: int
    out: str


class Repo(NamedTuple):
    """One work tree (or bare repository) on disk."""

    root: Path

    def git(self, *args: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
        """Standard output of a git call that must succeed."""
        completed = subprocess.run(
            ["git", *args],
            cwd=self.root,
            input=stdin,
            capture_output=True,
            env={**os.environ, **(env or {})},
            check=False,
        )
        assert completed.returncode == 0, os.fsdecode(completed.stdout + completed.stderr)
        return os.fsdecode(completed.stdout).strip()

    def attempt(self, *argv: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Result:
        """Exit code and all output of a program in the work tree; its standard input is empty."""
        completed = subprocess.run(
            argv,
            cwd=cwd or self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            check=False,
        )
        return Result(completed.returncode, os.fsdecode(completed.stdout))

    def orchgate(self, *args: str, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Result:
        return self.attempt(ORCHGATE, *args, cwd=cwd, env=env)

    def report(self, *args: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON report of `orchgate check`."""
        completed = subprocess.run(
            [ORCHGATE, "check", "--output-format", "json", *args],
            cwd=self.root,
            capture_output=True,
            env={**os.environ, **(env or {})},
            check=False,
        )
        assert completed.stdout, completed.stderr.decode()
        report: dict[str, Any] = json.loads(completed.stdout)
        return report

    def write(self, path: str | bytes, content: str | bytes = "x\n") -> None:
        target = Path(os.fsdecode(os.path.join(os.fsencode(self.root), os.fsencode(path))))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def stage(self, path: str | bytes, content: str | bytes = "x\n") -> None:
        self.write(path, content)
        self.git("add", "--", os.fsdecode(path))

    def commit(self, message: str = "change", files: Mapping[str, str | bytes] | None = None) -> str:
        """Commits what is staged and the given files, past every hook; returns the commit's id."""
        for path, content in (files or {}).items():
            self.stage(path, content)
        self.git("commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


def init(root: Path, *options: str) -> Repo:
    root.mkdir(parents=True)
    made = Repo(root)
    made.git("init", "--quiet", "--template=", "--initial-branch=main", *options)
    return made


def clone(source: Repo, root: Path, *options: str) -> Repo:
    made = Repo(root)
    source.git("clone", "--quiet", "--template=", *options, str(source.root), str(root))
    return made
