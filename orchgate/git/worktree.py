"""What the files of the work tree hold right now, as the ids git would give them, or as one tree object.

Clean files are answered from the index, without being opened; the others are hashed here. No filter of the user's runs:
an id says what is on disk, byte for byte. The repository never sees the tree object: it is built with an index and an
object store of our own. Here, too: how git merges the files in `.orchgate`, said by a line of its `.gitattributes`.
"""

from __future__ import annotations

import contextlib
import os
import stat

from orchgate.errors import TooLarge, Unreadable
from orchgate.git import objects
from orchgate.git.call import NO_HOOKS, Git, names
from orchgate.git.snapshot import SYMLINK, FolderSnapshot, TreeEntry
from orchgate.lib import files
from orchgate.lib.files import NotRegularFileError, open_regular
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from orchgate.git.repository import Repository
    from orchgate.model import Change

CHUNK = 1 << 20
ALGORITHMS = {40: "sha1", 64: "sha256"}


class Files(NamedTuple):
    """Tracked and untracked files, without those git ignores.

    `clean` are as the index says, with `<mode> <id>`; `dirty` have to be read. `nested` are repositories inside that
    git does not enter, with a slash at the end.
    """

    clean: Mapping[str, str]
    dirty: frozenset[str]
    nested: tuple[str, ...]


def listed_files(repository: Repository, folders: Iterable[str] = ()) -> Files:
    """The files below some folders (none: all of them), in one call of git. Raises GitError."""
    # `-v` tells which entries git was asked not to look at: their index entry says nothing about the disk.
    options = ("ls-files", "-z", "-v", "--stage", "--cached", "--modified", "--others", "--exclude-standard")
    clean: dict[str, str] = {}
    dirty: set[str] = set()
    nested: list[str] = []
    for record in names(repository.git(*options, "--", *folders)):
        header, _, path = record[2:].partition("\t")
        if record[0] == "H" and header.endswith(" 0"):  # stage 0: not in the middle of a merge
            clean[path] = header[:-2]
        elif record[0] != "?":
            dirty.add(path)
        elif record.endswith("/"):
            nested.append(record[2:])
        else:
            dirty.add(record[2:])
    for path in dirty:
        clean.pop(path, None)
    return Files(clean, frozenset(dirty), tuple(nested))


def algorithm(repository: Repository) -> str:
    """The name of the repository's hash, as hashlib knows it."""
    return ALGORITHMS[len(repository.empty_tree)]


def blob(path: str, algorithm: str, *, follow: bool = False, limit: int) -> tuple[str, int] | None:
    """`<mode> <id>` of a file on disk, and how many bytes it has; None when it is not there.

    The id is that of `git hash-object --no-filters`. A link is its target's name, or with `follow` what it leads to.
    Raises Unreadable for what is not a regular file, larger than `limit` bytes, or cannot be read.
    """
    try:
        status = os.stat(path) if follow else os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(path))
            return f"{SYMLINK} {_id([target], len(target), algorithm, path)}", len(target)
        if stat.S_ISREG(status.st_mode) and status.st_size > limit:
            raise TooLarge(path, f"is larger than {limit} bytes")
        mode = "100755" if status.st_mode & 0o100 else "100644"
        with open(open_regular(path), "rb", buffering=0) as file:
            chunks = iter(lambda: file.read(CHUNK), b"")
            return f"{mode} {_id(chunks, status.st_size, algorithm, path)}", status.st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
    except NotRegularFileError as error:
        raise Unreadable(path, f"is {error.kind}, not a regular file") from error
    except OSError as error:
        raise Unreadable(path, f"cannot be read: {error.strerror}") from error


def _id(chunks: Iterable[bytes], size: int, algorithm: str, path: str) -> str:
    import hashlib

    digest = hashlib.new(algorithm, b"blob %d\0" % size, usedforsecurity=False)
    read = 0
    for chunk in chunks:
        digest.update(chunk)
        read += len(chunk)
    if read != size:
        raise Unreadable(path, "changed while it was read")
    return digest.hexdigest()


class OnDisk(FolderSnapshot):
    """The work tree as the next commits may hold it: tracked files, and those git does not ignore, as they are now.

    Below the `untracked` folders only what git tracks counts. Raises GitError.
    """

    def __init__(self, repository: Repository, untracked: Iterable[str]) -> None:
        super().__init__(repository.root)
        self._git = repository.git
        self._untracked = tuple(folder + "/" for folder in untracked)

    @cached_property
    def entries(self) -> Mapping[str, TreeEntry]:
        tracked = names(self._git("ls-files", "-z"))
        others = names(self._git("ls-files", "-z", "--others", "--exclude-standard"))
        listed = {*tracked, *(path for path in others if not path.startswith(self._untracked))}
        found: dict[str, TreeEntry] = {}
        for path in sorted(listed):
            try:
                mode = os.lstat(os.path.join(self._root, path)).st_mode
            except OSError:
                continue  # deleted, and not yet from the index
            if not stat.S_ISDIR(mode):  # a repository inside
                found[path] = TreeEntry(SYMLINK if stat.S_ISLNK(mode) else "100644", "")
        return found


LARGEST = 64 * 1024 * 1024  # bytes of a file that is still looked into; larger untracked ones do not count
_LISTED = ("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard")


