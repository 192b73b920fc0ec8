"""Contents that travel with the repository: `refs/orchgate/evidence` of an ordinary remote.

The ref names a commit whose tree holds every content under its SHA-256, `ab/cdef…`. Such a tree is a set: two of them
are joined by taking the entries of both, so that two pushers never conflict, and a lost race is repeated. Old commits
stay parents of new ones; nothing is ever taken out.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple, Self

from orchgate import process
from orchgate.errors import GitError, quoted
from orchgate.git.call import NO_HOOKS, Git, failed, names

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from orchgate.git.repository import Repository

REF = "refs/orchgate/evidence"
_INCOMING = "refs/orchgate/incoming/"
RACES = 8  # lost in a row before we give up
_WHO = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "orchgate"), ("EMAIL", "orchgate@orchgate.invalid"))
}
# How a server says that the ref is not, or not any more, what it was.
_RACE = (
    "stale info",
    "fetch first",
    "cannot lock ref",
    "incorrect old value",
    "already exists",
    "failed to update ref",
)
# No hooks (ours would judge this push, too), no questions about signing, tags or submodules.
_PUSH = ("push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no")
_FETCH = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--refmap=",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-filter",
)


class Pushed(NamedTuple):
    """What a push did: contents that the remote did not have before, and how often another pusher was faster."""

    new: int
    races: int


class Store:
    """The contents of one repository. `known` reads the local ref; only `fetch` and `push` use the network."""

    def __init__(self, repository: Repository, environ: Mapping[str, str]) -> None:
        self._repository = repository
        self._git = Git(repository.git.cwd, {**repository.git.env, **_WHO}, NO_HOOKS)
        self._net = repository.git.online(environ)

    @property
    def head(self) -> str | None:
        """The commit the local ref names."""
        return self._repository.commit(REF)

    def tracked(self) -> Container[str]:
        """Paths of the work tree that git holds itself, also in the middle of a merge. Raises GitError."""
        return frozenset(names(self._git("ls-files", "-z")))

    def known(self) -> dict[str, str]:
        """Object ids by SHA-256, of everything that is here."""
        return self._contents(self.head)

    def _contents(self, commit: str | None) -> dict[str, str]:
        if commit is None:
            return {}
        listing = self._repository.listing(commit)
        if listing is None:
            raise GitError(f"{REF} names {commit}, which is not here", "git fsck")
        return {path.replace("/", "", 1): entry.oid for path, entry in listing.items()}

    def read(self, sha256: str, limit: int) -> bytes | None:
        """A content, checked against its name; None when it is not here. `limit` in bytes.

        Raises GitError when it is damaged or larger than the limit.
        """
        oid = self.known().get(sha256)
        return None if oid is None else next(self.read_many({sha256: oid}, limit))[1]

    def read_many(self, wanted: Mapping[str, str], limit: int) -> Iterator[tuple[str, bytes]]:
        """Contents by SHA-256 for object ids by SHA-256. Raises GitError."""
        import hashlib

        contents = self._repository.blobs.read_many(wanted.values(), limit)
        for sha256, content in zip(wanted, contents, strict=True):
            if isinstance(content, str):
                raise GitError(f"{REF}: {sha256[:12]}: {content}", "orchgate evidence fetch")
            if hashlib.sha256(content).hexdigest() != sha256:
                raise GitError(f"{REF} holds other bytes under the name {sha256[:12]}", "push the artifact again")
            yield sha256, content

    def fetch(self, remote: str) -> int:
        """Brings what a remote has here; returns how many contents are new. Raises GitError."""
        theirs = self._incoming(remote)
        before = self.known()
        if theirs is not None:
            self._join_locally(theirs)
        return len(self.known().keys() - before.keys())

    def push(self, remote: str, contents: Iterable[tuple[str, bytes]]) -> Pushed:
        """Adds contents (by SHA-256) to what is here, and everything that is here to a remote. Raises GitError."""
        added = self._write(contents)
        for races in range(RACES):
            theirs = self._incoming(remote)
            mine = self.head
            there = self._contents(theirs)
            wanted = {**self._contents(mine), **added, **there}
            commit = theirs if wanted == there else self._commit(wanted, [mine, theirs])
            if commit is None or commit == theirs or self._send(remote, commit, theirs):
                if commit is not None:
                    self._join_locally(commit)
                return Pushed(len(wanted) - len(there), races)
        raise GitError(f"{RACES} times another push to {REF} was faster", "orchgate evidence push, again")

    def _write(self, contents: Iterable[tuple[str, bytes]]) -> dict[str, str]:
        """Puts contents into the repository, where nothing refers to them yet; object ids by SHA-256."""
        known = self.known()
        added: dict[str, str] = {}
        writer: _Writer | None = None
        with contextlib.ExitStack() as stack:
            for sha256, content in contents:
                if sha256 not in known and sha256 not in added:
                    writer = writer or stack.enter_context(_Writer(self._git))
                    added[sha256] = writer.write(content)
        return added

    def _commit(self, wanted: Mapping[str, str], parents: Sequence[str | None]) -> str:
        """A commit with a set of contents, nothing referring to it yet."""
        lines = b"".join(
            f"100644 {oid}\t{sha256[:2]}/{sha256[2:]}".encode("ascii") + b"\0" for sha256, oid in wanted.items()
        )
        with tempfile.TemporaryDirectory(prefix="orchgate-") as folder:
            git = Git(self._git.cwd, {**self._git.env, "GIT_INDEX_FILE": os.path.join(folder, "index")}, NO_HOOKS)
            git("update-index", "-z", "--index-info", input=lines)
            tree = git("write-tree").decode("ascii").strip()
        known = [parent for parent in dict.fromkeys(parents) if parent is not None]
        options = [word for parent in known for word in ("-p", parent)]
        message = f"{len(wanted)} artifacts\n".encode()
        return self._git("commit-tree", "--no-gpg-sign", *options, tree, input=message).decode("ascii").strip()

    def _join_locally(self, commit: str) -> None:
        """Lets the local ref name a set with everything in it and in a commit. Raises GitError."""
        for _ in range(RACES):
            mine = self.head
            if mine == commit:
                return
            ours, theirs = self._contents(mine), self._contents(commit)
            ahead = commit if ours.keys() <= theirs.keys() else self._commit({**ours, **theirs}, [mine, commit])
            zero = "0" * len(commit)
            if self._git.attempt("update-ref", REF, ahead, mine or zero).code == 0:
                return
        raise GitError(f"{REF} is changed by somebody else all the time", "run it again")

    def _incoming(self, remote: str) -> str | None:
        """The commit a remote's ref names, brought here; None when it has none. Raises GitError."""
        there = self._remote_head(remote)
        # That the commit is here says nothing: a fetch that was killed may have left it without its contents.
        if there is None or self._is_in_ours(there):
            return there
        ref = _INCOMING + there  # a name of its own, so that two fetches never meet
        try:
            self._online(*_FETCH, "--end-of-options", remote, f"+{REF}:{ref}")
            return self._repository.commit(ref)
        finally:
            self._git.attempt("update-ref", "-d", ref)

    def _is_in_ours(self, commit: str) -> bool:
        head = self.head
        return head is not None and self._git.attempt("merge-base", "--is-ancestor", commit, head).code == 0

    def _remote_head(self, remote: str) -> str | None:
        listed = self._online("ls-remote", "--end-of-options", remote, REF)
        return next((line.split("\t")[0] for line in os.fsdecode(listed).splitlines() if line.endswith(REF)), None)

    def _send(self, remote: str, commit: str, expected: str | None) -> bool:
        """Whether the remote's ref went from what we expect to a commit; False when somebody else was faster."""
        lease = f"--force-with-lease={REF}:{expected or ''}"
        completed = self._net.attempt(*_PUSH, lease, "--end-of-options", remote, f"{commit}:{REF}")
        if completed.code == 0:
            return True
        refusal = next((line for line in os.fsdecode(completed.stdout).splitlines() if line.startswith("!")), "")
        if self._remote_head(remote) != expected or any(word in refusal for word in _RACE):
            return False
        if refusal:
            reason = refusal.rpartition("\t")[2]
            raise GitError(
                f"{remote} refuses {REF}: {reason}", "let the server accept refs/orchgate/*, or name another remote"
            )
        raise _unreachable(remote, completed)

    def _online(self, *args: str) -> bytes:
        completed = self._net.attempt(*args)
        if completed.code != 0:
            raise _unreachable(args[-2], completed)
        return completed.stdout

    def default_remote(self) -> str:
        """The remote of the current branch, origin where it has none, or the only one. Raises GitError."""
        known = os.fsdecode(self._git("remote")).splitlines()
        branch = self._repository.branch
        completed = self._git.attempt("config", "--get", f"branch.{branch}.remote")
        named = os.fsdecode(completed.stdout).strip()
        for remote in (named, "origin", *known[: len(known) == 1]):
            if remote in known:
                return remote
        raise GitError("there is no remote to keep evidence in", "git remote add origin ADDRESS, or name one")


