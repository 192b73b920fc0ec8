"""Pinned artifacts on their way between the disk and the store, and what must not travel: secrets."""

from __future__ import annotations

import os

from orchgate.errors import GitError, OrchgateError, Unreadable, quoted
from orchgate.evidence.lock import LockError, of
from orchgate.lib import files, temporary
from orchgate.lib.files import sha256_hex
from orchgate.lib.paths import GIT_NAMES, git_name, looks_like_git, require_real
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.secrets import search
from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from orchgate.config.settings import Evidence
    from orchgate.evidence.lock import Pinned
    from orchgate.git.snapshot import Snapshot
    from orchgate.git.store.reference import Store
    from orchgate.references.artifacts import Artifacts


_UNPIN = "delete its line from .orchgate/evidence.lock, and ask whoever added it"


class Withheld(NamedTuple):
    """An artifact that cannot be carried, and why. `secret`: because of what it seems to hold."""

    path: str
    reason: str
    hint: str = ""
    secret: bool = False


class PushPlan(NamedTuple):
    """What is to be pushed: a pin for each content that the remote lacks, and what has to stay behind.

    `stored` counts the pins whose contents the remote has.
    """

    ready: tuple[Pinned, ...]
    held: tuple[Withheld, ...]
    stored: int


def plan_push(
    pins: Iterable[Pinned],
    there: Container[str],
    content: Callable[[Pinned], bytes],
    patterns: search.Patterns,
    limit: int,
) -> PushPlan:
    """Sorts pins into what can be pushed and what cannot.

    `there` is what the remote holds, by SHA-256; `content` reads what it lacks, `limit` is in bytes.
    """
    ready: dict[str, Pinned] = {}
    held: list[Withheld] = []
    stored = 0
    for pin in pins:
        if pin.sha256 in there:
            stored += 1
        elif pin.sha256 not in ready:
            refusal = _refusal(content, pin, patterns, limit)
            if refusal is None:
                ready[pin.sha256] = pin
            else:
                held.append(refusal)
    return PushPlan(tuple(ready.values()), tuple(held), stored)


def _refusal(content: Callable[[Pinned], bytes], pin: Pinned, patterns: search.Patterns, limit: int) -> Withheld | None:
    if pin.size > limit:
        hint = "keep a smaller extract of it, or raise evidence.max-artifact-bytes"
        return Withheld(pin.path, f"is {pin.size} bytes long, limit {limit}", hint)
    try:
        data = content(pin)
    except (Unreadable, GitError) as error:
        return Withheld(pin.path, error.message, error.hint)
    return _secret(pin.path, data, patterns)


def _secret(path: str, content: bytes, patterns: search.Patterns) -> Withheld | None:
    """Why an artifact has to stay here for what it holds, or for what it is called."""
    hint = "record the run again without it and change the secret; if it is none, evidence.secrets-allowed can say so"
    shown = redacted(path)
    if named := search.first(os.fsencode(path), patterns):
        return Withheld(shown, f"has a name that looks like a secret ({named.pattern})", hint, secret=True)
    found = search.first(content, patterns)
    if found is None:
        return None
    if found.unseen:
        hint = "pin what it holds instead; or evidence.secrets-allowed = ['^unseen: '], where nobody has to look"
        return Withheld(shown, found.unseen, hint)
    return Withheld(found.place(shown), f"looks like a secret ({found.pattern})", hint, secret=True)


def contents(pins: Iterable[Pinned], content: Callable[[Pinned], bytes]) -> Iterator[tuple[str, bytes]]:
    """The pinned contents by SHA-256. Raises Unreadable when one changed since it was looked at."""
    return ((pin.sha256, content(pin)) for pin in pins)


def read(artifacts: Artifacts, pin: Pinned) -> bytes:
    """A pinned artifact from disk; a file of lines may have grown since, and is taken as far as it was pinned.

    Raises Unreadable when it is not here or is not what was pinned.
    """
    full = artifacts.full(pin.path)
    if not artifacts.on_disk(pin.path):
        raise Unreadable(
            pin.path, "is neither on disk nor in the store", "run `orchgate evidence push` where the run is"
        )
    try:
        with open(files.open_regular(full), "rb") as file:
            # A lock may say any size: no more memory than the file needs.
            content = file.read(min(pin.size, os.fstat(file.fileno()).st_size))
    except OSError as error:
        raise Unreadable(pin.path, f"cannot be read: {error.strerror}", "ls -l shows who may read it") from error
    if len(content) != pin.size or sha256_hex(content) != pin.sha256:
        command = f"orchgate evidence pin {quoted(pin.path)}"
        hint = f"`{command}` pins what is on disk, `orchgate evidence fetch --force` brings back what was pinned"
        raise Unreadable(pin.path, "is not what was pinned", hint)
    return content


def source(artifacts: Artifacts, store: Store, known: Mapping[str, str], limit: int) -> Callable[[Pinned], bytes]:
    """Reads pinned artifacts from disk or else from the store, of which `known` are the object ids.

    What it returns raises Unreadable, GitError.
    """

    def content(pin: Pinned) -> bytes:
        try:
            return read(artifacts, pin)
        except Unreadable:
            oid = known.get(pin.sha256)
            if oid is None:
                raise
        ((_, stored),) = store.read_many({pin.sha256: oid}, limit)
        if len(stored) != pin.size:
            raise Unreadable(pin.path, f"has {len(stored)} bytes, its pin says {pin.size}", _UNPIN)
        return stored

    return content