class Footprints:
    """Takes footprints of one work tree; `store` is a folder for what that needs, removed before and after."""

    def __init__(self, repository: Repository, store: str, ignored: Collection[str]) -> None:
        """`ignored` are folders at the top that do not count. Raises GitError, OSError."""
        self._repository = repository
        self._ignored = tuple(f"{name}/" for name in ignored)
        self._store = store
        objects = os.path.join(store, "objects")
        import shutil

        shutil.rmtree(store, ignore_errors=True)  # of a process that was killed
        os.makedirs(objects)
        real = os.path.join(repository.root, os.fsdecode(repository.git("rev-parse", "--git-path", "objects"))[:-1])
        known = repository.git.env.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "")
        self._index = os.path.join(store, "index")
        self._git = Git(repository.root, {**repository.git.env, **self._environ(objects, f"{real}:{known}")}, NO_HOOKS)

    def _environ(self, objects: str, real: str) -> Mapping[str, str]:
        return {
            "GIT_INDEX_FILE": self._index,
            "GIT_OBJECT_DIRECTORY": objects,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": real.rstrip(":"),
        }

    def close(self) -> None:
        import shutil

        shutil.rmtree(self._store, ignore_errors=True)

    def take(self) -> str:
        """Hex id of a tree with every file that git does not ignore. Raises GitError, OSError."""
        source = self._repository.git.env.get("GIT_INDEX_FILE") or os.path.join(self._repository.git_dir, "index")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._index)
        import shutil

        with contextlib.suppress(FileNotFoundError):  # nothing was ever added
            shutil.copy2(source, self._index)  # what it knows of files saves reading them; its age tells how far
        listed = (name for name in names(self._git(*_LISTED)) if not name.startswith(self._ignored))
        chosen = [name for name in dict.fromkeys(listed) if self._is_readable(name)]
        self._git("update-index", "--add", "--remove", "--replace", "-z", "--stdin", input=_joined(chosen))
        return self._git("write-tree").decode("ascii").strip()

    def _is_readable(self, name: str) -> bool:
        path = os.path.join(self._repository.root, name)
        try:
            found = os.lstat(path)
        except OSError:
            return True  # it was removed
        if not stat.S_ISREG(found.st_mode):
            return stat.S_ISLNK(found.st_mode)
        return found.st_size <= LARGEST and os.access(path, os.R_OK)

    def changes(self, before: str, after: str) -> tuple[Change, ...]:
        """What differs between two footprints. Raises GitError."""
        return objects.changes(self._git, before, after)

    def status(self) -> str:
        """`git status` in its short form, untracked files not counted one by one. Raises GitError."""
        options = ("--porcelain=v1", "--branch", "--untracked-files=normal")
        return self._repository.git("status", *options).decode("utf-8", "replace")

    def listing(self) -> list[str]:
        """Every path that git tracks or would. Raises GitError."""
        found = names(self._repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard"))
        return sorted({name for name in found if not name.startswith(self._ignored)})


def _joined(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


GITATTRIBUTES = ".gitattributes"
_MOST_ATTRIBUTES = 1 << 20  # bytes


def add_attribute(folder: str, line: str) -> None:
    """Adds a line to `.gitattributes` unless there is one for its file, whatever somebody decided there.

    Raises WriteError.

    Nobody else may change the folder meanwhile.
    """
    path = os.path.join(folder, GITATTRIBUTES)
    if os.path.islink(path):  # git obeys none
        return
    try:
        text = files.read(path, _MOST_ATTRIBUTES)
    except FileNotFoundError:
        text = b""
    except OSError as error:
        raise files.failure(path, error) from error
    known = [words[0] for words in map(bytes.split, text.splitlines()) if words]
    if line.split(maxsplit=1)[0].encode() not in known:
        start = text if not text or text.endswith(b"\n") else text + b"\n"
        files.replace(path, start + line.encode() + b"\n")


_LONGEST_PATH = 1 << 16  # bytes


def indexed_bytes(root: str, id_bytes: int) -> int:
    """Bytes of all tracked files of a work tree of ours, as its index has them, with ids of that length.

    Each entry has ten numbers, the size last, an id, flags and a name, and ends with zero bytes at a multiple of eight.
    Raises OSError, and ValueError for an index that is written in another way.
    """
    with open(os.path.join(root, ".git"), "rb") as file:
        git_dir = os.fsdecode(file.read(_LONGEST_PATH).removeprefix(b"gitdir: ").rstrip(b"\n"))
    with open(os.path.join(root, git_dir, "index"), "rb") as file:
        index = file.read()
    version, count = int.from_bytes(index[4:8], "big"), int.from_bytes(index[8:12], "big")
    if index[:4] != b"DIRC" or version not in (2, 3):  # in version 4 names build on each other
        raise ValueError("not an index of version 2 or 3")
    total, start, fixed = 0, 12, 40 + id_bytes
    for _ in range(count):
        total += int.from_bytes(index[start + 36 : start + 40], "big")
        # An id may hold zero bytes, so the end is looked for behind it; extended flags are two bytes more.
        name = start + fixed + (4 if index[start + fixed] & 0x40 else 2)
        start += (index.index(b"\0", name) - start) // 8 * 8 + 8
    return total
