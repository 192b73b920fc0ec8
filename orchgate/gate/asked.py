"""What a judgement asks of things that no object id settles, and the answers it got.

An outcome may be kept for the next time where everything it rests on is in its key, or was asked here: then it holds as
long as the same questions have the same answers. So checks whose outcomes are kept do not get the context, but
`WatchedContext`: it gives what the key settles, notes what is asked of the disk and of the day, and where a check takes
anything else from it, the outcome is lost for keeping. Nothing has to be remembered by whoever writes a check.
"""

from __future__ import annotations

import json
import os
import stat
import time

from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.references.artifacts import Artifacts

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.evidence.lock import Lock
    from orchgate.gate.context import Context
    from orchgate.references.artifacts import Pins

    Answers = Mapping[str, Mapping[str, bool | str]]

# Of a context: what a kept outcome's key settles (see `gate.outcomes`), and what follows from nothing else.
SETTLED = (
    "accepted",
    "unread",
    "layout",
    "named",
    "as_finished",
    "touched",
    "touched_set",
    "packets",
    "lock",
    "limits",
)
# How far the clock that stamps files may be behind, in ns: that of some file systems ticks every two seconds. A file
# that was written less long before it was looked at may be written again, and look the same.
RACY = 2_500_000_000
_OF_DISK = frozenset(("on_disk", "inside", "is_named", "linked_at", "within", "leads_out"))


class Asked:
    """The questions of one judgement with their answers; `lost` says why its outcome is not kept, "" otherwise."""

    def __init__(self, root: str, roots: tuple[str, ...], today: datetime.date) -> None:
        self.answers: dict[str, dict[str, bool | str]] = {}
        self.lost = ""
        self.noting: set[str] | None = None
        self._disk = Artifacts(root, roots)
        self._today = today.isoformat()
        self._began = time.time_ns()
        self._folders: dict[str, str] = {}

    @property
    def root(self) -> str:
        return self._disk.root

    def full(self, path: str) -> str:
        return self._disk.full(path)

    def lose(self, why: str) -> None:
        self.lost = self.lost or why

    def yes(self, kind: str, about: str) -> bool:
        """The answer to a question of yes or no."""
        return bool(self._ask(kind, about))

    def text(self, kind: str, about: str = "") -> str:
        return str(self._ask(kind, about))

    def names(self, kind: str, about: str) -> tuple[str, ...]:
        return tuple(self._ask(kind, about))

    def _ask(self, kind: str, about: str) -> Any:
        answer = self._answer(kind, about)
        if self.answers.setdefault(kind, {}).setdefault(about, _compact(answer)) != _compact(answer):
            self.lose("changed meanwhile")  # something rests on the one answer, and something on the other
        if self.noting is not None:
            self.noting.add(name_of(kind, about))
        return answer

    def _answer(self, kind: str, about: str) -> Any:
        match kind:
            case "day":
                return self._today
            case "around":
                return self._around(about)
            case "plain":
                return self._plain(about)
            case "found":
                return tuple(self._disk.found(about))
            case "matching":
                return next(self._disk.found(about), None) is not None
        if kind not in _OF_DISK:
            raise ValueError(kind)
        return getattr(self._disk, kind)(about)

    def still(self, answers: Answers) -> bool:
        """Whether the same questions have these answers now."""
        return next(self.changed(answers), None) is None

    def changed(self, answers: Answers) -> Iterator[tuple[str, str]]:
        """The questions that have other answers now."""
        for kind, all_of_kind in answers.items():
            for about, answer in all_of_kind.items():
                if _compact(self._answer(kind, about)) != answer:
                    yield kind, about

    def join(self, other: Answers, lost: str) -> None:
        """Adds what another process asked for the same outcome, and why that is lost."""
        self.lose(lost)
        for kind, answers in other.items():
            mine = self.answers.setdefault(kind, {})
            if any(mine.get(about, answer) != answer for about, answer in answers.items()):
                self.lose("changed meanwhile")
            mine.update(answers)

    def _plain(self, folder: str) -> str:
        try:
            return "plain" if self._disk.is_plain(folder) else "linked"
        except OSError:
            return "gone"

    def _around(self, path: str) -> str:
        """What is at a path and beside it: whoever gets the path may read there."""
        folder = os.path.dirname(self._disk.full(path))
        if folder not in self._folders:
            self._folders[folder] = sha256_hex("\n".join(self._identities(folder)).encode("utf-8", "surrogateescape"))
        return self._folders[folder]

    def _identities(self, folder: str) -> Iterator[str]:
        yield os.path.realpath(folder)
        try:
            with os.scandir(folder) as entries:
                found = sorted((entry.name, entry) for entry in entries)
        except (OSError, ValueError) as error:
            yield type(error).__name__
            return
        for name, entry in found:
            status = entry.stat(follow_symlinks=False)
            yield f"{json.dumps(name)} {self._identity(status)}"
            if stat.S_ISLNK(status.st_mode):
                yield os.path.realpath(entry.path)
                try:
                    yield self._identity(entry.stat())
                except OSError as error:
                    yield type(error).__name__

    def _identity(self, status: os.stat_result) -> str:
        """What changes with a file's content, as git has it; and with who may read it."""
        if max(status.st_mtime_ns, status.st_ctime_ns) > self._began - RACY:
            self.lose("a file was written just now")
        whose = f"{status.st_mode} {status.st_uid} {status.st_gid} {status.st_dev} {status.st_ino}"
        return f"{whose} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def name_of(kind: str, about: str) -> str:
    """What a question is called among the names that a part rests on."""
    return f"\0{kind} {about}"


