"""A repository as the gate sees it: where it is, what is in it, and refs resolved once to hex ids."""

from __future__ import annotations

import os
from functools import partial
from itertools import takewhile

from orchgate.errors import GitError
from orchgate.git import objects
from orchgate.git.call import FETCH_OBJECTS, Git, common_dir, failed, names, too_old
from orchgate.git.objects import Blobs
from orchgate.git.snapshot import GitSnapshot, TreeEntry
from orchgate.lib import cache
from orchgate.lib.typed import TYPE_CHECKING, cached_property

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Self

    from orchgate.git.paths import ChosenPaths, PathChoice
    from orchgate.git.refs import Refs
    from orchgate.git.snapshot import Lfs
    from orchgate.git.trees import LookedUp, Trees
    from orchgate.lib.cache import Cache
    from orchgate.model import Change


class Repository:
    """An open repository. `root` is the top of the work tree, "" in a bare repository."""

    def __init__(self, git: Git, root: str, git_dir: str, *, shallow: bool, object_format: str) -> None:
        self.git = git
        self.root = root
        self.git_dir = git_dir
        self.shallow = shallow
        self.empty_tree = objects.EMPTY_TREE[object_format]
        self.blobs = Blobs(git)
        self._differs: tuple[str, str, Mapping[bytes, str] | None] | None = None  # two trees, and how they did last
        self._listed: tuple[str, bytes] | None = None  # a tree, and what git said of it last

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def cache(self) -> Cache | None:
        """What was worked out before, shared by all work trees; None where nothing is to be taken from there."""
        return cache.of(common_dir(self.git_dir), self.git.env)

    @cached_property
    def head(self) -> str | None:
        """The commit HEAD names; None before the first commit. Raises GitError when that commit is not here."""
        found = self.blobs.resolve("HEAD^{commit}")
        if found is not None:
            return found.oid
        named = self.git.attempt("rev-parse", "--verify", "--quiet", "HEAD")
        if named.code == 0:
            raise GitError(f"HEAD names {os.fsdecode(named.stdout).strip()}, which is not here", "git fsck")
        return None

    @cached_property
    def branch(self) -> str:
        """Short name of the branch HEAD is on; "" when detached."""
        # Not `--short`: beside a tag of the same name that says "heads/main".
        completed = self.git.attempt("symbolic-ref", "--quiet", "HEAD")
        return os.fsdecode(completed.stdout).strip().removeprefix("refs/heads/")

    def commit(self, revision: str) -> str | None:
        """Hex id of the commit a revision names; None when there is none here."""
        completed = self.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        oid = completed.stdout.decode("ascii").strip()
        # "^HEAD" resolves too, to "^<id>": a commit to leave out.
        return oid if completed.code == 0 and oid.isalnum() else None

    def kind(self, oid: str) -> str | None:
        """What an object is: commit, tag, tree or blob; None when it is not here."""
        found = self.blobs.resolve(oid)
        return found.kind if found else None

    def start_of(self, oid: str, limit: int) -> tuple[int, bytes]:
        """The size of an object in bytes, and its first `limit` ones. Raises GitError when it is not here."""
        found = self.blobs.resolve(oid, limit)
        if found is None:
            raise GitError(f"object {oid} is missing from this repository", FETCH_OBJECTS)
        return found.size, found.content

    def require_commit(self, revision: str) -> str:
        """As `commit`. Raises GitError with the command that would bring the commit here."""
        found = self.commit(revision)
        if found is None:
            raise GitError(f"no commit {revision!r} in this repository", self.refs.bring_revision(revision))
        return found

    def here(self, oid: str) -> str | None:
        """The commit of an object id (a tag's id: what it points at); None for zeros and for what is not here."""
        found = self.blobs.resolve(f"{oid}^{{commit}}") if oid.isalnum() and oid.strip("0") else None
        return found.oid if found else None

    @cached_property
    def refs(self) -> Refs:
        """Branches, remotes and their tracking refs."""
        from orchgate.git import refs

        return refs.read(self.git, shallow=self.shallow)

    @property
    def deepen(self) -> str:
        """The command that brings missing history."""
        return self.refs.bring(next(iter(self.refs.remotes), ""))

    def named_parents(self, commit: str) -> tuple[str, ...]:
        """Parents that a commit names, also where a shallow clone cut them off."""
        found = self.blobs.resolve(commit)
        # A commit is "tree", then its parents, then the rest, which anybody may write "parent " into.
        lines = found.content.split(b"\n")[1:] if found else []
        return tuple(line[7:].decode("ascii") for line in takewhile(lambda line: line.startswith(b"parent "), lines))

    def parents(self, commit: str) -> tuple[str, ...]:
        """Parents of a commit that are here. A shallow clone's boundary has none: GitError."""
        parents = self.named_parents(commit)
        for parent in parents:
            if self.shallow and self.commit(parent) is None:
                raise GitError(f"the parent of {commit[:12]} is not here", self.deepen)
        return parents

    def changes(self, base: str | None, head: str | None) -> tuple[Change, ...]:
        """Changes from a commit (None: nothing) to another (None: the index)."""
        return objects.changes(self.git, base or self.empty_tree, head)

    def patch(self, base: str | None, head: str | None, paths: Sequence[str] = (), *, renames: bool = True) -> bytes:
        """The unified diff between two commits (head None: the index), every file shown as text."""
        return objects.patch_bytes(self.git, base or self.empty_tree, head, paths, renames=renames)

    @cached_property
    def index(self) -> GitSnapshot:
        """The tree the next commit will have; honours GIT_INDEX_FILE."""
        return GitSnapshot(self._list_index, self.blobs, self._grep("--cached"), ":0:", self._lfs)

    def tree(self, commit: str) -> GitSnapshot:
        """The tree of a commit."""
        return GitSnapshot(lambda: self._list_tree(commit), self.blobs, self._grep(commit), commit + ":", self._lfs)

    def snapshot(self, head: str | None) -> GitSnapshot:
        """The tree of a commit, or the index for None."""
        return self.index if head is None else self.tree(head)

    @cached_property
    def _trees(self) -> Trees:
        from orchgate.git.trees import Trees

        return Trees(self.blobs, len(self.empty_tree))

    def looked_up(self, commit: str | None, changes: Iterable[Change] | None = None) -> GitSnapshot:
        """The tree of a commit (None: nothing), or with `changes` the index that differs from it by all of these.

        It answers as `tree` and `index` do; nothing is listed for a few paths.
        """
        from orchgate.git.trees import LookedUp, LookedUpSnapshot

        tree = f"{commit}^{{tree}}" if commit else self.empty_tree
        changed: dict[str, TreeEntry | None] = {}
        for change in changes or ():
            if change.old_path:
                changed.setdefault(change.old_path, None)
            changed[change.path] = None if change.deleted else TreeEntry(change.new_mode, change.new_oid)
        name = commit or self.empty_tree
        list_all = self._list_index if changes is not None else partial(self._list_tree, name)
        asked = (
            ("ls-files", "-z") if changes is not None else ("ls-tree", "-r", "-z", "--full-tree", "--name-only", name)
        )
        grep = self._grep("--cached" if changes is not None else name)
        entries = LookedUp(self._trees, tree, changed, list_all, lambda: os.fsdecode(self.git(*asked)))
        return LookedUpSnapshot(
            entries, self.blobs, grep, self._lfs, choose=partial(self._chosen, entries), kept=self.cache
        )

    def _chosen(self, entries: LookedUp, choice: PathChoice) -> ChosenPaths | None:
        from orchgate.git.paths import KeptPaths

        found = self.blobs.resolve(entries.tree, 0) if self.cache is not None else None
        if self.cache is None or found is None:
            return None

        changed = {path: entry.mode if entry else "" for path, entry in entries.changed.items()}
        return KeptPaths(self._differing, self.cache, choice, self._modes).of(found.oid, changed)

    @property
    def nothing(self) -> GitSnapshot:
        """An empty tree: what a first commit starts from."""
        return GitSnapshot(dict, self.blobs, lambda _: frozenset(), "", self._lfs)

    def _lfs(self) -> Lfs:
        from orchgate.git.snapshot import Lfs

        return Lfs(self.root, common_dir(self.git_dir))

    def _list_index(self) -> dict[str, TreeEntry]:
        entries: dict[str, TreeEntry] = {}
        end = 7 + len(self.empty_tree)  # "<mode> <id> <stage>\t<path>": all but the path has a fixed width
        for record in names(self.git("ls-files", "--stage", "-z")):
            path = record[end + 3 :]
            if record[end + 1] != "0":
                raise GitError(f"{path} is unmerged", "resolve the conflict, then: git add <path>")
            entries[path] = TreeEntry(record[:6], record[7:end])
        for path in self._intents(entries):
            del entries[path]
        return entries

    def _intents(self, entries: Mapping[str, TreeEntry]) -> frozenset[str]:
        """Paths of `git add --intent-to-add`: listed as empty files, but the next commit will not have them.

        Only an index of version 3 or later can hold such entries; most are version 2 and cost no further question.
        """
        empty = objects.EMPTY_BLOB[len(self.empty_tree)]
        if self._index_version() < 3 or all(entry.oid != empty for entry in entries.values()):
            return frozenset()
        base = self.head or self.empty_tree
        seen, real = (
            {change.path for change in objects.changes(self.git, base, None, option) if change.new_oid == empty}
            for option in ("--ita-visible-in-index", "--ita-invisible-in-index")
        )
        return frozenset(seen - real)

    def _index_version(self) -> int:
        path = self.git.env.get("GIT_INDEX_FILE") or os.path.join(self.git_dir, "index")
        try:
            with open(path, "rb") as file:
                return int.from_bytes(file.read(8)[4:], "big")
        except FileNotFoundError:  # nothing was ever added
            return 0
        except OSError as error:
            raise GitError(f"the index cannot be read: {error.strerror}") from error

    def listing(self, tree: str) -> Mapping[str, TreeEntry] | None:
        """Every path of a tree or commit by its hex id; None when it is not here."""
        completed = self.git.attempt("ls-tree", "-r", "-z", "--full-tree", tree)
        return _entries(completed.stdout) if completed.code == 0 else None

    def _modes(self, tree: str) -> Iterator[tuple[str, str]]:
        """Every path of a tree with its mode. The first check of a clone asks for those of one tree several times."""
        if self._listed is None or self._listed[0] != tree:
            self._listed = tree, self.git("ls-tree", "-r", "-z", "--full-tree", tree)
        return ((record.partition("\t")[2], record[:6]) for record in names(self._listed[1]))

    def _differing(self, before: str, after: str) -> Mapping[bytes, str] | None:
        """What differs between two trees. Once for all that is chosen of them."""
        from orchgate.git.paths import differing

        if self._differs is None or self._differs[:2] != (before, after):
            self._differs = before, after, differing(self.git, before, after)
        return self._differs[2]

    def _list_tree(self, commit: str) -> dict[str, TreeEntry]:
        return _entries(self.git("ls-tree", "-r", "-z", "--full-tree", commit))

    def _grep(self, where: str) -> _Grep:
        return _Grep(self.git, where)

    def close(self) -> None:
        self.blobs.close()


