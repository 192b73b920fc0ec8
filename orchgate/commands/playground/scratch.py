"""The throw-away repository of `orchgate try`, and what is done in it."""

from __future__ import annotations

import os
import sys

from orchgate.errors import GitError, quoted
from orchgate.git.call import scrubbed
from orchgate.lib import process
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

BIN = os.path.join(".git", "bin")  # out of the way, and gone with the folder


class Scratch:
    """A fresh repository with an author of its own, so that it works where git was never set up.

    Commands run in it without what ties this process to another repository. `orchgate` on their PATH is this one,
    which need not be on anybody's.
    """

    def __init__(self, root: str, environ: Mapping[str, str], *, columns: int = 80) -> None:
        from git import Repo
        from git.exc import GitCommandError, GitCommandNotFound

        self.root = root
        self.columns = columns
        path = os.path.join(root, BIN) + os.pathsep + environ.get("PATH", os.defpath)
        # What its pushes remember of each other, and the trees that they measure in, go with it.
        state = {
            "XDG_STATE_HOME": os.path.join(root, ".git", "state"),
            "ORCHGATE_TREES": os.path.join(root, ".git", "trees"),
        }
        self.env = {**scrubbed(environ), "GIT_TERMINAL_PROMPT": "0", "PATH": path, "COLUMNS": str(columns), **state}
        try:
            # Without the hooks of anybody's template.
            made = Repo.init(root, initial_branch="main", template="", allow_unsafe_options=True)
            with made as repository, repository.config_writer() as ours:
                ours.set_value("user", "name", "orchgate try")
                ours.set_value("user", "email", "try@orchgate.invalid")
                ours.set_value("commit", "gpgsign", "false")
        except (GitCommandError, GitCommandNotFound) as error:
            raise GitError(
                f"cannot make a repository in {root}: {error}", "orchgate needs git 2.29 or newer"
            ) from error
        if self.run("git", "config", "core.hooksPath").code == 0:  # one for all repositories of this user
            self.run("git", "config", "core.hooksPath", os.path.join(root, ".git", "hooks"))
        script = os.path.join(BIN, "orchgate")
        self.write(script, f'#!/bin/sh\nexec {quoted(sys.executable)} -P -m orchgate "$@"\n')
        os.chmod(os.path.join(root, script), 0o700)

    def write(self, path: str, text: str) -> None:
        """Writes a file of the work tree, parents included."""
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    def append(self, path: str, text: str) -> None:
        with open(os.path.join(self.root, path), "a", encoding="utf-8") as file:
            file.write(text)

    def replace(self, path: str, old: str, new: str) -> None:
        """Puts other words in place of some in a file of the work tree."""
        self.write(path, self.read(path).replace(old, new))

    def read(self, path: str) -> str:
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            return file.read()

    def run(self, *argv: str, cwd: str = "", stdin: bytes = b"") -> process.Completed:
        """Runs a program as its user would, at the top level unless another folder is given."""
        return process.run(argv, cwd=cwd or self.root, env=self.env, input=stdin)

    def on_screen(self, *argv: str, cwd: str = "") -> process.Completed:
        """Runs a program whose output is a terminal, as wide as what is shown of it here."""
        import signal
        import termios

        errors = os.path.join(self.root, ".git", "said")
        ours, theirs = os.openpty()
        try:
            try:
                termios.tcsetwinsize(theirs, (24, self.columns))
                line = ("sh", "-c", 'exec "$@" 2>"$0"', errors, *argv)
                pid = process.spawn(line, cwd=cwd or self.root, env=self.env, output=theirs)
            finally:
                os.close(theirs)
            try:
                printed = b"".join(iter(lambda: _read(ours), b""))
            except KeyboardInterrupt:
                os.killpg(pid, signal.SIGTERM)
                raise
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            os.close(ours)
        with open(errors, "rb") as file:
            return process.Completed(code, printed.replace(b"\r\n", b"\n"), file.read())

    def history(self) -> tuple[tuple[str, str], ...]:
        """Abbreviated id and subject of every commit on the current branch, newest first."""
        from git import Repo

        # Asked of git itself: GitPython reads neither SHA-256 nor references of other kinds than files.
        with Repo(self.root) as repository:
            listed = str(repository.git.log("--format=%h %s", "--abbrev=7"))
        return tuple((oid, subject) for oid, _, subject in (line.partition(" ") for line in listed.splitlines()))


def _read(terminal: int) -> bytes:
    """What was printed next; nothing once the last program has closed its side, which Linux calls an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
