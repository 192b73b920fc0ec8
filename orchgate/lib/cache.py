"""What was worked out once and can be worked out again: bytes by a key, in the repository's own git folder.

An entry is whole or it is none: it holds its kind, its key and a digest, and whatever is cut, damaged, of another key
or written by other code is not there. The folder is ours alone, or it is not used. Nothing here is an error: what
cannot be read or written is done again. The key has to say everything that the content follows from.
"""

from __future__ import annotations

import os
import stat
import sys
from functools import cache

from orchgate.lib.hashes import digest, fingerprint
from orchgate.lib.typed import TYPE_CHECKING, suppress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VARIABLE = "ORCHGATE_NO_CACHE"
# A build server may keep the clone of somebody else's change: it takes nothing from it, and leaves nothing in it.
CI = ("CI", "TF_BUILD", "JENKINS_URL", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")
LONGEST = 64 * 1024 * 1024  # bytes of an entry
MOST_BYTES = 192 * 1024 * 1024  # of all entries
MOST = 400  # entries
_FRESH_SECONDS = 86_400.0  # an entry that is used counts as new again after this time, so that it stays
FACTS = ("tools",)  # kinds of entries that are what they are, whatever code reads them
_START = b"orchgate cache 1\n"
_DIGEST = 32  # bytes


def of(git_folder: str, environ: Mapping[str, str]) -> Cache | None:
    """The cache of a repository, by the git folder that all its work trees share; None where there is to be none."""
    if not git_folder or environ.get(VARIABLE) or any(environ.get(name) for name in CI):
        return None
    return Cache(os.path.join(git_folder, "orchgate"))


class Cache:
    """Entries in the folder `cache/` of a folder, which are made with the first entry that is written."""

    def __init__(self, above: str) -> None:
        self._above = above
        self._folder = os.path.join(above, "cache")
        self._shared: dict[tuple[str, bytes], bytes] = {}
        self.opened: dict[tuple[str, bytes], object] = {}  # what others made of entries
        self._last = ("", b""), (b"", "")

    def read(self, kind: str, key: bytes) -> bytes | None:
        """The content that was written for a key of a kind, None when there is none."""
        from orchgate.lib import files

        try:
            if not self._is_ours():
                return None
            head, path = _head(kind, key), self._path(kind, key)
            descriptor = files.open_regular(path, follow=False)
            try:
                start = len(head) + _DIGEST
                size = os.fstat(descriptor).st_size - start
                begin = os.pread(descriptor, start, 0)
                content = (
                    os.pread(descriptor, size, start) if 0 <= size <= LONGEST else b""
                )  # large ones are not copied
            finally:
                os.close(descriptor)
        except OSError:
            return None
        if len(content) != size or begin != head + _sum(kind, head, content):
            return None
        with suppress(OSError):
            _keep(path)
        return content

    def shared(self, kind: str, key: bytes) -> bytes | None:
        """As `read`, of what most often is the same for both trees that are compared: once for both."""
        content = self._shared.get((kind, key)) or self.read(kind, key)
        if content:
            self._shared[kind, key] = content
        return content

    def part(self, kind: str, key: bytes, start: int, size: int, *, again: bool = False) -> bytes | None:
        """Some bytes of the content, of a large one of which few are wanted; whoever asks knows their digest.

        `again`: that digest stood in a part read before, when it was seen whose the entry is.
        """
        from orchgate.lib import files

        try:
            if not again and not self._is_ours():
                return None
            head, path = self._located(kind, key)
            descriptor = files.open_regular(path, follow=False)
            try:
                if size > LONGEST or not (again or os.pread(descriptor, len(head), 0) == head):
                    return None
                data = os.pread(descriptor, size, len(head) + _DIGEST + start)
            finally:
                os.close(descriptor)
            if not again:
                _keep(path)
        except OSError:
            return None
        return data if len(data) == size else None

    def _located(self, kind: str, key: bytes) -> tuple[bytes, str]:
        """What an entry begins with, and its path. The one asked for last is asked for again."""
        if self._last[0] != (kind, key):
            self._last = (kind, key), (_head(kind, key), self._path(kind, key))
        return self._last[1]

    def write(self, kind: str, key: bytes, content: bytes) -> None:
        """Keeps the content for a key of a kind, instead of any other. No errors."""
        from orchgate.errors import OrchgateError
        from orchgate.lib import files

        with suppress(OSError, OrchgateError):
            head = _head(kind, key)
            if len(head) + _DIGEST + len(content) > LONGEST or not self._made():
                return
            self._make_room(len(content))
            data = b"".join((head, _sum(kind, head, content), content))
            files.replace_beside(self._path(kind, key), data)

    def remove(self, kind: str, key: bytes) -> None:
        """Removes what was written for a key of a kind. No errors."""
        self.opened.pop((kind, key), None)
        with suppress(OSError):
            if self._is_ours():
                os.unlink(self._path(kind, key))

    def _path(self, kind: str, key: bytes) -> str:
        return os.path.join(self._folder, f"{kind}-{_sum(kind, _head(kind, key)).hex()}")

    def _is_ours(self) -> bool:
        """Whether nobody else decides what is in the folder. Raises OSError when it is not there."""
        return _is_folder(os.lstat(self._above)) and _is_private(os.lstat(self._folder))

    def _made(self) -> bool:
        """As `_is_ours`, of a folder that is made where it is not there. Raises OSError."""
        with suppress(FileExistsError):
            os.mkdir(self._above)
        with suppress(FileExistsError):
            if _is_folder(os.lstat(self._above)):
                os.mkdir(self._folder, 0o700)
        return self._is_ours()

    def _make_room(self, size: int) -> None:
        """Removes the entries that were not used for the longest time, where there are too many."""
        entries = []
        with os.scandir(self._folder) as found:
            for entry in found:
                if entry.name.startswith("."):  # on its way
                    continue
                with suppress(FileNotFoundError):  # another process makes room, too
                    status = entry.stat(follow_symlinks=False)
                    entries.append((status.st_mtime_ns, status.st_size, entry.path))
        total = size + sum(size for _, size, _ in entries)
        if total <= MOST_BYTES and len(entries) < MOST:
            return
        count = len(entries)
        for _, freed, path in sorted(entries):
            if total <= MOST_BYTES // 2 and count <= MOST // 2:
                return
            with suppress(OSError):
                os.unlink(path)
            total, count = total - freed, count - 1


def _is_folder(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode)


def _is_private(status: os.stat_result) -> bool:
    return _is_folder(status) and status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _keep(path: str) -> None:
    import time

    if time.time() - os.lstat(path).st_mtime > _FRESH_SECONDS:
        os.utime(path, follow_symlinks=False)


def _head(kind: str, key: bytes) -> bytes:
    """What an entry begins with; no other kind, key or code has the same."""
    return b"".join((_START, b"" if kind in FACTS else identity(), f"\n{kind}\n{len(key)}\n".encode(), key, b"\n"))


def _sum(kind: str, *parts: bytes) -> bytes:
    """32 bytes by which an entry is found, and known to be whole.

    For facts, a few kilobytes, by the hash that a run has loaded anyway: to load another one takes longer.
    """
    return digest("sha256", b"".join(parts)) if kind in FACTS else fingerprint(*parts)


@cache
def identity() -> bytes:
    """The code that runs: another version, another commit of one version and another Python are other code.

    Hook runners install any commit of a branch, and all of them call themselves by one version. What is installed
    beside it counts, too: manifests are decoded by others. Raises OSError.
    """
    from orchgate import __version__

    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    installed = os.path.join(os.path.dirname(package), f"orchgate-{__version__}.dist-info", "RECORD")
    try:
        with open(installed, "rb") as file:  # the digest of every file, by whoever installed them
            code = file.read()
    except OSError:
        code = repr(sorted(_sources(package))).encode()
    beside = "\n".join(sorted(_installed())).encode("utf-8", "surrogateescape")
    return fingerprint(code, f"\n{__version__}\n{sys.version}\n".encode(), beside).hex().encode("ascii")


def _installed() -> Iterator[str]:
    """Which packages Python finds, with their versions."""
    for folder in sys.path:
        if folder.endswith("-packages"):
            with suppress(OSError):
                yield from (name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))


def _sources(package: str) -> Iterator[tuple[str, int, int, int]]:
    """Where, how long and of when each file of a package is that is not installed but worked on."""
    folders = [package]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    try:
                        status = entry.stat()
                    except OSError:  # of an editor: gone by now, or a link that is a lock
                        continue
                    yield entry.path, status.st_size, status.st_mtime_ns, status.st_ctime_ns
                elif "." not in entry.name and entry.name != "__pycache__":
                    folders.append(entry.path)
