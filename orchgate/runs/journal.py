"""A run's journal: append-only, one event a line, the truth from which the manifest is derived.

Whoever runs the run holds a lock on the journal, which ends with the last process that has it open.

A run begins in a folder aside, which is moved into place together with the first event. Whoever is killed before that
leaves something that nobody takes for a run. The next run of the same task removes it: a run that is about to begin
holds the lock on its journal, and until it has that one, a lock on the folder of all that are.

A manifest of ours is held against the journal beside it: alone it proves nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
from functools import lru_cache

from orchgate.errors import OrchgateError
from orchgate.lib import files, locks
from orchgate.lib.paths import require_real
from orchgate.lib.temporary import try_lock
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import decode, locate, state, usage
from orchgate.runs.decode import HINTS, Flaw, Problem, dotted, shorten
from orchgate.runs.locate import JOURNAL, RUN_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from json import JSONDecoder, JSONEncoder
    from typing import Any


MAX_BYTES = locate.MAX_JOURNAL_BYTES
MAX_LINES = 500_000
_PATIENCE = 5.0  # seconds that the processes of a killed runner have for their own end
_EDITED = "the journal was damaged or edited"


class Journal:
    """The one writer of a journal."""

    def __init__(self, path: str) -> None:
        """Opens a journal, made if it is not there. Raises WriteError."""
        self.path = path
        self.writes = 0
        self.bytes = 0
        self.descriptor = files.open_appending(path)
        self._torn = files.ends_torn(self.descriptor)

    def own(self) -> None:
        """Makes this process the one that runs the run, once the last processes of a dead runner are gone.

        Raises OrchgateError when a process holds it that cannot be seen from here: in another container, say.
        """
        try:
            locks.take(self.descriptor, self.path, _PATIENCE)
        except locks.Busy:
            message = f"{self.path} is held by a process that cannot be seen from here"
            raise OrchgateError(message, "wait for the run, or end it where it runs") from None

    def append(self, event: Mapping[str, Any], *, sync: bool) -> None:
        """Records an event in one write. Raises WriteError: then it must be taken for not recorded."""
        self.bytes += files.append(self.descriptor, encode(event), self.path, sync=sync, torn=self._torn)
        self.writes += 1
        self._torn = False

    def sync(self) -> None:
        """Returns once all that was appended is on disk. Raises WriteError: then it must be taken for not recorded."""
        files.sync_content(self.descriptor, self.path)

    def is_at(self, path: str) -> bool:
        """Whether a path still leads to this journal."""
        try:
            found, held = os.lstat(path), os.fstat(self.descriptor)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (held.st_dev, held.st_ino)

    def close(self) -> None:
        os.close(self.descriptor)


def encode(event: Mapping[str, Any]) -> bytes:
    return _encoder().encode(event).encode("utf-8", "replace")


@lru_cache(maxsize=1)
def _encoder() -> JSONEncoder:
    """Made once: it takes as long as writing a line."""
    import json

    return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class JournalEvents(NamedTuple):
    """A journal as it was found. `torn` are line numbers of events that were never finished; they never happened."""

    events: tuple[state.Event, ...]
    torn: tuple[int, ...]


def read(path: str) -> JournalEvents:
    """The events of a journal. Raises OrchgateError when it cannot be read, or is no run's."""
    try:
        data = files.read(path, MAX_BYTES)
    except OSError as error:
        raise OrchgateError(f"cannot read {path}: {error.strerror}") from error
    try:
        return parse(data)
    except OrchgateError as error:
        raise OrchgateError(f"{path}: {error.message}", error.hint) from error


def parse(data: bytes) -> JournalEvents:
    """The events in a journal's bytes. Raises OrchgateError when a finished line is not an event of a run."""
    from orchgate.runs import events

    if data.count(b"\n") > MAX_LINES:
        raise OrchgateError(f"has more than {MAX_LINES} lines", _EDITED)
    lines = files.split(data)
    found = [(number, _decoded(number, line)) for number, line in lines.whole]
    events.require(found)
    return JournalEvents(tuple(event for _, event in found), tuple(number for number, _ in lines.torn))


