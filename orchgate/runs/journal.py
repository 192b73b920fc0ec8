"""A run's journal: append-only, one event a line, the truth from which the manifest is derived.

Whoever runs the run holds a lock on the journal, which ends with the last process that has it open.
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.lib import files, locks
from orchgate.runs import locate

if TYPE_CHECKING:
    from collections.abc import Mapping
    from json import JSONDecoder

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
        """Makes this process the one that runs the run; a dead runner's last processes go first.

        Raises OrchgateError when somebody holds on to it whom nobody here can see: another container, another machine.
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
    import json

    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


class JournalEvents(NamedTuple):
    """A journal as it was found. `torn` are line numbers of events that were never finished; they never happened."""

    events: tuple[dict[str, Any], ...]
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