class Restored(NamedTuple):
    """What became of pinned artifacts: written to disk, there already, different there, and nowhere to be had."""

    written: tuple[str, ...]
    kept: int
    different: tuple[str, ...]
    missing: tuple[str, ...]


def restore(
    artifacts: Artifacts, pins: Iterable[Pinned], store: Store, known: Mapping[str, str], limit: int, *, force: bool
) -> Restored:
    """Writes pinned artifacts that are not on disk. What differs there stays, unless `force`.

    `known` are the object ids of what the store holds. Raises GitError, WriteError, OrchgateError; then what was
    written is whole.
    """
    pins = tuple(pins)
    require_writable(artifacts, pins, store.tracked())
    kept, wanted = 0, []
    different, missing = [], []
    for pin in pins:
        there = _is_there(artifacts, pin)
        if there:
            kept += 1
        elif there is False and not force:
            different.append(pin.path)
        elif pin.sha256 not in known:
            missing.append(pin.path)
        else:
            wanted.append(pin)
    by_hash: dict[str, list[Pinned]] = {}
    for pin in wanted:
        by_hash.setdefault(pin.sha256, []).append(pin)
    room = ""
    for sha256, content in store.read_many({sha256: known[sha256] for sha256 in by_hash}, limit):
        for pin in by_hash[sha256]:
            if len(content) != pin.size:
                raise OrchgateError(f"{pin.path} has {len(content)} bytes, its pin says {pin.size}", _UNPIN)
            room = room or _room(artifacts, pin.path)
            _write(artifacts, pin.path, content, room)
    return Restored(tuple(pin.path for pin in wanted), kept, tuple(different), tuple(missing))


def require_writable(artifacts: Artifacts, pins: Iterable[Pinned], tracked: Container[str]) -> None:
    """Refuses a lock that would have us write anything but artifacts of runs: a stranger may have written it.

    `tracked` are the paths that git holds itself. Raises OrchgateError for the first pin that is in the wrong place.
    """
    children: dict[str, set[str]] = {}
    real: set[str] = set()
    for pin in pins:
        path = pin.path
        if not artifacts.owns(path) or path in artifacts.roots:
            raise OrchgateError(f"{path} is under none of evidence.roots", "the lock may only name artifacts of runs")
        if path in tracked:
            raise OrchgateError(f"{path} is tracked by git, which holds it better than a pin could", _UNPIN)
        folder = path.rpartition("/")[0]
        if folder not in real or os.path.islink(artifacts.full(path)) or git_name(path):
            require_real(artifacts.root, path)
            real.add(folder)
        while "/" in path:
            path, _, name = path.rpartition("/")
            names = children.setdefault(path, set())
            if name in names:
                break
            names.add(name)
    for folder, names in children.items():
        if GIT_NAMES & {name.casefold() for name in names} and looks_like_git({*names, *artifacts.names(folder)}):
            raise OrchgateError(f"{folder} would become a git folder, whose configuration git obeys", _UNPIN)


def _is_there(artifacts: Artifacts, pin: Pinned) -> bool | None:
    """Whether the disk has what was pinned; None when it has nothing of that name."""
    if not os.path.lexists(artifacts.full(pin.path)):
        return None
    try:
        read(artifacts, pin)
    except Unreadable:
        return False
    return True


def _room(artifacts: Artifacts, path: str) -> str:
    """Where an artifact is written before it takes its place; made if it is not there. Raises WriteError."""
    files.make_folders(os.path.dirname(artifacts.full(path)))
    return next(temporary.folders(artifacts.full(path)))


def _write(artifacts: Artifacts, path: str, content: bytes, room: str) -> None:
    require_real(artifacts.root, path)  # once more: something may have been put in the way meanwhile
    full = artifacts.full(path)
    # As git writes a work tree: what a power cut leaves half written is known by its hash, and is fetched again.
    files.make_folders(os.path.dirname(full), sync=False)
    files.replace(full, content, sync=False, room=room)


def anywhere(artifacts: Artifacts, pin: Pinned, store: Store, limit: int) -> bytes:
    """A pinned artifact from disk, or else from the store. Raises Unreadable, GitError."""
    try:
        return read(artifacts, pin)
    except Unreadable as error:
        content = store.read(pin.sha256, limit)
        if content is None:
            if os.path.lexists(artifacts.full(pin.path)):
                raise
            hint = "run `orchgate evidence fetch`, once its author has run `orchgate evidence push`"
            raise GitError(f"{pin.path} is pinned, but its content is not here", hint) from error
        return content


def pinned_secrets(snapshot: Snapshot, base: Snapshot, artifacts: Artifacts, settings: Evidence) -> Iterator[str]:
    """Place of the first match in each artifact that is newly pinned, as far as it is on this machine.

    What is not here was looked at where it was pinned, and will be where it is pushed. Raises LockError.
    """
    patterns = search.compiled(settings.secrets, settings.secrets_allowed)
    try:
        before = of(base)
    except LockError:  # says nothing about what was pinned: all of it may be new
        before = None
    now = of(snapshot)
    for path, pin in now.pins.items() if now else ():
        if (before and before.get(path) == pin) or pin.size > settings.max_artifact_bytes:
            continue
        try:
            found = search.first(read(artifacts, pin), patterns)
        except Unreadable:
            continue
        if found:
            yield f"{path} {found.unseen}" if found.unseen else f"{found.place(path)} looks like a secret"
