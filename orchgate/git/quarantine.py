"""Objects kept aside until it is known that they are wanted: git reads through the folder and writes into it alone.

A connection to a remote that is refused, interrupted or killed leaves nothing in the repository but one folder, and the
next connection removes it. It lies among the repository's own objects and is named as git names its own of this kind,
so that `git gc` removes it, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import tempfile
import time
import zlib
from typing import TYPE_CHECKING

from orchgate.git.call import NO_HOOKS, Git
from orchgate.lib import files
from orchgate.lib.digest import sha256_hex

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.git.repository import Repository

_PREFIX = "tmp_objdir-orchgate-"
_FORGOTTEN = 24 * 3600  # seconds after which a folder of a machine that is not ours belongs to nobody
_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "orchgate"), ("EMAIL", "orchgate@orchgate.invalid"))
}


class Quarantine:
    """A folder of objects; `git` and `net` are git within it, without and with the network."""

    def __init__(self, repository: Repository, environ: Mapping[str, str], path: str, objects: str) -> None:
        self.path = path
        self._objects = objects
        self._hash = "sha1" if len(repository.empty_tree) == 40 else "sha256"
        inside = {**repository.git.env, **_WHO, "GIT_OBJECT_DIRECTORY": path}
        self.git = Git(repository.git.cwd, inside, NO_HOOKS)
        self.net = self.git.online(environ)

    def name(self, content: bytes) -> str:
        """The object id that a content has."""
        return hashlib.new(self._hash, _head(content) + content, usedforsecurity=False).hexdigest()

    def write(self, content: bytes) -> str:
        """Puts a content here as an object; its id. Raises WriteError."""
        oid = self.name(content)
        folder = os.path.join(self.path, oid[:2])
        full = os.path.join(folder, oid[2:])
        try:
            os.makedirs(folder, exist_ok=True)
            with open(full, "wb") as file:
                file.write(zlib.compress(_head(content) + content, 0))  # git compresses it when it is packed
        except OSError as error:
            raise files.failure(full, error) from error
        return oid

    def commit(self, wanted: Mapping[str, str], *parents: str | None) -> str:
        """A commit with a set of contents, object ids by SHA-256. Raises GitError."""
        folders: dict[str, list[str]] = {}
        for sha256, oid in wanted.items():
            folders.setdefault(sha256[:2], []).append(f"100644 blob {oid}\t{sha256[2:]}\0")
        inner = "\0".join("".join(entries) for entries in folders.values())
        trees = self.git("mktree", "-z", "--batch", input=inner.encode("ascii")).decode("ascii").split()
        top = "".join(f"040000 tree {oid}\t{name}\0" for name, oid in zip(folders, trees, strict=True))
        tree = self.git("mktree", "-z", input=top.encode("ascii")).decode("ascii").strip()
        options = [word for parent in dict.fromkeys(parents) if parent for word in ("-p", parent)]
        message = f"{len(wanted)} artifacts\n".encode()
        return self.git("commit-tree", "--no-gpg-sign", *options, tree, input=message).decode("ascii").strip()

    def pack(self) -> None:
        """Packs what lies here loose: git then writes it with the rights that the repository shares it by."""
        loose = {folder + name: os.path.join(self.path, folder, name) for folder, name in self._loose()}
        if loose:
            oids = "".join(f"{oid}\n" for oid in loose).encode("ascii")
            os.makedirs(os.path.join(self.path, "pack"), exist_ok=True)
            # Differences are looked for between neighbours by size only, such as two states of one file of lines.
            self.git("pack-objects", "--quiet", "--window=1", os.path.join(self.path, "pack", "pack"), input=oids)
        for full in loose.values():
            os.unlink(full)

    def _loose(self) -> Iterator[tuple[str, str]]:
        for folder in os.listdir(self.path):
            if len(folder) == 2:
                for name in os.listdir(os.path.join(self.path, folder)):
                    if not name.startswith("tmp_"):
                        yield folder, name

    def keep(self) -> None:
        """Moves everything into the repository. Raises GitError, WriteError."""
        self.pack()
        source, target = os.path.join(self.path, "pack"), os.path.join(self._objects, "pack")
        try:
            # An index makes its pack known: it comes last.
            names = sorted(_listed(source), key=lambda name: name.endswith(".idx"))
            if names:
                os.makedirs(target, exist_ok=True)
            for name in names:
                if name.startswith("pack-") and not name.endswith(".keep"):
                    os.rename(os.path.join(source, name), os.path.join(target, name))
            if names:
                files.sync_folder(target)
        except OSError as error:
            raise files.failure(target, error) from error


def _head(content: bytes) -> bytes:
    return b"blob %d\0" % len(content)


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def quarantine(repository: Repository, environ: Mapping[str, str]) -> Iterator[Quarantine]:
    """A folder for objects, gone afterwards; those that were left behind are swept. Raises GitError, WriteError."""
    git = repository.git
    asked = os.fsdecode(git("rev-parse", "--git-path", "objects")).removesuffix("\n")
    objects = os.path.abspath(os.path.join(git.cwd or os.curdir, asked))
    _sweep(objects)
    try:
        path = tempfile.mkdtemp(prefix=f"{_PREFIX}{_place()}-{os.getpid()}-", dir=objects)
    except OSError as error:
        raise files.failure(objects, error) from error
    try:
        _borrow(path, objects)
        yield Quarantine(repository, environ, path, objects)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _borrow(path: str, objects: str) -> None:
    """Lets git find in a folder what is in another one."""
    quoted = objects.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    full = os.path.join(path, "info", "alternates")
    try:
        os.mkdir(os.path.dirname(full))
        with open(full, "wb") as file:
            file.write(b'"' + os.fsencode(quoted) + b'"\n')
    except OSError as error:
        raise files.failure(full, error) from error


def _place() -> str:
    """Where process ids mean what they mean here: this machine, and this container on it."""
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return sha256_hex(f"{socket.gethostname()} {space}")[:12]


def _sweep(objects: str) -> None:
    """Takes away the folders of those who were killed."""
    for name in _listed(objects):
        if name.startswith(_PREFIX) and _is_abandoned(objects, name):
            shutil.rmtree(os.path.join(objects, name), ignore_errors=True)


def _is_abandoned(objects: str, name: str) -> bool:
    place, _, pid = name.removeprefix(_PREFIX).partition("-")
    pid = pid.partition("-")[0]
    if place == _place() and pid.isdecimal():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except (PermissionError, OverflowError):
            return False
        return int(pid) == os.getpid()
    with contextlib.suppress(OSError):
        return time.time() - os.stat(os.path.join(objects, name)).st_mtime > _FORGOTTEN
    return False
