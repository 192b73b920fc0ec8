"""A repository as the gate sees it: where it is, what is in it, and refs resolved once to hex ids."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from orchgate.errors import GitError
from orchgate.git import diff
from orchgate.git.blobs import Blobs
from orchgate.git.call import Git, failed, names
from orchgate.git.snapshot import Entry, GitSnapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.model import Change


class Repository:
    """An open repository. `root` is the top of the work tree, "" in a bare repository."""

    def __init__(self, git: Git, root: str, git_dir: str, *, shallow: bool, object_format: str) -> None:
        self.git = git
        self.root = root
        self.git_dir = git_dir
        self.shallow = shallow
        self.empty_tree = diff.EMPTY_TREE[object_format]
        self.blobs = Blobs(git)

    @cached_property
    def head(self) -> str | None:
        """The commit HEAD names; None before the first commit."""
        found = self.blobs.resolve("HEAD^{commit}")
        return found[0] if found else None

    @cached_property
    def branch(self) -> str:
        """Short name of the branch HEAD is on; "" when detached."""
        completed = self.git.attempt("symbolic-ref", "--quiet", "--short", "HEAD")
        return os.fsdecode(completed.stdout).strip()

    def commit(self, revision: str) -> str | None:
        """Hex id of the commit a revision names; None when there is none here."""
        completed = self.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        return completed.stdout.decode("ascii").strip() if completed.code == 0 else None

    def require_commit(self, revision: str) -> str:
        """As `commit`. Raises GitError with the command that would bring the commit here."""
        found = self.commit(revision)
        if found is None:
            raise GitError(f"no commit {revision!r} in this repository", self.deepen)
        return found

    @property
    def deepen(self) -> str:
        """The command that brings missing history."""
        if self.shallow:
            return "this is a shallow clone: git fetch --unshallow (in GitHub Actions: fetch-depth: 0 for actions/checkout)"
        return "git fetch origin (in GitHub Actions: fetch-depth: 0 for actions/checkout)"

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor of two commits; None for unrelated histories (or cut off by a shallow clone)."""
        completed = self.git.attempt("merge-base", one, other)
        if completed.code not in (0, 1):
            raise failed(("merge-base",), completed.stderr)
        return completed.stdout.decode("ascii").strip() or None

    def parents(self, commit: str) -> tuple[str, ...]:
        """Parents of a commit that are here. A shallow clone's boundary has none: GitError."""
        found = self.blobs.resolve(commit)
        headers = found[1].split(b"\n\n", 1)[0].splitlines() if found else []
        parents = tuple(line[7:].decode("ascii") for line in headers if line.startswith(b"parent "))
        for parent in parents:
            if self.shallow and self.commit(parent) is None:
                raise GitError(f"the parent of {commit[:12]} is not here", self.deepen)
        return parents

    def changes(self, base: str | None, head: str | None) -> tuple[Change, ...]:
        """Changes from a commit (None: nothing) to another (None: the index)."""
        return diff.changes(self.git, base or self.empty_tree, head)

    def patch(self, base: str | None, head: str | None, paths: tuple[str, ...], *, text: bool) -> bytes:
        return diff.patch_bytes(self.git, base or self.empty_tree, head, paths, text=text)

    @cached_property
    def index(self) -> GitSnapshot:
        """The tree the next commit will have; honours GIT_INDEX_FILE."""
        return GitSnapshot(self._list_index, self.blobs, self._grep("--cached"), ":0:")

    def tree(self, commit: str) -> GitSnapshot:
        """The tree of a commit."""
        return GitSnapshot(lambda: self._list_tree(commit), self.blobs, self._grep(commit), commit + ":")

    def snapshot(self, head: str | None) -> GitSnapshot:
        """The tree of a commit, or the index for None."""
        return self.index if head is None else self.tree(head)

    @property
    def nothing(self) -> GitSnapshot:
        """An empty tree: what a first commit starts from."""
        return GitSnapshot(dict, self.blobs, lambda _: frozenset(), "")

    def _list_index(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for record in names(self.git("ls-files", "--stage", "-z")):
            header, path = record.split("\t", 1)
            mode, oid, stage = header.split(" ")
            if stage != "0":
                raise GitError(f"{path} is unmerged", "resolve the conflict, then: git add <path>")
            entries[path] = Entry(mode, oid)
        return entries

    def _list_tree(self, commit: str) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for record in names(self.git("ls-tree", "-r", "-z", "--full-tree", commit)):
            header, path = record.split("\t", 1)
            mode, _, oid = header.split(" ")
            entries[path] = Entry(mode, oid)
        return entries

    def _grep(self, where: str) -> _Grep:
        return _Grep(self.git, where)

    def trailers(self, base: str | None, head: str | None) -> Mapping[str, tuple[str, ...]]:
        """Trailers of the commits in base..head by lower-case name; a commit in the making has no message yet."""
        if head is None:
            return {}
        span = head if base is None else f"{base}..{head}"
        output = self.git("log", "--format=%(trailers:only=true,unfold=true)", span, "--")
        found: dict[str, list[str]] = {}
        for line in output.decode("utf-8", "replace").splitlines():
            key, colon, value = line.partition(":")
            if colon:
                found.setdefault(key.strip().lower(), []).append(value.strip())
        return {key: tuple(values) for key, values in found.items()}

    def close(self) -> None:
        self.blobs.close()


class _Grep:
    """Markdown files of one tree that contain one of the strings."""

    def __init__(self, git: Git, where: str) -> None:
        self._git = git
        self._where = where

    def __call__(self, wanted: tuple[str, ...]) -> frozenset[str]:
        if not wanted:
            return frozenset()
        patterns = [part for name in wanted if "\n" not in name for part in ("-e", name)]
        options = ("grep", "--full-name", "--no-color", "-l", "-z", "-I", "-F", *patterns)
        # `--literal-pathspecs` is pinned, so the selection by suffix is ours.
        completed = self._git.attempt(*options, self._where, "--")
        if completed.code not in (0, 1):
            raise failed(("grep",), completed.stderr)
        prefix = "" if self._where == "--cached" else self._where + ":"
        found = (name.removeprefix(prefix) for name in names(completed.stdout))
        return frozenset(name for name in found if name.endswith(".md"))


def open_repository(where: str, environ: Mapping[str, str]) -> Repository:
    """The repository around a folder, or the one GIT_DIR names.

    Raises GitError outside a repository, and for one that belongs to somebody else.
    """
    git = Git(where, environ)
    asked = ("--is-bare-repository", "--is-shallow-repository", "--show-object-format", "--absolute-git-dir")
    completed = git.attempt("rev-parse", *asked, "--show-toplevel")
    fields = os.fsdecode(completed.stdout).split("\n")
    if len(fields) < 4 or (completed.code != 0 and fields[0] != "true"):
        raise failed(("rev-parse",), completed.stderr)
    bare = fields[0] == "true"
    if not bare and len(fields) != 6:  # a folder name with a line break: ask for each path alone
        git_dir, root = (os.fsdecode(git("rev-parse", option))[:-1] for option in (asked[-1], "--show-toplevel"))
    else:
        git_dir, root = fields[3], "" if bare else fields[4]
    return Repository(
        _bound(git, root, git_dir, environ), root, git_dir, shallow=fields[1] == "true", object_format=fields[2]
    )


def _bound(git: Git, root: str, git_dir: str, environ: Mapping[str, str]) -> Git:
    """git tied to the found repository by absolute paths, so that every later call runs at the top level.

    A hook's GIT_DIR and GIT_INDEX_FILE can be relative to the folder it was started in, and `commit -- path` keeps its
    index in a temporary file: both have to survive the move.
    """
    bound = {**environ, "GIT_DIR": git_dir}
    if root:
        bound["GIT_WORK_TREE"] = root
    if index := environ.get("GIT_INDEX_FILE"):
        bound["GIT_INDEX_FILE"] = os.path.join(os.path.abspath(git.cwd or os.curdir), index)
    return Git(root or git_dir, bound)