def _decoded(number: int, line: bytes) -> Any:
    try:
        return _decoder().decode(line.decode())
    except (ValueError, RecursionError) as error:
        raise OrchgateError(f"line {number} is not JSON", _EDITED) from error


@lru_cache(maxsize=1)
def _decoder() -> JSONDecoder:
    """Made once: it takes longer than reading a line."""
    import json

    return json.JSONDecoder(parse_constant=_no_number)


def _no_number(name: str) -> None:
    raise ValueError(name)


_WRITTEN = ("run", "resume", "finish")  # the events after which our runner writes a manifest
_MOST_MOMENTS = 20  # events of one kind at the very same time that are tried
NOT_OURS = "is of another format than the journal of ours beside it"


def difference(document: Mapping[str, Any], data: bytes) -> Problem | None:
    """Where a manifest first differs from what the bytes of its journal add up to, and how; None where it does not.

    A run writes its manifest when it begins and when it ends: one that does not claim to have succeeded may be of
    an earlier moment of the journal.
    """
    try:
        return difference_from(document, parse(data).events)
    except OrchgateError as error:
        return Problem((), f"its journal cannot be read: {error.message}")


def difference_from(document: Mapping[str, Any], events: tuple[state.Event, ...]) -> Problem | None:
    """As `difference`, from the events of the journal. Raises OrchgateError where they make no run."""
    whole = state.manifest(events)
    if _same(document, whole) or (_is_older(document, events) and _same(document, state.legacy(whole))):
        return None
    if document.get("status") != "succeeded":
        moments = [number for number, event in enumerate(events, 1) if event["at"] == document.get("updated_at")]
        likely = [number for number in moments if events[number - 1]["event"] in _WRITTEN][-_MOST_MOMENTS:]
        if any(_same(document, state.manifest(events[:number])) for number in (*likely, *moments[-_MOST_MOMENTS:])):
            return None
    return next(_differences(document, _as_read(whole), ()), Problem((), "is not what its journal adds up to"))


