"""Whose documents are meant where nobody says: the change's, the branch's, a trailer's, or the only task's in work."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.packets.progress import in_work, named_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.commands.evidence.pinning import Place
    from orchgate.git.repository import Repository
    from orchgate.packets.packet import Packet

LISTED = 5


class Whose(NamedTuple):
    """Packets, and how they are known to be meant, in words; "" where somebody named them."""

    packets: tuple[Packet, ...]
    by: str = ""

    @property
    def words(self) -> str:
        by = f" ({self.by})" if self.by else ""
        return _listed(self.packets) + by


def named(place: Place, task: str) -> Whose:
    """The packet of a task by its id, its slug, or the beginning of one. Raises UsageError."""
    known = place.packets.all
    found = [packet for packet in known if task in packet.names]
    found = found or [packet for packet in known if any(name.startswith(task) for name in packet.names)]
    if len(found) == 1:
        return Whose((found[0],))
    if found:
        raise UsageError(f"{task} may be {_listed(found)}", f"--task {quoted(found[0].name)}")
    from difflib import get_close_matches

    likely = get_close_matches(task, [packet.name for packet in known], 1)
    hint = f"--task {quoted(likely[0])}" if likely else "orchgate new SLUG begins one"
    raise UsageError(f"task {task} has no packet here", hint)


def behind(place: Place, repository: Repository, command: str) -> Whose:
    """The packets that a command without any task means. Raises UsageError where several may be meant."""
    known = place.packets.all
    for found, by in _told(place, repository):
        if found:
            return Whose(found, by)
    if len(known) < 2:
        return Whose(known, "the only one here")
    active = in_work(place.config.documents, known)
    message = "neither changed documents, the branch nor a trailer name a task, and "
    message += f"{len(active)} are in work: {_listed(active)}" if active else f"{len(known)} have documents here"
    raise UsageError(message, f"{command} --task {quoted((active or known)[0].name)}")


def _told(place: Place, repository: Repository) -> Iterator[tuple[tuple[Packet, ...], str]]:
    known = place.packets.all
    yield _of(place, _changed(repository)), "its documents changed"
    yield named_in(repository.branch, known), f"branch {repository.branch}"
    fork = _fork(repository)
    if fork is not None:
        for value in _trailers(repository, fork):
            yield named_in(value, known), f"trailer Task: {value[:60]}"
        changed = frozenset(change.path for change in repository.changes(fork, repository.head))
        yield _of(place, changed), "its documents changed on this branch"
    active = in_work(place.config.documents, known)
    yield active if len(active) == 1 else (), "the only one in work"


def _of(place: Place, paths: frozenset[str]) -> tuple[Packet, ...]:
    return tuple(packet for packet in place.packets.all if not paths.isdisjoint(packet.paths))


def _changed(repository: Repository) -> frozenset[str]:
    """What differs from the last commit in the index or the work tree, and what is new there."""
    git = repository.git.without_filters()  # which are programs of the repository's settings
    # `git diff` would write the index, and run a hook for that.
    options = ("--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=dirty")
    return frozenset(os.fsdecode(line[3:]) for line in git("status", *options).split(b"\0") if line)


def _fork(repository: Repository) -> str | None:
    """Where what is checked out left the default branch; None where it is on it, or nobody knows."""
    from orchgate.gate.branches import started

    try:
        fork = started(repository, os.environ) if repository.head else None
    except OrchgateError:
        return None
    return None if fork == repository.head else fork


def _trailers(repository: Repository, fork: str) -> list[str]:
    """What `Task:` trailers of the commits since a fork say, the newest first."""
    from orchgate.git.messages import commits

    own = commits(repository.git, (f"{fork}..HEAD",))
    return [value for commit in own for value in commit.trailers.get("task", ())]


def _listed(packets: tuple[Packet, ...] | list[Packet]) -> str:
    more = f" and {len(packets) - LISTED} more" if len(packets) > LISTED else ""
    return ", ".join(packet.name for packet in packets[:LISTED]) + more
