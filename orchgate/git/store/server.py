"""A remote as a server that keeps contents: asked through git, given up when it is silent, quoted when it refuses."""

from __future__ import annotations

import os
import re

from orchgate.errors import GitError, quoted
from orchgate.git.call import failed, setting
from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING, Enum

if TYPE_CHECKING:
    from orchgate.git.store.contents import Quarantine, RefLayout
    from orchgate.lib.process import Completed


ASKING_SECONDS = 60.0  # of silence, while a server is asked what it has
CARRYING_SECONDS = 300.0  # of silence, while contents travel: a server's hooks may look at each of them
_LINES = 20  # of what a server says
_LINE = 300  # characters of each
_NO = "ORCHGATE_NO"  # the variable of a setting that is off
# How a server says that the reference is not, or not any more, what it was, or that somebody else is at it.
_BUSY = (
    "stale info",
    "fetch first",
    "cannot lock ref",
    "incorrect old value",
    "already exists",
    "failed to update ref",
)
# No hooks (ours would judge this push, too), no questions about signing, tags or submodules.
_PUSH = ("push", "--porcelain", "--progress", "--no-verify", "--no-follow-tags", "--no-signed")
# No reference is written here, whatever the settings say, and nothing is tidied up.
_FETCH = (
    "fetch",
    "--progress",
    "--no-tags",
    "--no-prune",
    "--no-prune-tags",
    "--refmap=",
    "--no-write-fetch-head",
    "--no-write-commit-graph",
    "--no-recurse-submodules",
    "--no-filter",
)
_PROGRESS = re.compile(
    r"(remote: *)?(\d+%|[A-Z][\w ]*:? +\d+% |Enumerating |Counting |Compressing |Receiving |Resolving |Writing "
    r"|Total \d|Delta compression |Unpacking )|(From|To) |error: failed to push some refs|remote: *$"
)


class ServerRefused(GitError):
    """A server that did not do what it was asked. `messages` are its own words, one line each, as they came."""

    def __init__(self, message: str, hint: str, messages: tuple[str, ...]) -> None:
        super().__init__(message, hint)
        self.messages = messages


class PushAnswer(Enum):
    TAKEN = "taken"
    LOST = "lost"  # somebody else was faster
    BUSY = "busy"  # it is what we expect, and could not be changed


class Server:
    """One remote, by its name or address. `messages` are those that it sent for people so far."""

    def __init__(
        self,
        layout: RefLayout,
        quarantine: Quarantine,
        remote: str,
        shown: str,
        *,
        configured: bool,
        patience: float | None,
    ) -> None:
        self._ref = layout.ref
        self._quarantine = quarantine
        self._remote = remote
        self.name = shown
        self._options: tuple[str, ...] = ()
        if configured:  # `remote.<name>.mirror` takes no reference from anybody; the name may hold "="
            self._options = setting(f"remote.{remote}.mirror", "false", _NO)
            quarantine.net.env[_NO] = "false"
        self._patience = patience
        self.messages: list[str] = []
        self.reason = ""

    def head(self) -> str | None:
        """The object its reference names. Raises GitError."""
        completed = self._call(("ls-remote", "--end-of-options", self._remote, self._ref), ASKING_SECONDS)
        if completed.code != 0:
            raise self._unreachable(completed)
        lines = (line.split("\t") for line in os.fsdecode(completed.stdout).splitlines())
        # It also lists whatever ends like this, such as refs/heads/refs/orchgate/evidence.
        return next((fields[0] for fields in lines if fields[1:] == [self._ref]), None)

    def bring(self) -> None:
        """Brings what its reference names, aside. Raises GitError."""
        completed = self._call((*_FETCH, "--end-of-options", self._remote, self._ref), CARRYING_SECONDS)
        if completed.code != 0:
            raise self._unreachable(completed)

    def send(self, commit: str, expected: str | None) -> PushAnswer:
        """Lets its reference go from what we expect to a commit. Raises GitError, Refused."""
        lease = f"--force-with-lease={self._ref}:{expected or ''}"
        argv = (*_PUSH, "--recurse-submodules=no", lease, "--end-of-options", self._remote, f"{commit}:{self._ref}")
        completed = self._call(argv, CARRYING_SECONDS)
        self.messages = list(words(completed.stderr))
        if completed.code == 0:
            return PushAnswer.TAKEN
        refusal = next((line for line in os.fsdecode(completed.stdout).splitlines() if line.startswith("!")), "")
        self.reason = refusal.rpartition("\t")[2]
        if not refusal:
            raise self._unreachable(completed)
        there = self.head()
        if there == commit:
            return PushAnswer.TAKEN
        if there != expected:
            return PushAnswer.LOST
        if any(word in refusal for word in _BUSY):
            return PushAnswer.BUSY
        raise self.refused()

    def refused(self) -> ServerRefused:
        """The error of the last push that was not taken."""
        hint = "let the server accept refs/orchgate/*, or name another remote"
        return ServerRefused(f"{self.name} refuses {self._ref}: {self.reason}", hint, tuple(self.messages))

    def _call(self, argv: tuple[str, ...], patience: float) -> Completed:
        waited = patience if self._patience is None else self._patience
        completed = self._quarantine.net.attended(*self._options, *argv, patience=waited)
        if not completed.timed_out:
            return completed
        doing = {"ls-remote": "asked what it has", "fetch": "sending it"}.get(argv[0], "taking it")
        command = f"git ls-remote -- {quoted(self._remote)}"
        hint = f"--timeout {2 * waited:g} waits longer; {command} shows whether it answers"
        message = f"{self.name}: nothing was heard for {waited:g} s, {doing}"
        raise ServerRefused(message, hint, words(completed.stderr))

    def _unreachable(self, completed: Completed) -> ServerRefused:
        if completed.code < 0:
            return ServerRefused(f"{self.name}: git was ended by signal {-completed.code}", "run it again", ())
        error = failed((), completed.stderr)
        hint = f"git ls-remote -- {quoted(self._remote)}"
        if "No space left" in error.message or "quota" in error.message:
            hint = "make room (df -h shows where), then run it again"
        return ServerRefused(f"{self.name}: {error.message.removeprefix('git : ')}", hint, words(completed.stderr))


def words(stderr: bytes) -> tuple[str, ...]:
    """What a server, or git about it, says to people: without progress, the last lines, cut to a readable length."""
    lines = (line.rstrip() for line in re.split("[\r\n]", os.fsdecode(stderr)))
    messages = [line for line in lines if line and not _PROGRESS.match(line)]
    return tuple(clip(line, _LINE + 1) for line in messages[-_LINES:])
