"""Contents that travel with the repository: `refs/orchgate/evidence` of an ordinary remote.

The ref names a commit whose tree holds every content under its SHA-256, `ab/cdef…`. Such a tree is a set: two of them
are joined by taking the entries of both, so that two pushers never conflict, and a lost race is repeated. Old commits
stay parents of new ones; nothing is ever taken out. Our own ref joins what every remote gave us, and never travels.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import time

from orchgate.errors import GitError, quoted
from orchgate.git.call import Git, names
from orchgate.git.objects import Blobs, NoContent
from orchgate.git.store.contents import REF, EvidenceTree, read_tree, wrong
from orchgate.git.store.server import PushAnswer
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from orchgate.git.repository import Repository
    from orchgate.git.store.contents import Quarantine
    from orchgate.git.store.server import Server


_OLD = "refs/orchgate/incoming/"  # where an older orchgate that was killed has left references


class Store:
    """The contents of one repository. `known` reads the local ref; only a connection uses the network."""

    def __init__(self, repository: Repository, environ: Mapping[str, str]) -> None:
        self._repository = repository
        self._environ = environ
        self._git: Git = repository.git

    def tracked(self) -> Container[str]:
        """Paths of the work tree that git holds itself, also in the middle of a merge. Raises GitError."""
        return frozenset(names(self._git("ls-files", "-z")))

    def known(self) -> Mapping[str, str]:
        """Object ids by SHA-256, of everything that is here. Raises GitError."""
        return local_tree(self._repository).contents

    def read(self, sha256: str, limit: int) -> bytes | None:
        """A content, checked against its name; None when it is not here. `limit` in bytes.

        Raises GitError when it is damaged or larger than the limit.
        """
        oid = self.known().get(sha256)
        return None if oid is None else next(self.read_many({sha256: oid}, limit))[1]

    def read_many(self, wanted: Mapping[str, str], limit: int) -> Iterator[tuple[str, bytes]]:
        """Contents by SHA-256 for object ids by SHA-256. Raises GitError."""
        contents = self._repository.blobs.read_many(wanted.values(), limit)
        for sha256, content in zip(wanted, contents, strict=True):
            if isinstance(content, NoContent):
                raise GitError(f"{REF}: {sha256[:12]}: {content.why}", "orchgate evidence fetch")
            if files.sha256_hex(content) != sha256:
                raise GitError(f"{REF} holds other bytes under the name {sha256[:12]}", "push the artifact again")
            yield sha256, content

    @contextlib.contextmanager
    def connect(self, remote: str, patience: float | None = None, *, address: str = "") -> Iterator[Connection]:
        """A connection to a remote, or to an address of it. Given up after `patience` seconds in which it says nothing.

        Raises GitError, WriteError.
        """
        from orchgate.git.store.contents import quarantine
        from orchgate.git.store.server import Server

        self._sweep()
        with quarantine(self._repository, self._environ) as folder:
            configured = not address and remote in self._remotes
            server = Server(folder, address or remote, remote, configured=configured, patience=patience)
            connection = Connection(self._repository, folder, server)
            try:
                yield connection
            finally:
                connection.close()

    def _sweep(self) -> None:
        old = os.fsdecode(self._git("for-each-ref", "--format=%(refname)", _OLD)).split()
        for ref in old:
            self._git.attempt("update-ref", "--no-deref", "-d", ref)

    @cached_property
    def _remotes(self) -> tuple[str, ...]:
        return tuple(os.fsdecode(self._git("remote")).splitlines())

    def push_addresses(self, remote: str) -> tuple[str, ...]:
        """Where a push to a remote goes, each place one by one; "" stands for where a fetch comes from, too."""
        if remote not in self._remotes:
            return ("",)
        asked = ("remote", "get-url", "--all")
        fetched = os.fsdecode(self._git(*asked, "--", remote)).splitlines()
        pushed = os.fsdecode(self._git(*asked, "--push", "--", remote)).splitlines()
        return ("",) if pushed in (fetched[:1], []) else tuple(pushed)

    def default_remote(self) -> str:
        """The remote of the current branch, origin where it has none, or the only one. Raises GitError."""
        known = self._remotes
        branch = self._repository.branch
        completed = self._git.attempt("config", "--get", f"branch.{branch}.remote")
        named = os.fsdecode(completed.stdout).strip()
        for remote in (named, "origin", *known[: len(known) == 1]):
            if remote in known:
                return remote
        raise GitError("there is no remote to keep evidence in", "git remote add origin ADDRESS, or name one")


RACES = 32  # lost in a row before we give up
_BUSY = 5  # times that the reference cannot be changed although nobody changes it
_PAUSE = 0.2  # seconds; doubled each time
_NAMED = 3  # entries that a message names
REPAIR = f"git update-ref --no-deref -d {REF}"  # here; the next fetch brings it again
_LOCKED = re.compile(r"Unable to create '(.+\.lock)': File exists")


class RemoteContents(NamedTuple):
    """What a remote holds. `contents` are those that are what their name says, object ids by SHA-256."""

    tree: EvidenceTree = EvidenceTree()
    contents: Mapping[str, str] = {}
    clean: bool = True  # and nothing else


class Pushed(NamedTuple):
    """What a push did: contents that the remote did not have before, and how often another pusher was faster."""

    new: frozenset[str]
    races: int


class Connection:
    """`notes` are for people: what was wrong and did not stand in the way."""

    def __init__(self, repository: Repository, quarantine: Quarantine, server: Server) -> None:
        self._repository = repository
        self._quarantine = quarantine
        self._server = server
        self._blobs = Blobs(quarantine.git)
        self._read = EvidenceTree()
        self.notes: list[str] = []

    @property
    def messages(self) -> tuple[str, ...]:
        """What the server said to whoever pushed last."""
        return tuple(line for line in self._server.messages if line.startswith("remote:"))

    def close(self) -> None:
        self._blobs.close()

    def local(self) -> EvidenceTree:
        """What our own reference names. Raises GitError when it is not all here."""
        oid = _head(self._repository)
        if oid != self._read.oid:
            self._read = read_tree(self._blobs, oid, REF, REPAIR)
        return self._read

    def look(self) -> RemoteContents:
        """What the remote holds, brought here aside. Raises GitError."""
        for _ in range(RACES):
            oid = self._server.head()
            if oid is None:
                return RemoteContents()
            if not self._is_ours(oid):
                self._server.bring()
                if self._blobs.resolve(oid, 0) is None:
                    continue  # it was replaced meanwhile
            return self._sorted(read_tree(self._blobs, oid, f"{self._server.name}: {REF}", self._removal(oid)))
        raise GitError(f"{self._server.name} replaced {REF} whenever it was fetched", "run it again")

    def _sorted(self, there: EvidenceTree) -> RemoteContents:
        mine = self.local().contents
        fresh = [pair for pair in there.contents.items() if mine.get(pair[0]) != pair[1]]
        bad = frozenset(wrong(self._quarantine.git, fresh))
        if bad:
            shown = _listed(sorted(name[:12] for name in bad))
            self._note(f"holds other bytes under the name {shown}: not taken")
        if there.foreign and there.is_evidence:
            self._note(f"also holds what is no evidence, {_listed(there.foreign)}: left out")
        elif not there.is_evidence and not there.contents:
            self._note(f"names a {there.kind} that is no evidence; to remove it: {self._removal(there.oid)}")
        contents = {sha256: oid for sha256, oid in there.contents.items() if sha256 not in bad}
        return RemoteContents(there, contents, not bad and there.exact and there.kind == "commit")

    def _note(self, text: str) -> None:
        line = f"{self._server.name}: {REF} {text}"
        if line not in self.notes:
            self.notes.append(line)

    def _removal(self, oid: str | None) -> str:
        return f"git push --force-with-lease={REF}:{oid} {quoted(self._server.name)} :{REF}"

    def _is_ours(self, oid: str) -> bool:
        """Whether our own reference leads to it, with all that it holds: that an object is here says nothing."""
        head = self.local().commit
        return head is not None and self._quarantine.git.attempt("merge-base", "--is-ancestor", oid, head).code == 0

    def push(self, there: RemoteContents, contents: Iterable[tuple[str, bytes]]) -> Pushed:
        """Adds contents, by SHA-256, to what the remote holds. Raises GitError, WriteError."""
        known = self.local().contents
        added = {sha256: self._object(sha256, content, known) for sha256, content in contents}
        races = busy = 0
        while races < RACES:
            wanted = {**there.contents, **added}
            new = frozenset(wanted.keys() - there.contents.keys())
            if not new:
                self.keep(there)
                return Pushed(new, races)
            commit = self._commit(wanted, there)
            answer = self._server.send(commit, there.tree.oid)
            if answer is PushAnswer.TAKEN:
                self.keep(RemoteContents(EvidenceTree(commit, commit, "commit", wanted), wanted))
                return Pushed(new, races)
            if answer is PushAnswer.BUSY:
                busy += 1
                if busy == _BUSY:
                    raise self._server.refused()
                _rest(_PAUSE * 2**busy)
                continue
            races, busy = races + 1, 0
            _rest(_PAUSE)
            there = self.look()
        raise GitError(f"{RACES} times another push to {REF} was faster", "orchgate evidence push")

    def _object(self, sha256: str, content: bytes, known: Mapping[str, str]) -> str:
        oid = known.get(sha256)
        return oid if oid and oid == self._quarantine.name(content) else self._quarantine.write(content)

    def _commit(self, wanted: Mapping[str, str], there: RemoteContents) -> str:
        if not there.contents and not there.tree.is_evidence:
            raise GitError(
                f"{self._server.name}: {REF} names a {there.tree.kind} that is no evidence",
                self._removal(there.tree.oid),
            )
        commit = self._quarantine.commit(wanted, there.tree.commit if there.tree.is_evidence else None)
        self._quarantine.pack()
        return commit

    def keep(self, there: RemoteContents) -> Mapping[str, str]:
        """Joins what is there with what is here; all of it then, object ids by SHA-256. Raises GitError, WriteError.

        The contents are here afterwards even where our own reference cannot be changed, which is a note.
        """
        refusal = ""
        for _ in range(RACES):
            mine = self.local()
            union = {**mine.contents, **there.contents}
            commit = there.tree.commit if there.tree.is_evidence else None
            if union == mine.contents and (commit is None or self._is_ours(commit)):
                return union
            before = mine.commit if mine.is_evidence else None
            ahead = commit if there.clean and union == there.contents else None
            ahead = ahead or self._quarantine.commit(union, before, commit)
            self._quarantine.keep()
            refusal = self._move(ahead, mine.oid)
            if not refusal:
                if mine.oid and not mine.is_evidence and not mine.contents:
                    self.notes.append(f"{REF} named {mine.oid}, which is no evidence: replaced")
                return union
            if self.local().oid == mine.oid:
                break
        self.notes.append(f"{REF} could not be changed here: {refusal}")
        return union

    def _move(self, commit: str, before: str | None) -> str:
        """Lets our own reference name a commit; why it does not, "" where it does."""
        # Somebody else's lock is waited for; not followed to the branch that it may stand for.
        waits = ("-c", "core.filesRefLockTimeout=1000")
        zero = "0" * len(commit)
        done = self._quarantine.git.attempt(*waits, "update-ref", "--no-deref", REF, commit, before or zero)
        if done.code == 0:
            return ""
        errors = os.fsdecode(done.stderr)
        if lock := _LOCKED.search(errors):
            return _stale(lock[1])
        return errors.strip().splitlines()[-1].removeprefix("fatal: ") if errors.strip() else "git says no reason"


def local_tree(repository: Repository) -> EvidenceTree:
    """What our own reference names. Raises GitError when it is not all here."""
    return read_tree(repository.blobs, _head(repository), REF, REPAIR)


def _head(repository: Repository) -> str | None:
    completed = repository.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", REF)
    oid = completed.stdout.decode("ascii", "replace").strip()
    return oid if completed.code == 0 and oid.isalnum() else None


def _stale(path: str) -> str:
    try:
        age = f", {max(0.0, time.time() - os.stat(path).st_mtime):.0f} s old"
    except OSError:
        age = ""
    return f"{path} is in the way{age}; if no git is running, it was left behind: rm {quoted(path)}"


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(every[:_NAMED]) + more


def _rest(seconds: float) -> None:
    time.sleep(seconds * random.random())  # noqa: S311 -- so that two that met do not meet again