def _compact(answer: object) -> bool | str:
    """An answer as it is kept."""
    if isinstance(answer, bool | str):
        return answer
    return sha256_hex(json.dumps(answer).encode())


class WatchedArtifacts(Artifacts):
    """Artifacts whose every answer is noted."""

    def __init__(self, asked: Asked, roots: tuple[str, ...], pins: Pins | None = None) -> None:
        super().__init__("", roots, pins)
        self._asked = asked

    @property
    def root(self) -> str:
        self._asked.lose("the root of the work tree was asked for")
        return self._asked.root

    def on_disk(self, path: str) -> bool:
        return self._asked.yes("on_disk", path)

    def inside(self, real: str) -> bool:
        return self._asked.yes("inside", real)

    def full(self, path: str) -> str:
        self._asked.text("around", path)
        return self._asked.full(path)

    def is_named(self, path: str) -> bool:
        return self._asked.yes("is_named", path)

    def is_plain(self, folder: str) -> bool:
        # Not by what is beside each folder on the way: the top of the work tree changes with every commit.
        found = self._asked.text("plain", folder)
        if found == "gone":
            raise FileNotFoundError(folder)
        return found == "plain"

    def linked_at(self, path: str) -> str:
        return self._asked.text("linked_at", path)

    def within(self, real: str) -> str:
        return self._asked.text("within", real)

    def leads_out(self, path: str) -> bool:
        return self._asked.yes("leads_out", path)

    def found(self, pattern: str) -> Iterator[str]:
        return iter(self._asked.names("found", pattern))

    def matching(self, pattern: str) -> bool:
        return self.owns(pattern) and (self._matches_pin(pattern) or self._asked.yes("matching", pattern))


class WatchedContext:
    """What a check gets whose outcome is kept."""

    def __init__(self, ctx: Context, asked: Asked) -> None:
        self._ctx = ctx
        self._asked = asked
        # Settled, too, and asked for at every turn.
        self.config, self.proposed, self.scope, self.share = ctx.config, ctx.proposed, ctx.scope, ctx.share
        self.parts = ctx.parts
        self.snapshot, self.base, self.documents = ctx.snapshot, ctx.base, ctx.documents
        self.artifacts = WatchedArtifacts(asked, ctx.config.evidence.roots)

    @property
    def today(self) -> datetime.date:
        self._asked.text("day")
        return self._ctx.today

    def noting(self, names: set[str]) -> None:
        self._asked.noting = names

    def artifacts_with(self, lock: Lock) -> Artifacts:
        return WatchedArtifacts(self._asked, self.artifacts.roots, lock)

    def __getattr__(self, name: str) -> object:
        if name not in SETTLED:
            self._asked.lose(f"{name} was asked for")
        return getattr(self._ctx, name)
