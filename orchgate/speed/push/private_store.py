"""Signed files in a folder of this user's own, under names that cannot be guessed.

A file is signed with HMAC-SHA256 under 32 random bytes that lie in the folder too, and so is its name. The signature
covers what the file is about and the repository it belongs to, so that a file put in the place of another one is not
taken for it. Programs that run as the same user may read the secret all the same: docs/decides/speed.md says what that
means.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from orchgate.errors import OrchgateError, quoted
from orchgate.lib import files, locks
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

VARIABLE = "XDG_STATE_HOME"
MOST_FILES = 64  # of a repository
MOST_BYTES = 8 << 20  # of all repositories
LARGEST = 4 << 20  # bytes of a file; 256 pairs of runs with 500 benchmarks take 2.4 MB
_SECRET, _LOCK, _FOLDER = "secret", "lock", "speed"
_BYTES = 32  # of the secret, and of a signature
_PATIENCE = 5.0  # seconds; whoever holds the lock writes a few small files


class PrivateStore(NamedTuple):
    """The open folder of one repository. `repository` tells it from others, by the place of its git folder."""

    home: str
    secret: bytes
    repository: str

    @property
    def folder(self) -> str:
        return os.path.join(self.home, _FOLDER, self._digest("folder")[:32])

    def path(self, *about: str) -> str:
        """Where the file lies that is about this, whether it is there or not."""
        return os.path.join(self.folder, self._digest("name", *about)[:32])

    def signature(self, data: bytes, *about: str) -> bytes:
        return self._hmac(data, "seal", *about)

    def _digest(self, *about: str) -> str:
        return self._hmac(b"", *about).hex()

    def _hmac(self, data: bytes, *about: str) -> bytes:
        import hmac

        subject = "\0".join(map(ascii, (self.repository, *about))).encode("ascii")
        return hmac.digest(self.secret, len(subject).to_bytes(8, "big") + subject + data, "sha256")


class StoredContent(NamedTuple):
    """A file as it was found: `raw`, None where there is none; `data` was signed, None where the signature is wrong."""

    raw: bytes | None
    data: bytes | None

    @property
    def is_forged(self) -> bool:
        return self.raw is not None and self.data is None


NOTHING = StoredContent(None, None)


def opened(environ: Mapping[str, str], repository: str) -> PrivateStore:
    """The store of a repository, made if it is not there. Raises OrchgateError where it cannot be this user's alone."""
    home = os.path.join(_state_home(environ), "orchgate")
    try:
        os.makedirs(home, mode=0o700, exist_ok=True)
        _own(os.lstat(home), home, stat.S_ISDIR)
        return PrivateStore(home, _secret(home), os.path.realpath(repository))
    except OSError as error:
        raise files.failure(home, error) from error


def _state_home(environ: Mapping[str, str]) -> str:
    """Raises OrchgateError where nobody knows where this user's files belong."""
    named = environ.get(VARIABLE, "")
    if os.path.isabs(named):  # as its specification wants it
        return named
    home = environ.get("HOME", "")
    if not os.path.isabs(home):
        import pwd

        try:
            home = pwd.getpwuid(os.geteuid()).pw_dir
        except KeyError:
            raise OrchgateError("this user has no home folder", f"set {VARIABLE} to a folder") from None
    # Under sudo it may be another user's, who could not use what we make there.
    with contextlib.suppress(OSError):
        if os.stat(home).st_uid != os.geteuid():
            raise OrchgateError(f"{home} belongs to another user", f"set {VARIABLE} to a folder of your own")
    return os.path.join(home, ".local", "state")


def _own(found: os.stat_result, path: str, is_kind: Callable[[int], bool] = stat.S_ISREG) -> None:
    """Raises OrchgateError for what others can read or change, and for links."""
    if not is_kind(found.st_mode) or found.st_uid != os.geteuid():
        raise OrchgateError(f"{path} is not this user's own", f"ls -ld {quoted(path)}")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise OrchgateError(f"{path} can be read or changed by others", f"chmod go= {quoted(path)}")


