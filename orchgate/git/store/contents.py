"""The tree that contents travel in, each under a name that says its SHA-256, and whatever else somebody put there.

Only as many levels as a layout has are looked at, so that a tree of trees of trees, which unfolds without end, costs
nothing.

New objects are kept aside, in quarantine, until it is known that they are wanted: git reads through that folder and
writes into it alone. A connection to a remote that is refused, interrupted or killed leaves nothing in the repository
but the folder, and the next connection removes it. It lies among the repository's own objects and is named as git names
its own of this kind, so that `git gc` removes it, too.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time

from orchgate.errors import GitError
from orchgate.git.call import NO_HOOKS, Git
from orchgate.git.objects import NoContent
from orchgate.lib import files
from orchgate.lib.files import sha256_hex
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchgate.git.objects import Blobs
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
        import zlib

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

    def commit(self, layout: RefLayout, wanted: Mapping[str, str], *parents: str | None) -> str:
        """A commit with a set of contents, object ids by name. Raises GitError."""
        folders: dict[tuple[str, ...], list[str]] = {}
        for name, oid in wanted.items():
            *above, file = layout.split(name)
            folders.setdefault(tuple(above), []).append(f"100644 blob {oid}\t{file}\0")
        while folders.keys() - {()}:
            folders = self._above(folders)
        tree = self._trees("".join(folders.get((), ())))[0]
        options = [word for parent in dict.fromkeys(parents) if parent for word in ("-p", parent)]
        message = f"{counted(len(wanted), layout.item)}\n".encode()
        return self.git("commit-tree", "--no-gpg-sign", *options, tree, input=message).decode("ascii").strip()

    def _above(self, folders: Mapping[tuple[str, ...], Sequence[str]]) -> dict[tuple[str, ...], list[str]]:
        """The entries of the folders one level up, when all are equally deep."""
        found: dict[tuple[str, ...], list[str]] = {}
        trees = self._trees("\0".join("".join(entries) for entries in folders.values()), "--batch")
        for (*above, name), oid in zip(folders, trees, strict=True):
            found.setdefault(tuple(above), []).append(f"040000 tree {oid}\t{name}\0")
        return found

    def _trees(self, entries: str, *options: str) -> list[str]:
        return self.git("mktree", "-z", *options, input=entries.encode("ascii")).decode("ascii").split()

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
    import shutil
    import tempfile

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
    import socket

    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return sha256_hex(f"{socket.gethostname()} {space}")[:12]


def _sweep(objects: str) -> None:
    """Takes away the folders of those who were killed."""
    import shutil

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


class RefLayout(NamedTuple):
    """Which reference contents travel under, and how their names are paths of its tree.

    `folders` are the forms of the folders on the way to a content, one for each level, and `file` that of its own name;
    `split` makes them of a name, and `joint` between them makes the name again. `sha256` is what a name says of its
    content. In words: `what` it all is, an `item` of it, and the `command` that moves it.
    """

    ref: str
    folders: tuple[re.Pattern[str], ...]
    file: re.Pattern[str]
    split: Callable[[str], Sequence[str]]
    joint: str
    sha256: Callable[[str], str]
    what: str
    item: str
    command: str

    @property
    def repair(self) -> str:
        """The command that forgets what our own reference names; the next fetch brings it again."""
        return f"git update-ref --no-deref -d {self.ref}"


REF = "refs/orchgate/evidence"
EVIDENCE = RefLayout(  # every content under its SHA-256, `ab/cdef…`
    REF,
    (lazy("[0-9a-f]{2}"),),
    lazy("[0-9a-f]{62}"),
    lambda name: (name[:2], name[2:]),
    "",
    str,
    "evidence",
    "artifact",
    "orchgate evidence",
)
MAX_TREE = 256 * 1024 * 1024  # bytes of one tree object: far more contents than any store holds
MOST_ENTRIES = 1 << 20  # contents, and folders of a level: trees that repeat each other unfold to any number
_TREE = "40000"
_MODE = "100644"
_REGULAR = "100"  # how the modes of regular files begin
_WINDOW = 128
_CHUNK = 1 << 20


class ContentTree(NamedTuple):
    """What a reference names. `oid` is None where there is none, `commit` where it leads to no commit.

    `kind` is what stands at its end, tags aside: commit, tree or blob. `contents` are object ids by name; `foreign` are
    entries that are none; `exact` says that there are none, and that the others have the mode that we write.
    """

    oid: str | None = None
    commit: str | None = None
    kind: str = ""
    contents: Mapping[str, str] = {}
    foreign: tuple[str, ...] = ()
    exact: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether it is a commit of ours, perhaps with something added; or nothing at all."""
        return self.oid is None or (self.commit is not None and bool(self.contents or not self.foreign))