def _entries(listed: bytes) -> dict[str, TreeEntry]:
    """What `git ls-tree -z` prints."""
    entries: dict[str, TreeEntry] = {}
    for record in names(listed):
        header, path = record.split("\t", 1)
        mode, _, oid = header.split(" ")
        entries[path] = TreeEntry(mode, oid)
    return entries


class _Grep:
    """Files of one tree that contain one of the strings."""

    def __init__(self, git: Git, where: str) -> None:
        self._git = git
        self._where = where

    def __call__(self, wanted: tuple[str, ...]) -> frozenset[str]:
        patterns = "\n".join(name for name in wanted if name and "\n" not in name)
        if not patterns:
            return frozenset()
        # `-a`: an attribute that hides a document's diff must not hide what it mentions.
        options = ("grep", "--full-name", "--no-color", "--no-recurse-submodules", "-l", "-z", "-a", "-F", "-f", "-")
        completed = self._git.attempt(*options, self._where, "--", input=os.fsencode(patterns))
        if completed.code not in (0, 1):
            raise failed(("grep",), completed.stderr)
        prefix = "" if self._where == "--cached" else self._where + ":"
        return frozenset(name.removeprefix(prefix) for name in names(completed.stdout))


class ObjectStore(Repository):
    """A repository as nothing but its objects: the same judgement wherever a commit is judged.

    Neither a work tree nor an index is looked at, and no branch, which the next clone may not have.
    """

    branch = ""
    MOST_TREES = 4  # that stay listed: the tree of one commit is the base of the next

    def looked_up(self, commit: str | None, changes: Iterable[Change] | None = None) -> GitSnapshot:
        """As of every repository. A tree that was asked for lately is the same value, with all that it knows by now."""
        if commit is None or changes is not None:
            return super().looked_up(commit, changes)
        found = self._seen.pop(commit, None) or super().looked_up(commit)
        while len(self._seen) >= self.MOST_TREES:
            del self._seen[next(iter(self._seen))]
        self._seen[commit] = found
        return found

    @cached_property
    def _seen(self) -> dict[str, GitSnapshot]:
        return {}

    def turn_to(self, commit: str) -> None:
        """From now on, what is judged is this commit."""
        vars(self)["head"] = commit

    @cached_property
    def refs(self) -> Refs:
        from orchgate.git.refs import Refs as Known

        return Known({}, {}, {}, {}, self.shallow)


