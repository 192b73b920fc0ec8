"""What a run was a run of: commit, tree, and what the work tree held beside them."""

from __future__ import annotations

import contextlib
import os
import stat

from orchgate.errors import GitError, Unreadable
from orchgate.git.call import NO_HOOKS, Git, scrubbed
from orchgate.git.snapshot import SUBMODULE
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Self

    from orchgate.git.repository import Repository

    Contents = Mapping[str, str | None]
    from collections.abc import Mapping

MOST = 200  # files beside a commit that are recorded one by one; whoever has more commits first
LARGEST = 64 * 1024 * 1024  # bytes of a file that is hashed
UNKNOWN = "?"  # in the place of an object id: of a file that could not be read, or of a repository with changes inside


class WorkTreeState(NamedTuple):
    """Hex ids, None before the first commit; `branch` is None when HEAD is detached.

    `changed` and `untracked` hold what differed from the commit, by path: `<mode> <object id>` as git would store it,
    None for a file that was gone. They are None where nobody asked, or where there were more than `MOST`.
    """

    commit: str | None
    tree: str | None
    dirty: bool
    branch: str | None
    changed: Contents | None = None
    untracked: Contents | None = None


_STATUS = ("--porcelain=v2", "--branch", "--no-renames", "--no-ahead-behind", "--ignore-submodules=none", "-z")


class PendingStatus:
    """The state of a work tree, asked for now and answered when it is needed: git works meanwhile.

    `contents` asks for what differs from the commit, too. Without `filters` no program of the repository's settings is
    run: a file that one of them would translate counts as changed when it was touched, a submodule by its commit alone.
    """

    def __init__(self, repository: Repository | None, *, contents: bool = False, filters: bool = True) -> None:
        self._repository = repository
        self._contents = contents
        inside = () if filters else ("--ignore-submodules=dirty",)
        self._options = (*_STATUS, f"--untracked-files={'all' if contents else 'no'}", *inside)
        self._git: Git | None = None
        if repository is not None:
            self._git = repository.git if filters else repository.git.without_filters()
        self._status = self._git.converse("status", *self._options) if self._git else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            assert self._status.stdin is not None
            assert self._status.stdout is not None
            self._status.stdin.close()
            self._said = self._status.stdout.read()
            self._status.stdout.close()
            self._code = self._status.wait()

    def answer(self, ignored: Iterable[str] = ()) -> WorkTreeState | None:
        """The state, once the block is left; None outside of a repository. `ignored` are folders that do not count.

        Raises GitError.
        """
        if self._repository is None or self._git is None or self._status is None:
            return None
        git = self._git
        if self._code != 0:
            git("status", *self._options)  # says why
            raise GitError("git status failed, and then it did not", "run it again")
        lines = self._said.split(b"\0")
        state = _state(git, lines)
        if not self._contents:
            return state
        below = tuple(f"{folder.strip('/')}/" for folder in ignored)
        changed, untracked = _beside(lines, below)
        return state._replace(changed=_read(self._repository, changed), untracked=_read(self._repository, untracked))


def of(repository: Repository | None, ignored: Iterable[str]) -> WorkTreeState | None:
    """The state of a work tree as it is now, with what differs from the commit. Raises GitError."""
    with PendingStatus(repository, contents=True) as question:
        pass
    return question.answer(ignored)


def _state(git: Git, lines: list[bytes]) -> WorkTreeState:
    headers = dict(line[2:].split(b" ", 1) for line in lines if line.startswith(b"# branch."))
    commit = headers.get(b"branch.oid", b"(initial)").decode("ascii")
    branch = os.fsdecode(headers.get(b"branch.head", b"(detached)"))
    dirty = any(line[:2] in (b"1 ", b"2 ", b"u ") for line in lines)
    if commit == "(initial)":
        return WorkTreeState(None, None, dirty, branch)
    tree = git("rev-parse", "--verify", commit + "^{tree}").decode("ascii").strip()
    return WorkTreeState(commit, tree, dirty, None if branch == "(detached)" else branch)


_EDITED = "M"  # how `git status` says that files of a submodule differ from its commit; others may lie there


class _StatusEntry(NamedTuple):
    """A path that differs from the commit: its mode ("" for gone) and object id ("" for what the disk has to say)."""

    path: str
    mode: str
    oid: str = ""


def _beside(lines: Iterable[bytes], ignored: tuple[str, ...]) -> tuple[list[_StatusEntry], list[_StatusEntry]]:
    """The changed and the untracked entries of `git status`."""
    changed: list[_StatusEntry] = []
    untracked: list[_StatusEntry] = []
    for line in map(os.fsdecode, lines):
        kind, _, rest = line.partition(" ")
        if kind == "?":
            entry = _StatusEntry(rest, "", UNKNOWN) if rest.endswith("/") else _StatusEntry(rest, UNKNOWN)
        elif kind == "1":
            states, sub, _, _, mode, _, oid, path = rest.split(" ", 7)
            # A dot in the second place: the work tree has what the index has.
            known = oid if states[1] == "." else UNKNOWN if sub[0] == "S" and sub[2] == _EDITED else ""
            entry = _StatusEntry(path, mode.replace("000000", ""), known)
        elif kind == "u":
            entry = _StatusEntry(rest.split(" ", 9)[9], UNKNOWN)
        else:
            continue
        if not entry.path.startswith(ignored):
            (untracked if kind == "?" else changed).append(entry)
    return changed, untracked