def read_tree(blobs: Blobs, oid: str | None, layout: RefLayout, where: str, repair: str) -> ContentTree:
    """What an object that a reference names holds. Raises GitError, with the command `repair`, when it is not all here.

    `where` says which reference that is.
    """
    if oid is None:
        return ContentTree()
    commit = blobs.resolve(f"{oid}^{{commit}}")
    tree = blobs.resolve(f"{oid}^{{tree}}", 0)
    if tree is None:
        blob = blobs.resolve(f"{oid}^{{blob}}", 0)
        if blob is None:
            raise GitError(f"{where} names {oid}, which is not here, or not with all it holds", repair)
        return ContentTree(oid, None, "blob")
    found = _Sorted(blobs, layout, lambda reason: GitError(f"{where}: {reason}", repair))
    foreign = tuple(found.read(tree.oid))
    exact = not foreign and found.modes <= {_MODE}
    return ContentTree(oid, commit and commit.oid, "commit" if commit else "tree", found.contents, foreign, exact)


class _Sorted:
    """The contents of a tree by name, and their modes, once all of `read` was taken."""

    def __init__(self, blobs: Blobs, layout: RefLayout, damaged: Callable[[str], GitError]) -> None:
        self._blobs, self._layout, self._damaged = blobs, layout, damaged
        self.contents: dict[str, str] = {}
        self.modes: set[str] = set()

    def read(self, top: str) -> Iterator[str]:
        """The names of what is none."""
        folders: list[tuple[tuple[str, ...], str]] = [((), top)]
        for form in self._layout.folders:
            below = []
            for mode, path, oid in self._entries(folders):
                if mode == _TREE and form.fullmatch(path[-1]):
                    below.append((path, oid))
                    self._bound(len(below))
                else:
                    yield "/".join(path)
            folders = below
        for mode, path, oid in self._entries(folders):
            if mode.startswith(_REGULAR) and self._layout.file.fullmatch(path[-1]):
                self.contents[self._layout.joint.join(path)] = oid
                self.modes.add(mode)
                self._bound(len(self.contents))
            else:
                yield "/".join(path)

    def _entries(self, folders: Sequence[tuple[tuple[str, ...], str]]) -> Iterator[tuple[str, tuple[str, ...], str]]:
        trees = self._blobs.read_many([oid for _, oid in folders], MAX_TREE)
        for (path, oid), data in zip(folders, trees, strict=True):
            if isinstance(data, NoContent):
                raise self._damaged(f"{'/'.join(path)}/: {data.why}")
            for mode, name, inner in _entries(data, len(oid) // 2):
                yield mode, (*path, name), inner

    def _bound(self, number: int) -> None:
        if number > MOST_ENTRIES:
            raise self._damaged(f"holds more than {MOST_ENTRIES:,} entries")


def _entries(data: bytes, width: int) -> Iterator[tuple[str, str, str]]:
    """Mode, name and object id of each entry of a tree object; `width` is an id's length in bytes."""
    at = 0
    while at < len(data):
        end = data.find(b"\0", at)
        mode, _, name = data[at:end].partition(b" ")
        at = end + 1 + width
        if end < 0 or at > len(data):
            return  # cut off: git writes no such tree
        yield os.fsdecode(mode), os.fsdecode(name), data[end + 1 : at].hex()


def wrong(git: Git, layout: RefLayout, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Those of some contents, name and object id, that are not what their name says. However large, none is held.

    Raises GitError when one is not here.
    """
    import hashlib

    found = []
    with git.talking("cat-file", "--batch") as (ask, answers):
        for start in range(0, len(pairs), _WINDOW):  # few enough for the pipe to hold the questions
            window = pairs[start : start + _WINDOW]
            ask.write("".join(f"{oid}\n" for _, oid in window).encode("ascii"))
            ask.flush()
            for name, oid in window:
                fields = answers.readline().split()
                if len(fields) != 3:
                    raise GitError(f"the content {layout.sha256(name)[:12]} (object {oid}) is missing", "git fsck")
                digest, left = hashlib.sha256(), int(fields[2])
                while left > 0 and (part := answers.read(min(left, _CHUNK))):
                    digest.update(part)
                    left -= len(part)
                answers.read(1)
                if fields[1] != b"blob" or digest.hexdigest() != layout.sha256(name):
                    found.append(name)
    return found
