"""Throw-away repositories for `orchgate try`, made with GitPython: nothing here is on the commit path."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orchgate.errors import GitError
from orchgate.git.call import scrubbed
from orchgate.lib import process

if TYPE_CHECKING:
    from collections.abc import Mapping


class Scratch:
    """A fresh repository with an author of its own, so that it works where git was never set up.

    Commands run in it without what ties this process to another repository.
    """

    def __init__(self, root: str, environ: Mapping[str, str]) -> None:
        from git import Repo
        from git.exc import GitCommandError, GitCommandNotFound

        self.root = root
        # What its pushes remember of each other goes with it.
        state = {"XDG_STATE_HOME": os.path.join(root, ".git", "state")}
        self.env = {**scrubbed(environ), "GIT_TERMINAL_PROMPT": "0", **state}
        try:
            with Repo.init(root, initial_branch="main") as repository, repository.config_writer() as settings:
                settings.set_value("user", "name", "orchgate try")
                settings.set_value("user", "email", "try@orchgate.invalid")
                settings.set_value("commit", "gpgsign", "false")
        except (GitCommandError, GitCommandNotFound) as error:
            raise GitError(
                f"cannot make a repository in {root}: {error}", "orchgate needs git 2.29 or newer"
            ) from error

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

    def run(self, *argv: str, cwd: str = "") -> process.Completed:
        """Runs a program as its user would, at the top level unless another folder is given."""
        return process.run(argv, cwd=cwd or self.root, env=self.env)

    def history(self) -> tuple[tuple[str, str], ...]:
        """Abbreviated id and subject of every commit on the current branch, newest first."""
        from git import Repo

        # Asked of git itself: GitPython reads neither SHA-256 nor references of other kinds than files.
        with Repo(self.root) as repository:
            listed = str(repository.git.log("--format=%h %s", "--abbrev=7"))
        return tuple((oid, subject) for oid, _, subject in (line.partition(" ") for line in listed.splitlines()))