def _is_older(document: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> bool:
    """Whether both were written by a version that counted time away as time worked."""
    return "away_seconds" not in document and not any(usage.counts_absence(event) for event in events)


def require(document: Mapping[str, Any], read: Callable[[], bytes | None]) -> None:
    """Refuses a manifest that is not what its journal adds up to; one of another format has none of ours beside it.

    `read` gives the journal's bytes, None where there is none. Raises OrchgateError, whose message continues "the
    manifest …", and what `read` raises.
    """
    data = read()
    if not locate.is_derived(document):
        if data is not None and data.startswith(locate.BEGINNING):
            raise OrchgateError(NOT_OURS, HINTS[Flaw.SCHEMA])
        return
    if data is None:
        raise OrchgateError("has no journal beside it, and alone proves nothing", HINTS[Flaw.SCHEMA])
    problem = difference(document, data)
    if problem is not None:
        raise OrchgateError(f"contradicts its journal: {sentence(problem)}", HINTS[Flaw.SCHEMA])


def require_file(manifest: str, limit: int) -> state.Document:
    """The manifest at a place on disk, of any format, held against the journal beside it. `limit` in bytes.

    Raises OrchgateError.
    """
    document = decode.parse(locate.read_file(manifest, limit), limit)
    require(document, lambda: beside(manifest))
    return document


def beside(manifest: str) -> bytes | None:
    """The journal beside a manifest on disk, None for none. Raises OrchgateError when it cannot be read."""
    path = locate.journal_of(manifest)
    return locate.read_file(path, MAX_BYTES) if os.path.lexists(path) else None


def _same(document: Mapping[str, Any], derived: Mapping[str, Any]) -> bool:
    return document == derived or document == _as_read(derived)


def _as_read(derived: Mapping[str, Any]) -> state.Document:
    import json

    read: state.Document = json.loads(state.render(dict(derived)))
    return read


def _differences(recorded: object, derived: object, path: tuple[str | int, ...]) -> Iterator[Problem]:
    """The places at which two values differ, in the order of the journal's."""
    if isinstance(recorded, dict) and isinstance(derived, dict):
        for key in (*derived, *(key for key in recorded if key not in derived)):
            if key not in recorded:
                yield Problem(path, f"leaves out {shorten(key)}, which its journal has")
            elif key not in derived:
                yield Problem((*path, key), "is nothing its journal knows of")
            else:
                yield from _differences(recorded[key], derived[key], (*path, key))
    elif isinstance(recorded, list) and isinstance(derived, list) and len(recorded) == len(derived):
        for number, pair in enumerate(zip(recorded, derived, strict=True)):
            yield from _differences(*pair, (*path, number))
    elif recorded != derived or type(recorded) is not type(derived):
        yield Problem(path, f"says {_shown(recorded)}, its journal {_shown(derived)}")


def _shown(value: object) -> str:
    import json

    if isinstance(value, dict | list):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    return shorten(json.dumps(value, ensure_ascii=False), 60)


def sentence(problem: Problem) -> str:
    """A difference in one sentence."""
    where = shorten(dotted(problem.path))
    return f"{where} {problem.message}" if where else problem.message


FOLDER = ".new"  # in the folder of a task
_TRIES = 100


@contextlib.contextmanager
def starting_folder(task: str, run_id: str) -> Iterator[str]:
    """A new folder in which a run of a task begins. Nobody removes it within the block, in which its journal is locked.

    `task` is the task's folder, which is made. Raises WriteError, and OrchgateError for a link in the way.
    """
    files.make_folders(task)
    require_real(task, FOLDER)
    home = os.path.join(task, FOLDER)
    folder = os.path.join(home, run_id)
    lock = _make_locked(home, folder)
    try:
        yield folder
    finally:
        os.close(lock)


def move_into_place(folder: str, place: str) -> None:
    """Puts a run that has begun where it belongs. Raises WriteError."""
    files.make_folders(os.path.dirname(place))
    try:
        os.rename(folder, place)
        files.sync_folder(os.path.dirname(place))
    except OSError as error:
        raise files.failure(place, error) from error
    _remove_if_empty(os.path.dirname(folder))


def discard(folder: str) -> None:
    """Removes a run that never began. No errors."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
    _remove_if_empty(os.path.dirname(folder))


def _remove_if_empty(home: str) -> None:
    with contextlib.suppress(OSError):  # others are about to begin
        os.rmdir(home)


def _make_locked(home: str, folder: str) -> int:
    """Makes a folder in one that anybody may take away while it is empty; the lock that keeps others from it."""
    for _ in range(_TRIES):
        lock = -1
        try:
            lock = _opened(home)
            _lock(lock, home)
            os.mkdir(folder)
            # Another one may have been put in its place before we made ours in it: our lock is on the old one.
            if os.path.samestat(os.fstat(lock), os.stat(home)):
                return lock
            os.rmdir(folder)
            os.close(lock)
        except OSError as error:
            if lock >= 0:
                os.close(lock)
            if error.errno != errno.ENOENT:
                raise files.failure(folder, error) from error
    raise files.WriteError(folder, "the folder it belongs to keeps being removed")


def _opened(home: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(home)
    return os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _lock(lock: int, home: str) -> None:
    """Locks the folder of all that is about to begin; who is alone there clears it first."""
    import fcntl

    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _clear(lock, home)
    fcntl.flock(lock, fcntl.LOCK_SH)


def _clear(lock: int, home: str) -> None:
    """Removes what killed runners left in the folder that is locked, which may not be the one of that name any more."""
    with os.scandir(lock) as entries:
        left = [os.path.join(home, entry.name) for entry in entries if RUN_ID.fullmatch(entry.name)]
    for path in left:
        if not _is_held(os.path.join(path, JOURNAL)):
            import shutil

            shutil.rmtree(path, ignore_errors=True)


def _is_held(journal: str) -> bool:
    """Whether somebody alive has a journal's lock."""
    try:
        descriptor = files.open_regular(journal, follow=False)
    except OSError:
        return False
    try:
        return not try_lock(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
