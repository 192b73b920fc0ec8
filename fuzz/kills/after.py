"""What must be true of a repository after a verb was disturbed in it, and once more after it was called again."""

from __future__ import annotations

import json
import os
import re
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fuzz.kills.verbs import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from fuzz.kills.verbs import Room

_GRACE = 20.0  # seconds that processes may take to end once nobody needs them
_VARIABLE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-[0-9a-f]{8}"), "RUN"),
    (re.compile(r"objects/[0-9a-f]{2}(?=/|$)"), "objects/XX"),
    (re.compile(r"worktrees/repo\d+"), "worktrees/repo"),  # kept on purpose, as many as were in use at once
    (re.compile(r"[0-9a-f]{7,}"), "HEX"),
    (re.compile(r"\d+"), "N"),
)
_MAY_BE_EMPTY = re.compile(r"/objects|/\.runs/[^/]+/cli/[^/]+/")
_OTHERS = ("home", "remote.git/objects")  # the tracer's log; what a server that was killed too leaves in its own house
_KEPT = re.compile(r"repo/(?:\.git/hooks/|(?!\.git/|\.runs/)).*[^/]$")
_BROKEN = re.compile(r"\b(error|missing|broken|corrupt|invalid|bad|garbage)\b")


class Usual(NamedTuple):
    """What the verb leaves when nobody disturbs it: shapes of names, the files whose content is always the same."""

    code: int
    again: int
    shapes: frozenset[str]
    added: frozenset[str]
    contents: Mapping[str, bytes]
    before: Mapping[str, bytes]


def shape(name: str) -> str:
    """A name without what differs from call to call."""
    for pattern, word in _VARIABLE:
        name = pattern.sub(word, name)
    return name


def names(room: Room) -> Iterator[str]:
    """Every file and empty folder of a room, git's own and temporary ones too."""
    for folder, inner, files in os.walk(room.folder):
        place = os.path.relpath(folder, room.folder)
        yield from (os.path.normpath(os.path.join(place, name)) for name in files)
        if not inner and not files and not _MAY_BE_EMPTY.search(place):
            yield f"{place}/"


def shapes(room: Room) -> frozenset[str]:
    return frozenset(shape(name) for name in names(room) if not name.startswith(_OTHERS))


def contents(room: Room) -> dict[str, bytes]:
    """What is in the work tree and among the hooks, runs left out."""
    found = {}
    for name in names(room):
        if _KEPT.match(name):
            place = os.path.join(room.folder, name)
            found[name] = os.readlink(place).encode() if os.path.islink(place) else Path(place).read_bytes()
    return found


def added(room: Room) -> frozenset[str]:
    """What `git add -A` would take."""
    _, out = room.git("add", "-A", "-n")
    return frozenset(shape(line) for line in out.splitlines())


def at_once(room: Room, usual: Usual) -> Iterator[str]:
    """Complaints right after the disturbance."""
    yield from unreadable(room)
    for line in sorted(added(room) - usual.added):
        yield f"git takes a left-over: {line}"
    now = contents(room)
    for name, content in usual.before.items():
        if now.get(name) not in (content, usual.contents.get(name, now.get(name))):
            yield f"{shape(name)} is neither the old nor the new file ({len(now.get(name, b''))} bytes)"


def later(room: Room, usual: Usual) -> Iterator[str]:
    """Complaints after the second call, which was not disturbed."""
    if left := list(_waited(room)):
        yield f"processes stay: {left}"
    yield from unreadable(room)
    for name in sorted(shapes(room) - usual.shapes):
        yield f"stays behind: {name}"
    now = contents(room)
    for name, content in usual.contents.items():
        if now.get(name) != content:
            yield f"{shape(name)} is not what an undisturbed call makes ({len(now.get(name, b''))} bytes)"
    yield from sound(room)


def sound(room: Room) -> Iterator[str]:
    """Complaints about git's own files."""
    for place in ("repo/.git", "remote.git"):
        code, out = room.git("--git-dir", os.path.join(room.folder, place), "fsck", "--no-progress", "--no-dangling")
        if code or _BROKEN.search(out):
            yield f"git fsck of {place}: {out.strip()[:300]}"
    _, trees = room.git("worktree", "list", "--porcelain")
    if "\nprunable" in trees:
        yield f"a work tree that is gone stays listed: {trees.strip()[:300]}"


def unreadable(room: Room) -> Iterator[str]:
    """Files of ours and of the user that do not parse."""
    for name in names(room):
        if name.startswith(("repo/.git/objects", "home")) or name.endswith("/"):
            continue
        place = Path(room.folder, name)
        try:
            _parse(name, place)
        except FileNotFoundError:
            continue
        except (ValueError, RecursionError) as error:
            yield f"{shape(name)} cannot be read ({place.stat().st_size} bytes): {error}"


def _parse(name: str, place: Path) -> None:
    if name.endswith(("metrics.json", ".jsonl", ".lock")) and "/.git/" not in name:
        *lines, _ = place.read_bytes().split(b"\n")  # the last one may not be finished: readers know that
        for line in lines:
            if line and not line.endswith(b"\x18"):
                json.loads(line)
    elif name.endswith((".json", ".jsonl")):
        [
            json.loads(line)
            for line in ([place.read_bytes()] if name.endswith("json") else place.read_bytes().split(b"\n")[:-1])
        ]
    elif name.endswith(".toml"):
        tomllib.loads(place.read_text("utf-8"))
    elif name.endswith((".yaml", ".yml")):
        import yaml

        try:
            read = yaml.safe_load(place.read_text("utf-8"))
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from error
        if not read:
            raise ValueError("holds nothing")


def _waited(room: Room) -> Iterator[str]:
    end = time.monotonic() + _GRACE
    while (left := list(processes(room))) and time.monotonic() < end:
        time.sleep(0.02)
    yield from (words for _, words in left)


def processes(room: Room) -> Iterator[tuple[int, str]]:
    """Processes that were started in a room, and their command lines."""
    mark = f"{MARK}={room.folder}".encode() + b"\0"
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if mark in Path("/proc", pid, "environ").read_bytes():
                yield (
                    int(pid),
                    Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"),
                )
        except OSError:
            continue
