"""Files that survive a crash: lines appended in one write each, whole files made and replaced, folders made.

Nothing is acknowledged that is not on disk: a short write, a full disk and a size limit all raise. Hashes of what files
hold, and the data files that come with the package, are here, too.
"""

from __future__ import annotations

import errno
import os
import stat

from orchgate.errors import OrchgateError, quoted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, contextmanager, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

# Ends a line that its writer never finished, so that the next line cannot melt into it and no JSON reader ever
# takes the fragment for a whole line: the control character "cancel", and a line break.
CANCEL = b"\x18\n"
CHUNK = 1 << 20
_PAGES = 16384  # bytes
_SHORT = 8192  # bytes that are hashed before what does it faster is loaded
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

_ROOM = "make room (df -h shows where, ulimit -f how large one file may be), then run it again"
_NEXT = {errno.ENOSPC: _ROOM, errno.EDQUOT: _ROOM, errno.EFBIG: _ROOM}


class WriteError(OrchgateError):
    """Something could not be recorded; what was there before is intact. `code` is the reason's `errno`, 0 for none."""

    kind = "unwritable"

    def __init__(self, path: str, reason: str, code: int = 0) -> None:
        hint = _NEXT.get(code, "")
        if code in (errno.EACCES, errno.EPERM):
            hint = f"ls -ld {quoted(os.path.dirname(path) or os.curdir)}"
        elif code == errno.EROFS:
            hint = "this file system can only be read: run it in a clone that can be written to"
        super().__init__(f"cannot write {path}: {reason}", hint)
        self.code = code


class NotRegularFileError(OSError):
    """What is at a path is not a regular file. `kind` says what it is instead: "a directory", "a named pipe"."""

    def __init__(self, path: str, mode: int) -> None:
        self.kind = _KINDS.get(stat.S_IFMT(mode), "a special file")
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        super().__init__(code, f"it is {self.kind}, not a regular file", path)


def open_regular(path: str, *, follow: bool = True) -> int:
    """A descriptor to read a regular file with; whoever put a named pipe there does not keep us waiting.

    Raises OSError: NotRegularFileError for what is not a regular file, and for a symbolic link unless `follow`.
    """
    return _regular(path, os.O_RDONLY | (0 if follow else os.O_NOFOLLOW))


def _regular(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o644)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    raise NotRegularFileError(path, mode)


def read(path: str, limit: int, *, follow: bool = True) -> bytes:
    """The bytes of a regular file. Raises OSError: EFBIG for what is larger than `limit` bytes."""
    parts, room = [], limit
    with open(open_regular(path, follow=follow), "rb", buffering=0) as file:
        while room >= 0 and (part := file.read(CHUNK)):
            parts.append(part)
            room -= len(part)
    if room < 0:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes", path)
    return b"".join(parts)


def read_virtual(path: str) -> bytes:
    """What the kernel says in a file of /proc or /sys, in as few calls as it takes. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _PAGES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def failure(path: str, error: OSError) -> WriteError:
    return WriteError(path, error.strerror or str(error), error.errno or 0)


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
            raise WriteError(path, f"there was room for {written} of {len(data)} bytes only", errno.ENOSPC)
        if sync:
            _sync_content(descriptor)
    except OSError as error:
        raise failure(path, error) from error
    return written


def sync_content(descriptor: int, path: str) -> None:
    """Returns once what was written is on disk. Raises WriteError."""
    try:
        _sync_content(descriptor)
    except OSError as error:
        raise failure(path, error) from error


def _sync_content(descriptor: int) -> None:
    if hasattr(os, "fdatasync"):  # macOS has none
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)


def write_all(descriptor: int, data: memoryview | bytes, path: str) -> None:
    """Writes everything, in as many writes as it takes. Raises WriteError."""
    try:
        _write_all(descriptor, data)
    except OSError as error:
        raise failure(path, error) from error


def _write_parts(descriptor: int, data: bytes | Iterable[bytes]) -> None:
    for part in (data,) if isinstance(data, bytes) else data:
        _write_all(descriptor, part)


def _write_all(descriptor: int, data: memoryview | bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def replace(
    path: str, data: bytes | Iterable[bytes], *, sync: bool = True, executable: bool = False, room: str = ""
) -> None:
    """Puts a whole file in place of an old one, which stays until the new one is on disk. Raises WriteError.

    Parts of the data are asked for once for each folder that is tried.
    The old one's permissions stay; where it was a link, the link goes. Without `sync` the new one may be lost, or
    empty, after a power cut: for what can be made anew, and is checked when read. Who replaces many files has asked
    once for the first of `temporary.folders`, which is the `room`.
    """
    _put(path, data, os.rename, sync=sync, executable=executable, room=room)


def replace_beside(path: str, data: bytes) -> None:
    """As `replace` without `sync`, in a folder that is ours: it is written there, too. Raises WriteError."""
    try:
        with _undisturbed():
            _put_through(os.path.dirname(path), path, data, os.rename, sync=False, executable=False)
    except OSError as error:
        raise failure(path, error) from error


def create(path: str, data: bytes, *, executable: bool = False) -> None:
    """Puts a whole file where none is. Raises WriteError, also when something is there by now."""
    _put(path, data, take_name, sync=True, executable=executable)


def _put(
    path: str,
    data: bytes | Iterable[bytes],
    publish: Callable[[str, str], None],
    *,
    sync: bool,
    executable: bool,
    room: str = "",
) -> None:
    from orchgate.lib import temporary  # a commit only reads

    places = [room, os.path.dirname(path)] if room else list(temporary.folders(path))
    try:
        with _undisturbed():
            for folder in places:  # it may be full, not ours, or on another file system after all
                with suppress(OSError):
                    _put_through(folder, path, data, publish, sync=sync, executable=executable)
                    break
            else:
                _put_through(places[-1], path, data, publish, sync=sync, executable=executable)
            if sync:
                _sync_name(path, new=publish is take_name)
    except OSError as error:
        raise failure(path, error) from error


def _sync_name(path: str, *, new: bool) -> None:
    """Raises OSError; then a new file is gone again, as nobody may take it for made."""
    try:
        sync_folder(os.path.dirname(path))
    except OSError:
        if new:
            with suppress(OSError):
                os.unlink(path)
        raise


def _put_through(
    folder: str,
    path: str,
    data: bytes | Iterable[bytes],
    publish: Callable[[str, str], None],
    *,
    sync: bool,
    executable: bool,
) -> None:
    """Raises OSError; then nothing is left in `folder`."""
    from orchgate.lib import temporary

    name, descriptor, lock = temporary.opened(folder)
    try:
        try:
            _take_after(descriptor, path, executable=executable)
            _write_parts(descriptor, data)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        publish(name, path)
    finally:
        with suppress(OSError):  # renamed
            os.unlink(name)
        os.close(lock)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Whoever asks us to end waits until a file is in its place: nothing is left half-way."""
    import signal

    asked = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, asked)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _take_after(descriptor: int, path: str, *, executable: bool) -> None:
    """Gives a new file the owner and permissions of the one that it replaces, or the group that its folder hands on."""
    mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
    folder = os.stat(os.path.dirname(path) or os.curdir)
    with suppress(PermissionError):
        if folder.st_mode & stat.S_ISGID:
            os.fchown(descriptor, -1, folder.st_gid)
    with suppress(FileNotFoundError, PermissionError):
        old = os.lstat(path)
        if stat.S_ISCHR(old.st_mode) or stat.S_ISBLK(old.st_mode):
            raise OSError(errno.EINVAL, "it is a device", path)
        if stat.S_ISREG(old.st_mode):
            mode = stat.S_IMODE(old.st_mode)
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, mode | (mode & 0o444) >> 2 if executable else mode)