def _read(repository: Repository, entries: list[_StatusEntry]) -> Contents | None:
    """What the entries are in the work tree; None for too many."""
    if len(entries) > MOST:
        return None
    found: dict[str, str | None] = {}
    unread: dict[str, str] = {}  # mode by path
    for entry in entries:
        mode = _mode(os.path.join(repository.root, entry.path)) if entry.mode == UNKNOWN else entry.mode
        if not entry.oid and mode:
            unread[entry.path] = mode
        there = entry.oid == UNKNOWN or (entry.oid and mode)
        found[shown(entry.path)] = f"{mode or UNKNOWN} {entry.oid}" if there else None
    moved = [path for path, mode in unread.items() if mode == SUBMODULE]
    found |= {shown(path): f"{SUBMODULE} {_head_of(repository, path)}" for path in moved}
    for path, oid in _hashes(repository, [path for path in unread if path not in moved]):
        found[shown(path)] = f"{unread[path]} {oid}"
    return found


def _head_of(repository: Repository, path: str) -> str:
    """The commit that a submodule is on; UNKNOWN where nobody can tell."""
    inside = Git(os.path.join(repository.root, path), scrubbed(repository.git.env))
    asked = inside.attempt("rev-parse", "--verify", "HEAD")
    return asked.stdout.decode("ascii").strip() if asked.code == 0 else UNKNOWN


def _mode(full: str) -> str:
    """An untracked file's mode as git would have it; "" for what is not there."""
    try:
        mode = os.lstat(full).st_mode
    except OSError:
        return ""
    return "120000" if stat.S_ISLNK(mode) else "100755" if mode & 0o100 else "100644"


def _hashes(repository: Repository, paths: list[str]) -> Iterator[tuple[str, str]]:
    """Object ids of files as git would store them, its filters and line breaks included; UNKNOWN where none can be had.

    A link is its target's name.
    """
    from orchgate.git import worktree

    plain = [path for path in paths if "\n" not in path and _is_small(os.path.join(repository.root, path))]
    lines = os.fsencode("".join(f"{path}\n" for path in plain))
    hashed = repository.git.attempt("hash-object", "--stdin-paths", input=lines) if plain else None
    ids = hashed.stdout.decode("ascii").split() if hashed and hashed.code == 0 else []
    if len(ids) == len(plain):
        yield from zip(plain, ids, strict=True)
    # A file that vanished meanwhile fails all of them.
    known = frozenset(plain) if len(ids) == len(plain) else frozenset()
    for path in (path for path in paths if path not in known):
        try:
            blob = worktree.blob(os.path.join(repository.root, path), worktree.algorithm(repository), limit=LARGEST)
        except Unreadable:
            blob = None
        yield path, UNKNOWN if blob is None else blob[0].partition(" ")[2]


def _is_small(full: str) -> bool:
    """Whether git may hash a file: what is not a file would keep it waiting."""
    try:
        status = os.lstat(full)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size <= LARGEST


def shown(path: str) -> str:
    """A path as manifests write it: bytes that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def around(here: str, environ: Mapping[str, str]) -> Repository | None:
    """The repository whose work tree a folder is in; None outside of any.

    Raises GitError for one that git refuses, and for a bare one, which has no work tree.
    """
    from orchgate.git.repository import open_repository

    if not environ.get("GIT_DIR") and not _is_in_repository(here):
        return None
    repository = open_repository(here, environ)
    if not repository.root:
        raise GitError("a bare repository has no work tree to run anything in", "run this in a clone")
    return repository


def _is_in_repository(folder: str) -> bool:
    """Whether there may be a repository: whoever has none needs no git either."""
    while True:
        if any(os.path.lexists(os.path.join(folder, name)) for name in (".git", "HEAD")):
            return True
        above = os.path.dirname(folder)
        if above == folder:
            return False
        folder = above


@contextlib.contextmanager
def everything_staged(repository: Repository, environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """An environment in which the index holds all that `git add --all` would take. Raises GitError, WriteError."""
    import shutil

    from orchgate.git.store.contents import quarantine

    with quarantine(repository, environ) as aside:
        index = os.path.join(aside.path, "index")
        there = repository.git.env.get("GIT_INDEX_FILE") or os.path.join(repository.git_dir, "index")
        try:
            if os.path.exists(there):  # nothing was ever added
                shutil.copyfile(there, index)
        except OSError as error:
            raise files.failure(index, error) from error
        inside = {**environ, "GIT_INDEX_FILE": index, "GIT_OBJECT_DIRECTORY": aside.path}
        added = Git(repository.root, inside, NO_HOOKS).attempt("add", "--all", "--", ".")
        if added.code != 0:
            reason = " ".join(os.fsdecode(added.stderr).split())
            raise GitError(f"the work tree cannot be read as a whole: {reason}", "git add --all --dry-run")
        yield inside