def open_objects(git_dir: str, environ: Mapping[str, str], cache: Cache | None) -> ObjectStore:
    """The objects of a git directory; `cache` is where what is worked out of them is kept. Raises GitError."""
    # A work tree without files: attributes of whatever is checked out somewhere must not hide a line.
    git = Git(git_dir, {**environ, "GIT_DIR": git_dir, "GIT_WORK_TREE": git_dir})
    completed = git.attempt("rev-parse", "--is-shallow-repository", "--show-object-format")
    fields = os.fsdecode(completed.stdout).split()
    if completed.code != 0 or len(fields) != 2 or fields[1] not in objects.EMPTY_TREE:
        raise failed(("rev-parse",), completed.stderr)
    store = ObjectStore(git, "", git_dir, shallow=fields[0] == "true", object_format=fields[1])
    vars(store)["cache"] = cache
    return store


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
    if fields[2] not in objects.EMPTY_TREE:  # a git that does not know the question repeats it
        raise too_old() or GitError(f"the repository's object format, {fields[2]}, is not known")
    bare = fields[0] == "true"
    if len(fields) != (5 if bare else 6):  # a folder name with a line break: ask for each path alone
        git_dir, root = (_path(git, option) for option in (asked[-1], "--show-toplevel"))
    else:
        git_dir, root = fields[3:5]
    if not environ.get("GIT_DIR"):
        _refuse_strangers(where, git_dir, "" if environ.get("GIT_WORK_TREE") else root)
    return Repository(
        _bound(git, root, git_dir, environ), root, git_dir, shallow=fields[1] == "true", object_format=fields[2]
    )


