"""Copies the output of a stage into its log: fast, bounded in memory and on disk, head and tail kept."""

from __future__ import annotations

import contextlib
import os

from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.secrets.redact import Redactor

LIMIT = 8 * 1024 * 1024  # bytes of a log, half of them head and half tail
_PIPE = 1024 * 1024  # the most an unprivileged process may ask for; fewer and larger reads
_TURN = 8 * _PIPE  # one noisy stage must not keep the others waiting
_RECENT = 4096
_F_SETPIPE_SZ = 1031


class Output:
    """The reading end of a stage's pipe and the log it fills."""

    def __init__(self, path: str, limit: int = LIMIT, screen: Redactor | None = None) -> None:
        """`screen` takes the secrets out of what is written down; `total` counts what the stage printed."""
        self.path = path
        self._screen = screen
        self.total = 0
        self.left_out = 0
        self.open = True
        self._head = limit // 2
        self._tail_size = limit - self._head
        self._tail = bytearray()
        self._at = 0  # where in the tail's ring the next byte goes
        self._tailed = 0
        self._recent = b""
        self._log = _log(path)
        try:
            self.reader, self.writer = os.pipe()
        except OSError as error:
            os.close(self._log)
            raise files.failure(path, error) from error
        os.set_blocking(self.reader, False)
        _widen(self.writer)

    def started(self) -> None:
        """The stage holds its own copy of the writing end now."""
        os.close(self.writer)
        self.writer = -1

    def pump(self, buffer: memoryview) -> bool:
        """Moves what is there, up to `_TURN` bytes; False at the end of the output. Raises WriteError."""
        moved = 0
        while self.open and moved < _TURN:
            try:
                count = self._read(buffer)
            except BlockingIOError:
                return True
            if count == 0:
                self.open = False
            moved += count
        return self.open

    def _read(self, buffer: memoryview) -> int:
        if self._screen:
            count = os.readv(self.reader, [buffer])
            self._put(self._screen.feed(bytes(buffer[:count])))
            last = bytes(buffer[max(0, count - _RECENT) : count])
        elif self._head:
            count = os.readv(self.reader, [buffer[: min(len(buffer), self._head)]])
            files.write_all(self._log, buffer[:count], self.path)
            self._head -= count
            last = bytes(buffer[max(0, count - _RECENT) : count])
        else:
            if not self._tail:
                self._tail = bytearray(self._tail_size)
            space = memoryview(self._tail)[self._at : self._at + _PIPE]
            count = os.readv(self.reader, [space])
            last = bytes(space[max(0, count - _RECENT) : count])
            self._at = (self._at + count) % self._tail_size
            self._tailed += count
        self.total += count
        self._recent = (self._recent + last)[-_RECENT:]
        return count

    def _put(self, data: bytes) -> None:
        """Redacted output, into the log or its tail."""
        head, rest = data[: self._head], memoryview(data)[self._head :]
        files.write_all(self._log, memoryview(head), self.path)
        self._head -= len(head)
        if rest and not self._tail:
            self._tail = bytearray(self._tail_size)
        while rest:
            piece = rest[: self._tail_size - self._at]
            self._tail[self._at : self._at + len(piece)] = piece
            self._at = (self._at + len(piece)) % self._tail_size
            self._tailed += len(piece)
            rest = rest[len(piece) :]

    @property
    def recent(self) -> bytes:
        """The last few thousand bytes."""
        return self._recent

    def last_line(self) -> str:
        """The last line that is not empty, or its end when it is long."""
        lines = self._recent.replace(b"\r", b"\n").split(b"\n")
        found = next((line for line in reversed(lines) if line.strip()), b"")
        return found[-200:].decode("utf-8", "replace").strip()

    def finish(self) -> None:
        """Writes the tail and closes everything. Raises WriteError."""
        try:
            if self._screen:
                self._put(self._screen.flush())
            self._write_tail()
        finally:
            self.abandon()

    def _write_tail(self) -> None:
        if self._tailed <= self._tail_size:
            files.write_all(self._log, memoryview(self._tail)[: self._tailed], self.path)
            return
        self.left_out = self._tailed - self._tail_size
        files.write_all(self._log, f"\n[orchgate: {self.left_out} bytes left out here]\n".encode(), self.path)
        files.write_all(self._log, memoryview(self._tail)[self._at :], self.path)
        files.write_all(self._log, memoryview(self._tail)[: self._at], self.path)

    def abandon(self) -> None:
        """Closes everything, whatever is still in the pipe."""
        self._tail = bytearray()
        for descriptor in (self.reader, self.writer, self._log):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self.reader = self.writer = self._log = -1
        self.open = False


def _log(path: str) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise files.failure(path, error) from error


def _widen(pipe: int) -> None:
    import fcntl

    with contextlib.suppress(OSError):  # not Linux, or the user's share of pipe memory is used up
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, _PIPE)


def begin(path: str) -> None:
    """Makes a log, empty, where there is none. Raises WriteError."""
    os.close(_log(path))


def note(path: str, text: str) -> None:
    """Adds a line by the runner itself to a log. Raises WriteError."""
    descriptor = _log(path)
    try:
        files.write_all(descriptor, f"[orchgate: {text}]\n".encode(), path)
    finally:
        os.close(descriptor)