def _secret(home: str) -> bytes:
    """This user's secret, made if there is none. Raises OSError, OrchgateError."""
    path = os.path.join(home, _SECRET)
    if not os.path.lexists(path):
        _make_secret(home, path)
    _own(os.lstat(path), path)
    descriptor = files.open_regular(path, follow=False)
    try:
        _own(os.fstat(descriptor), path)
        secret = os.read(descriptor, _BYTES + 1)
    finally:
        os.close(descriptor)
    if len(secret) != _BYTES:
        raise OrchgateError(f"{path} does not hold {_BYTES} bytes", f"rm {quoted(path)}")
    return secret


def _make_secret(home: str, path: str) -> None:
    """Another process may be making it, too: the first one to give it its name wins."""
    written = os.path.join(home, f"{_SECRET}-{os.urandom(8).hex()}")
    descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        if os.write(descriptor, os.urandom(_BYTES)) != _BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        os.fsync(descriptor)
        with contextlib.suppress(FileExistsError):
            files.take_name(written, path)
    finally:
        os.close(descriptor)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(written)


def read(store: PrivateStore, *about: str) -> StoredContent:
    """What was kept about this. No errors: what cannot be read is forged."""
    path = store.path(*about)
    try:
        raw = files.read(path, LARGEST)
    except FileNotFoundError:
        return NOTHING
    except OSError:
        return StoredContent(b"", None)
    import hmac

    signature, data = raw[:_BYTES], raw[_BYTES:]
    return StoredContent(raw, data if hmac.compare_digest(signature, store.signature(data, *about)) else None)


@contextlib.contextmanager
def alone(store: PrivateStore) -> Iterator[None]:
    """Keeps other pushes of this user from writing. Raises OrchgateError, also where the secret is another by now."""
    path = os.path.join(store.home, _LOCK)
    try:
        # Never removed: whoever waits for it would wait for a file that is gone.
        lock = locks.open_lock(path, 0o600)
    except OSError as error:
        raise files.failure(path, error) from error
    try:
        locks.take(lock, path, _PATIENCE)
        if opened({VARIABLE: os.path.dirname(store.home)}, store.repository) != store:
            raise OrchgateError(f"{store.home} was changed in the meantime: it holds another secret")
        yield
    finally:
        os.close(lock)


def write(store: PrivateStore, data: bytes, *about: str) -> bytes:
    """Keeps data in place of what was kept about this. To be called while `alone`. Raises WriteError."""
    path, raw = store.path(*about), store.signature(data, *about) + data
    if len(raw) > LARGEST:
        raise files.WriteError(path, f"{len(raw)} bytes are more than {LARGEST}")
    files.make_folders(store.folder)
    files.replace(path, raw, sync=False)  # what a power cut leaves of it has no signature
    _prune(store)
    return raw


def remove(store: PrivateStore, *about: str) -> None:
    """Forgets what was kept about this. To be called while `alone`. Raises WriteError."""
    path = store.path(*about)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise files.failure(path, error) from error


class _StoredFile(NamedTuple):
    at: float
    path: str
    size: int


def _prune(store: PrivateStore) -> None:
    """Removes the oldest files of this repository, and of all, beyond what is kept. What cannot be removed stays."""
    folder = os.path.join(store.home, _FOLDER)
    with contextlib.suppress(OSError):
        for old in sorted(_kept(store.folder), reverse=True)[MOST_FILES:]:
            os.unlink(old.path)
        total = 0
        for kept in sorted(
            (one for name in os.listdir(folder) for one in _kept(os.path.join(folder, name))), reverse=True
        ):
            total += kept.size
            if total > MOST_BYTES:
                os.unlink(kept.path)
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.dirname(kept.path))


def _kept(folder: str) -> Iterator[_StoredFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                yield _StoredFile(found.st_mtime, entry.path, found.st_size)