def _refuse_strangers(where: str, git_dir: str, root: str) -> None:
    """Refuses a repository that somebody else chose by what they put into this one. Raises GitError.

    Any clone can carry a bare repository as ordinary files, and git obeys the configuration in it as soon as it is the
    current folder; and any configuration can name another folder of the user's as the work tree.
    """
    here, store = os.path.realpath(where), os.path.realpath(git_dir)
    if os.path.basename(store) != ".git" and _is_below(here, store):
        around = os.path.dirname(store)
        while around != os.path.dirname(around) and not os.path.lexists(os.path.join(around, ".git")):
            around = os.path.dirname(around)
        if os.path.lexists(os.path.join(around, ".git")):
            hint = "leave that folder; or, if the repository is yours, name it: GIT_DIR=. in the environment"
            raise GitError(f"{git_dir} is a bare repository among the files of {around}", hint)
    if root and not _is_below(here, os.path.realpath(root)):
        hint = "git config --unset core.worktree; or work in that folder"
        raise GitError(f"core.worktree names {root}, and {where} is not in it", hint)


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _path(git: Git, option: str) -> str:
    return os.fsdecode(git.attempt("rev-parse", option).stdout)[:-1]


def _bound(git: Git, root: str, git_dir: str, environ: Mapping[str, str]) -> Git:
    """A git tied to the found repository by absolute paths, so that every later call runs at the top level.

    A hook's GIT_DIR can be relative to the folder it was started in, and `commit -- path` keeps its index in a
    temporary file: both have to survive the move. A relative GIT_INDEX_FILE counts from the top level, whatever the
    folder git is called in.
    """
    bound = {**environ, "GIT_DIR": git_dir}
    if root:
        bound["GIT_WORK_TREE"] = root
    if index := environ.get("GIT_INDEX_FILE"):
        bound["GIT_INDEX_FILE"] = os.path.join(root or os.path.abspath(git.cwd or os.curdir), index)
    return Git(root or git_dir, bound)