def _unreachable(remote: str, completed: process.Completed) -> GitError:
    error = failed((), completed.stderr)
    return GitError(f"{remote}: {error.message.removeprefix('git : ')}", f"git ls-remote -- {quoted(remote)}")


class _Writer:
    """Writes contents as objects through one git, however many there are."""

    def __init__(self, git: Git) -> None:
        self._process = git.converse("fast-import", "--quiet", "--done")

    def __enter__(self) -> Self:
        return self

    def write(self, content: bytes) -> str:
        """The object id of a content. Raises GitError."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(b"blob\nmark :1\ndata %d\n" % len(content))
            stdin.write(content)
            stdin.write(b"\nget-mark :1\n")
            stdin.flush()
        except BrokenPipeError as error:
            raise _not_written() from error
        answer = stdout.readline().decode("ascii").strip()
        if not answer:
            raise _not_written()
        return answer

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # Without "done" git throws everything away; the objects are in the repository once it has ended well.
        if kind is not None:
            process.end(self._process, own_group=False)
        try:
            self._process.communicate(b"" if kind is not None else b"done\n")
        except (BrokenPipeError, ValueError):
            self._process.wait()
        if kind is None and self._process.returncode != 0:
            raise _not_written()


def _not_written() -> GitError:
    return GitError("git fast-import could not write objects", "df -h shows whether there is room; git fsck")
