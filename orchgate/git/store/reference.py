"""Contents that travel with the repository: `refs/orchgate/…` of an ordinary remote.

The ref names a commit whose tree holds every content under a name that says its SHA-256. Such a tree is a set: two of
them are joined by taking the entries of both, so that two pushers never conflict, and a lost race is repeated. Old
commits stay parents of new ones; nothing is taken out but what somebody names. Our own ref joins what every remote gave
us, and never travels.
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
from orchgate.git.store.contents import EVIDENCE, ContentTree, read_tree, wrong
from orchgate.git.store.server import PushAnswer
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, cached_property

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Iterator, Mapping

    from orchgate.git.repository import Repository
    from orchgate.git.store.contents import Quarantine, RefLayout
    from orchgate.git.store.server import Server


_OLD = "refs/orchgate/incoming/"  # where an older orchgate that was killed has left references


class Store:
    """The contents of one repository. `known` reads the local ref; only a connection uses the network."""

    def __init__(self, repository: Repository, environ: Mapping[str, str], layout: RefLayout = EVIDENCE) -> None:
        self._layout = layout
        self._repository = repository
        self._environ = environ
        self._git: Git = repository.git

    def tracked(self) -> Container[str]:
        """Paths of the work tree that git holds itself, also in the middle of a merge. Raises GitError."""
        return frozenset(names(self._git("ls-files", "-z")))

    def known(self) -> Mapping[str, str]:
        """Object ids by name, of everything that is here. Raises GitError."""
        return self.tree().contents

    def tree(self) -> ContentTree:
        """What our own reference names. Raises GitError when it is not all here."""
        head = _head(self._repository, self._layout)
        return read_tree(self._repository.blobs, head, self._layout, self._layout.ref, self._layout.repair)

    def read(self, name: str, limit: int) -> bytes | None:
        """A content, checked against its name; None when it is not here. `limit` in bytes.

        Raises GitError when it is damaged or larger than the limit.
        """
        oid = self.known().get(name)
        return None if oid is None else next(self.read_many({name: oid}, limit))[1]

    def read_many(self, wanted: Mapping[str, str], limit: int) -> Iterator[tuple[str, bytes]]:
        """Contents by name for object ids by name. Raises GitError."""
        for name, content in self.read_each(wanted, limit):
            if isinstance(content, GitError):
                raise content
            yield name, content

    def read_each(self, wanted: Mapping[str, str], limit: int) -> Iterator[tuple[str, bytes | GitError]]:
        """As `read_many`, with what is wrong with a content in its place."""
        return read_contents(self._repository.blobs, self._layout, wanted, limit)

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
            server = Server(self._layout, folder, address or remote, remote, configured=configured, patience=patience)
            connection = Connection(self._repository, self._layout, folder, server)
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
        message = f"there is no remote to keep {self._layout.what} in"
        raise GitError(message, "git remote add origin ADDRESS, or name one")


RACES = 32  # lost in a row before we give up
_BUSY = 5  # times that the reference cannot be changed although nobody changes it
_PAUSE = 0.2  # seconds; doubled each time
_NAMED = 3  # entries that a message names
_LOCKED = re.compile(r"Unable to create '(.+\.lock)': File exists")


class RemoteContents(NamedTuple):
    """What a remote holds. `contents` are those that are what their name says, object ids by name."""

    tree: ContentTree = ContentTree()
    contents: Mapping[str, str] = {}
    clean: bool = True  # and nothing else
    wrong: frozenset[str] = frozenset()  # names of others


class Pushed(NamedTuple):
    """Contents that the remote did not have before a push, how often another one was faster, and what is there now."""

    new: frozenset[str]
    races: int
    there: RemoteContents


class Connection:
    """`notes` are for people: what was wrong and did not stand in the way."""

    def __init__(self, repository: Repository, layout: RefLayout, quarantine: Quarantine, server: Server) -> None:
        self._layout = layout
        self._repository = repository
        self._quarantine = quarantine
        self._server = server
        self._blobs = Blobs(quarantine.git)
        self._read = ContentTree()
        self.notes: list[str] = []

    @property
    def messages(self) -> tuple[str, ...]:
        """What the server said to whoever pushed last."""
        return tuple(line for line in self._server.messages if line.startswith("remote:"))

    def close(self) -> None:
        self._blobs.close()

    def local(self) -> ContentTree:
        """What our own reference names. Raises GitError when it is not all here."""
        oid = _head(self._repository, self._layout)
        if oid != self._read.oid:
            self._read = read_tree(self._blobs, oid, self._layout, self._layout.ref, self._layout.repair)
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
            where = f"{self._server.name}: {self._layout.ref}"
            return self._sorted(read_tree(self._blobs, oid, self._layout, where, self._removal(oid)))
        raise GitError(f"{self._server.name} replaced {self._layout.ref} whenever it was fetched", "run it again")

    def read(self, wanted: Mapping[str, str], limit: int) -> Iterator[tuple[str, bytes | GitError]]:
        """As `read_contents`, of what was brought here."""
        return read_contents(self._blobs, self._layout, wanted, limit)

    def _sorted(self, there: ContentTree) -> RemoteContents:
        mine, what = self.local().contents, self._layout.what
        fresh = [pair for pair in there.contents.items() if mine.get(pair[0]) != pair[1]]
        bad = frozenset(wrong(self._quarantine.git, self._layout, fresh))
        if bad:
            shown = _listed(sorted(self._layout.sha256(name)[:12] for name in bad))
            self._note(f"holds other bytes under the name {shown}: not taken")
        if there.foreign and there.is_ours:
            self._note(f"also holds what is no {what}, {_listed(there.foreign)}: left out")
        elif not there.is_ours and not there.contents:
            self._note(f"names a {there.kind} that is no {what}; to remove it: {self._removal(there.oid)}")
        contents = {name: oid for name, oid in there.contents.items() if name not in bad}
        return RemoteContents(there, contents, not bad and there.exact and there.kind == "commit", bad)

    def _note(self, text: str) -> None:
        line = f"{self._server.name}: {self._layout.ref} {text}"
        if line not in self.notes:
            self.notes.append(line)

    def _removal(self, oid: str | None) -> str:
        ref = self._layout.ref
        return f"git push --force-with-lease={ref}:{oid} {quoted(self._server.name)} :{ref}"

    def _is_ours(self, oid: str) -> bool:
        """Whether our own reference leads to it, with all that it holds: that an object is here says nothing."""
        head = self.local().commit
        return head is not None and self._quarantine.git.attempt("merge-base", "--is-ancestor", oid, head).code == 0

    def push(
        self, there: RemoteContents, contents: Iterable[tuple[str, bytes]], without: Collection[str] = ()
    ) -> Pushed:
        """Adds contents, by name, to what the remote holds, and takes some out. Raises GitError, WriteError."""
        known = self.local().contents
        added = {name: self._object(name, content, known) for name, content in contents}
        races = busy = 0
        while races < RACES:
            wanted = _without({**there.contents, **added}, without)
            new = frozenset(wanted.keys() - there.contents.keys())
            if wanted.keys() == there.contents.keys():
                self.keep(there, without)
                return Pushed(new, races, there)
            commit = self._commit(wanted, there)
            answer = self._server.send(commit, there.tree.oid)
            if answer is PushAnswer.TAKEN:
                there = RemoteContents(ContentTree(commit, commit, "commit", wanted), wanted)
                self.keep(there, without)
                return Pushed(new, races, there)
            if answer is PushAnswer.BUSY:
                busy += 1
                if busy == _BUSY:
                    raise self._server.refused()
                _rest(_PAUSE * 2**busy)
                continue
            races, busy = races + 1, 0
            _rest(_PAUSE)
            there = self.look()
        raise GitError(f"{RACES} times another push to {self._layout.ref} was faster", f"{self._layout.command} push")

    def _object(self, name: str, content: bytes, known: Mapping[str, str]) -> str:
        oid = known.get(name)
        return oid if oid and oid == self._quarantine.name(content) else self._quarantine.write(content)

    def _commit(self, wanted: Mapping[str, str], there: RemoteContents) -> str:
        if not there.contents and not there.tree.is_ours:
            odd = f"names a {there.tree.kind} that is no {self._layout.what}"
            raise GitError(f"{self._server.name}: {self._layout.ref} {odd}", self._removal(there.tree.oid))
        commit = self._quarantine.commit(self._layout, wanted, there.tree.commit if there.tree.is_ours else None)
        self._quarantine.pack()
        return commit

    def keep(self, there: RemoteContents, without: Collection[str] = ()) -> Mapping[str, str]:
        """Joins what is there with what is here, without some; all of it then, object ids by name.

        Raises GitError, WriteError. The contents are here afterwards even where our own reference cannot be changed,
        which is a note.
        """
        refusal = ""
        for _ in range(RACES):
            mine = self.local()
            union = _without({**mine.contents, **there.contents}, without)
            commit = there.tree.commit if there.tree.is_ours else None
            if union == mine.contents and (commit is None or self._is_ours(commit)):
                return union
            before = mine.commit if mine.is_ours else None
            ahead = commit if there.clean and union == there.contents else None
            ahead = ahead or self._quarantine.commit(self._layout, union, before, commit)
            self._quarantine.keep()
            refusal = self._move(ahead, mine.oid)
            if not refusal:
                if mine.oid and not mine.is_ours and not mine.contents:
                    self.notes.append(f"{self._layout.ref} named {mine.oid}, which is no {self._layout.what}: replaced")
                return union
            if self.local().oid == mine.oid:
                break
        self.notes.append(f"{self._layout.ref} could not be changed here: {refusal}")
        return union

    def _move(self, commit: str, before: str | None) -> str:
        """Lets our own reference name a commit; why it does not, "" where it does."""
        # Somebody else's lock is waited for; not followed to the branch that it may stand for.
        waits = ("-c", "core.filesRefLockTimeout=1000")
        zero = "0" * len(commit)
        update = ("update-ref", "--no-deref", self._layout.ref)
        done = self._quarantine.git.attempt(*waits, *update, commit, before or zero)
        if done.code == 0:
            return ""
        errors = os.fsdecode(done.stderr)
        if lock := _LOCKED.search(errors):
            return _stale(lock[1])
        return errors.strip().splitlines()[-1].removeprefix("fatal: ") if errors.strip() else "git says no reason"


def read_contents(
    blobs: Blobs, layout: RefLayout, wanted: Mapping[str, str], limit: int
) -> Iterator[tuple[str, bytes | GitError]]:
    """Contents by name for object ids by name, or what is wrong with one. `limit` is in bytes."""
    for name, content in zip(wanted, blobs.read_many(wanted.values(), limit), strict=True):
        sha256 = layout.sha256(name)
        if isinstance(content, NoContent):
            yield name, GitError(f"{layout.ref}: {sha256[:12]}: {content.why}", f"{layout.command} fetch")
        elif files.sha256_hex(content) != sha256:
            message = f"{layout.ref} holds other bytes under the name {sha256[:12]}"
            yield name, GitError(message, f"push the {layout.item} again")
        else:
            yield name, content


def _without(contents: dict[str, str], names: Collection[str]) -> dict[str, str]:
    return {name: oid for name, oid in contents.items() if name not in names} if names else contents


def _head(repository: Repository, layout: RefLayout) -> str | None:
    completed = repository.git.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", layout.ref)
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
