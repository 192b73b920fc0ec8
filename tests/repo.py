"""Small repositories made by real git."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tests import serving

if TYPE_CHECKING:
    from collections.abc import Mapping

ORCHGATE = str(Path(sys.executable).with_name("orchgate"))
PRE_COMMIT = str(Path(sys.executable).with_name("pre-commit"))


SETTINGS = ("GIT_CONFIG", "GIT_DEFAULT", "GIT_DIR", "GIT_TEMPLATE", "HOME", "XDG_CONFIG_HOME")  # what `git init` reads
_EMPTY: dict[tuple[object, ...], str] = {}


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
        """As `attempt`, of our own program: it need not start Python first, unless Python's environment is another."""
        ended = _ended(args, str(cwd or self.root), {**os.environ, **(env or {})}, together=True)
        return Result(ended.code, os.fsdecode(ended.out))

    def report(self, *args: str, env: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The JSON report of `orchgate check`."""
        argv = ("check", "--output-format", "json", *args)
        ended = _ended(argv, str(self.root), {**os.environ, **(env or {})}, together=False)
        assert ended.out, ended.err.decode()
        report: dict[str, Any] = json.loads(ended.out)
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
        given = files or {}
        for path, content in given.items():
            if path.endswith(".gitattributes"):  # decides how the ones after it are read
                self.stage(path, content)
            else:
                self.write(path, content)
        if given:
            self.git("add", "--force", "--", *given)
        self.git("commit", "--quiet", "--no-verify", "--allow-empty", "-m", message)
        return self._head()

    def _head(self) -> str:
        """The id of the commit that is checked out; most repositories say it without a process."""
        try:
            name = (self.root / ".git/HEAD").read_text().removeprefix("ref: ").strip()
            found = (self.root / ".git" / name).read_text().strip() if name.startswith("refs/") else name
        except OSError:
            found = ""
        return found if found and "GIT_DIR" not in os.environ else self.git("rev-parse", "HEAD")


def _ended(args: tuple[str, ...], cwd: str, env: Mapping[str, str], *, together: bool) -> serving.Ended:
    if serving.fits(env):
        return serving.call(args, cwd, env, together=together)
    completed = subprocess.run(
        [ORCHGATE, *args],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if together else subprocess.PIPE,
        env=env,
        check=False,
    )
    return serving.Ended(completed.returncode, completed.stdout, completed.stderr or b"")


def init(root: Path, *options: str) -> Repo:
    """An empty repository: a copy of one that git made with the same options and settings."""
    settings = ((name, value) for name, value in os.environ.items() if name.startswith(SETTINGS))
    key = (options, *sorted(settings))
    if key not in _EMPTY:
        _EMPTY[key] = tempfile.mkdtemp()
        atexit.register(shutil.rmtree, _EMPTY[key], ignore_errors=True)
        Repo(Path(_EMPTY[key])).git("init", "--quiet", "--template=", "--initial-branch=main", *options, "empty")
    shutil.copytree(os.path.join(_EMPTY[key], "empty"), root)
    return Repo(root)


def clone(source: Repo, root: Path, *options: str) -> Repo:
    made = Repo(root)
    source.git("clone", "--quiet", "--template=", *options, str(source.root), str(root))
    return made
