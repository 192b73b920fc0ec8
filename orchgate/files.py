"""Files that survive a crash: lines appended in one write each, whole files replaced, folders made.

Nothing is acknowledged that is not on disk: a short write, a full disk and a size limit all raise.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import NamedTuple

from orchgate.errors import OrchgateError

# Ends a line that its writer never finished, so that the next line cannot melt into it and no JSON reader ever
# takes the fragment for a whole line: the control character "cancel", and a line break.
CANCEL = b"\x18\n"
CHUNK = 1 << 20


class WriteError(OrchgateError):
    """Something could not be recorded; what was there before is intact."""

    def __init__(self, path: str, reason: str) -> None:
        hint = (
            "make room (df -h shows where), then run it again"
            if any(word in reason for word in ("space", "large", "room", "quota"))
            else ""
        )
        super().__init__(f"cannot write {path}: {reason}", hint)


def open_regular(path: str) -> int:
    """A descriptor to read a regular file with; whoever put a named pipe there does not keep us waiting.

    Raises OSError, also for what is not a regular file.
    """
    return _regular(path, os.O_RDONLY)


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o644)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    raise OSError(errno.EINVAL, "it is not a regular file", path)


def read(path: str, limit: int) -> bytes:
    """The bytes of a regular file. Raises OSError, also for what is larger than `limit` bytes."""
    parts, room = [], limit
    with open(open_regular(path), "rb", buffering=0) as file:
        while room >= 0 and (part := file.read(CHUNK)):
            parts.append(part)
            room -= len(part)
    if room < 0:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", path)
    return b"".join(parts)


def failure(path: str, error: OSError) -> WriteError:
    return WriteError(path, error.strerror or str(error))


def open_appending(path: str) -> int:
    """A descriptor that appends to a file and can look at its end; made if it is not there. Raises WriteError."""
    try:
        return _regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW)
    except OSError as error:
        raise failure(path, error) from error


def ends_torn(descriptor: int) -> bool:
    """Whether a file's last line was never finished."""
    size = os.fstat(descriptor).st_size
    return size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"


def append(descriptor: int, line: bytes, path: str, *, sync: bool, torn: bool = False) -> int:
    """Appends one line (without its line break) in a single write and returns its bytes. Raises WriteError.

    `torn` says that the file's last line was never finished; it is closed off first.
    """
    data = (CANCEL if torn else b"") + line + b"\n"
    try:
        written = os.write(descriptor, data)
        if written != len(data):
            raise WriteError(path, f"there was room for {written} of {len(data)} bytes only")
        if sync:
            _sync_content(descriptor)
    except OSError as error:
        raise failure(path, error) from error
    return written


def _sync_content(descriptor: int) -> None:
    if hasattr(os, "fdatasync"):  # macOS has none
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def write_all(descriptor: int, data: memoryview | bytes, path: str) -> None:
    """Writes everything, in as many writes as it takes. Raises WriteError."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError as error:
        raise failure(path, error) from error


def replace(path: str, data: bytes, *, sync: bool = True) -> None:
    """Puts a whole file in place of an old one, which stays until the new one is on disk. Raises WriteError.

    Without `sync` it may be lost, or empty, after a power cut: for what can be made anew, and is checked when read.
    """
    temporary = f"{path}.tmp"
    try:
        descriptor = _regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_nlink > 1:  # another name of it may lie anywhere
                raise OSError(errno.EMLINK, os.strerror(errno.EMLINK), temporary)
            os.ftruncate(descriptor, 0)
            write_all(descriptor, data, path)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
        if sync:
            sync_folder(os.path.dirname(path))
    except OSError as error:
        _forget(temporary)
        raise failure(path, error) from error
    except WriteError:
        _forget(temporary)
        raise


def _forget(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def make_folders(path: str) -> None:
    """Makes a folder and its parents; each new name is synced. Raises WriteError."""
    try:
        _make(path)
    except OSError as error:
        raise failure(path, error) from error


def _make(path: str) -> None:
    try:
        os.mkdir(path)
    except FileNotFoundError:
        if os.path.isdir(os.path.dirname(path)):  # a file system in which nothing can be made
            raise
        _make(os.path.dirname(path))
        _make(path)
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(20, "a file stands where a folder belongs", path) from None
    else:
        sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    descriptor = os.open(path or os.curdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lines(NamedTuple):
    """A file of lines as it was found. `torn` are fragments whose writers never finished them, with line numbers."""

    whole: tuple[tuple[int, bytes], ...]
    torn: tuple[tuple[int, bytes], ...]


def split(data: bytes) -> Lines:
    """The finished lines of a file, numbered from 1, and the fragments. Empty lines are nobody's."""
    whole: list[tuple[int, bytes]] = []
    torn: list[tuple[int, bytes]] = []
    *lines, last = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if line.endswith(CANCEL[:1]):
            torn.append((number, line[:-1]))
        elif line:
            whole.append((number, line))
    if last:
        torn.append((len(lines) + 1, last))
    return Lines(tuple(whole), tuple(torn))
