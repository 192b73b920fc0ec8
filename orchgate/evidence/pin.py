"""Writes the evidence lock: measures artifacts, keeps every other pin, and replaces the file whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.evidence import lock as locks
from orchgate.evidence.lock import Lock, LockError, Pinned
from orchgate.evidence.lock_checks import CannotPin, SizeLimits, measure
from orchgate.git import attributes
from orchgate.lib import files
from orchgate.lib.locks import RECORDS, held

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from orchgate.references.artifacts import Artifacts

# Two branches that pin different artifacts add lines at the same place: git is told to take both.
ATTRIBUTES = "evidence.lock text eol=lf merge=union"


class LockUpdate(NamedTuple):
    """A lock as it would be. `known` are pins that hold as they are, `data` the file's new bytes."""

    pins: Mapping[str, Pinned]
    data: bytes
    added: tuple[Pinned, ...] = ()
    changed: tuple[Pinned, ...] = ()
    known: int = 0
    dropped: tuple[str, ...] = ()
    refused: tuple[CannotPin, ...] = ()


def read(root: str) -> bytes | None:
    """The bytes of the work tree's lock, None when there is none. Raises LockError."""
    from orchgate.errors import Unreadable
    from orchgate.git.snapshot import WorkTree

    try:
        return WorkTree(root).find(locks.PATH, locks.MAX_BYTES)
    except Unreadable as error:
        raise LockError(0, error.message, error.hint) from error


def lock_of(root: str) -> Lock:
    """The work tree's lock, an empty one when there is none. Raises LockError."""
    data = read(root)
    return Lock() if data is None else locks.parse(data)


def plan(
    data: bytes | None, paths: Iterable[str], artifacts: Artifacts, limits: SizeLimits, *, drop: Collection[str] = ()
) -> LockUpdate:
    """The lock in `data` with some artifacts pinned as they are on disk, and some paths dropped.

    Both sides of a merge conflict are taken; where they pin one path differently, the disk decides. Raises LockError.
    """
    old = _sides(data)
    fresh: dict[str, Pinned] = {}
    refused: list[CannotPin] = []
    for path in dict.fromkeys(paths):
        try:
            found = measure(artifacts, path, limits.artifact, limits.manifest)
        except CannotPin as error:
            refused.append(error)
            continue
        if found is None:
            refused.append(
                CannotPin(
                    path, "is not on disk", "`orchgate evidence fetch` brings it, if it was pushed from where it ran"
                )
            )
        else:
            fresh[path] = found
    dropped = tuple(sorted(path for path in old if path in drop and path not in fresh))
    pins = {path: _the_one(sides) for path, sides in old.items() if path not in fresh and path not in dropped} | fresh
    before = {path: [pin for _, pin in sides] for path, sides in old.items()}
    return LockUpdate(
        pins,
        locks.render(pins.values()),
        tuple(pin for path, pin in sorted(fresh.items()) if path not in before),
        tuple(pin for path, pin in sorted(fresh.items()) if path in before and before[path] != [pin]),
        sum(before.get(path) == [pin] for path, pin in fresh.items()),
        dropped,
        tuple(refused),
    )


def _sides(data: bytes | None) -> dict[str, list[tuple[int, Pinned]]]:
    """Every pin by path with its line: more than one where a merge left several."""
    found: dict[str, list[tuple[int, Pinned]]] = {}
    for number, pin in locks.pinned(locks.both_sides(data)) if data is not None else ():
        sides = found.setdefault(pin.path, [])
        if all(pin != other for _, other in sides):
            sides.append((number, pin))
    return found


def _the_one(sides: list[tuple[int, Pinned]]) -> Pinned:
    if len(sides) > 1:
        lines = " and ".join(str(number) for number, _ in sides)
        hint = "keep the line that holds and delete the other: the artifact is not here to decide"
        raise LockError(sides[1][0], f"lines {lines} pin {sides[0][1].path} differently", hint)
    return sides[0][1]


def update(root: str, make: Callable[[bytes | None], LockUpdate], *, write: bool = True) -> tuple[LockUpdate, bool]:
    """Makes a plan from the lock as it is and puts it in place; says whether the file is, or would be, another one.

    Raises LockError, WriteError, Busy, NoLocks, OrchgateError.
    """
    if not write:
        data = read(root)
        made = make(data)
        return made, _differs(made, data)
    folder = _folder(root)
    with held(root, RECORDS, "orchgate evidence pin"):
        data = read(root)
        made = make(data)
        if _differs(made, data):
            files.make_folders(folder)
            if data is None:
                attributes.tell(folder, ATTRIBUTES)
            files.replace(os.path.join(root, locks.PATH), made.data)
        return made, _differs(made, data)


def _differs(made: LockUpdate, data: bytes | None) -> bool:
    return made.data != data and (data is not None or bool(made.pins))


def _folder(root: str) -> str:
    """The lock's folder, which need not be there. Raises OrchgateError for a link."""
    folder = os.path.join(root, os.path.dirname(locks.PATH))
    if os.path.realpath(folder) != os.path.join(os.path.realpath(root), os.path.dirname(locks.PATH)):
        raise OrchgateError(
            f"{folder} is a link", "replace it by a folder: what it leads to may not be this repository"
        )
    return folder