def take_name(written: str, path: str) -> None:
    """Gives a file its name unless that is taken. Raises OSError."""
    try:
        os.link(written, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
        if os.path.lexists(path):  # a file system without second names: nearly as good
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.rename(written, path)


def make_folders(path: str, *, sync: bool = True) -> None:
    """Makes a folder and its parents; each new name is synced, unless it can be made anew. Raises WriteError."""
    try:
        _make(path, sync=sync)
    except OSError as error:
        raise failure(path, error) from error


def _make(path: str, *, sync: bool, retried: bool = False) -> None:
    try:
        os.mkdir(path)
    except FileNotFoundError:
        if not os.path.isdir(os.path.dirname(path)):  # which another process may have made since then
            _make(os.path.dirname(path), sync=sync)
        elif retried:  # a file system in which nothing can be made
            raise
        _make(path, sync=sync, retried=True)
    except FileExistsError:
        if not os.path.isdir(path):
            raise NotADirectoryError(errno.ENOTDIR, "it is not a directory", path) from None
    else:
        if sync:
            sync_folder(os.path.dirname(path))


def sync_folder(path: str) -> None:
    descriptor = os.open(path or os.curdir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FileLines(NamedTuple):
    """A file of lines as it was found. `torn` are fragments whose writers never finished them, with line numbers."""

    whole: tuple[tuple[int, bytes], ...]
    torn: tuple[tuple[int, bytes], ...]


def split(data: bytes) -> FileLines:
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
    return FileLines(tuple(whole), tuple(torn))


def sha256_hex(content: bytes | str) -> str:
    """SHA-256 in hex digits, of bytes or of a text in UTF-8.

    A file name that is not UTF-8 counts with the bytes it has on disk.
    """
    data = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    if len(data) <= _SHORT:
        from orchgate.lib import hashes

        return hashes.digest("sha256", data).hex()
    import hashlib

    return hashlib.sha256(data).hexdigest()


def sha256_of_chunks(chunks: Iterable[bytes]) -> tuple[str, int]:
    """SHA-256 in hex digits of what comes in pieces, and how many bytes that were."""
    import hashlib

    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def data_folder(name: str) -> str:
    """The absolute path of a data folder. Raises OrchgateError when the installation is incomplete."""
    for parent in (_PACKAGE, os.path.dirname(_PACKAGE)):
        path = os.path.join(parent, name)
        if os.path.isdir(path):
            return path
    raise OrchgateError(f"the installation holds no {name}/ folder", "pip install --force-reinstall orchgate")


def read_data(name: str, file: str) -> str:
    """The text of a data file, such as `read("schemas", "report.json")`. Raises OrchgateError."""
    known = data_names(name)
    if file not in known:
        raise OrchgateError(f"{name}/ holds no {file}", "there are: " + ", ".join(known))
    try:
        with open(os.path.join(data_folder(name), file), encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise OrchgateError(f"{name}/{file}: {error.strerror}") from error


def data_names(name: str) -> tuple[str, ...]:
    """The files of a data folder, sorted."""
    return tuple(sorted(entry for entry in os.listdir(data_folder(name)) if not entry.startswith(".")))
