"""Contents that travel with the repository: `refs/orchgate/evidence` of an ordinary remote.

The ref names a commit whose tree holds every content under its SHA-256, `ab/cdef…`. Such a tree is a set: two of them
are joined by taking the entries of both, so that two pushers never conflict, and a lost race is repeated. Old commits
stay parents of new ones; nothing is ever taken out. Our own ref joins what every remote gave us, and never travels.
"""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from typing import TYPE_CHECKING

from orchgate.errors import GitError
from orchgate.git.blobs import NoContent
from orchgate.git.call import Git, names
from orchgate.git.contents import REF
from orchgate.lib import digest

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from orchgate.git.repository import Repository
    from orchgate.git.visit import Visit

_OLD = "refs/orchgate/incoming/"  # where an older orchgate that was killed has left references


class Store:
    """The contents of one repository. `known` reads the local ref; only a visit uses the network."""

    def __init__(self, repository: Repository, environ: Mapping[str, str]) -> None:
        self._repository = repository
        self._environ = environ
        self._git: Git = repository.git

    def tracked(self) -> Container[str]:
        """Paths of the work tree that git holds itself, also in the middle of a merge. Raises GitError."""
        return frozenset(names(self._git("ls-files", "-z")))

    def known(self) -> Mapping[str, str]:
        """Object ids by SHA-256, of everything that is here. Raises GitError."""
        from orchgate.git import visit

        return visit.local(self._repository).contents

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
            if digest.sha256_hex(content) != sha256:
                raise GitError(f"{REF} holds other bytes under the name {sha256[:12]}", "push the artifact again")
            yield sha256, content

    @contextlib.contextmanager
    def visit(self, remote: str, patience: float | None = None, *, address: str = "") -> Iterator[Visit]:
        """A visit to a remote, or to an address of it. Given up after `patience` seconds in which it says nothing.

        Raises GitError, WriteError.
        """
        from orchgate.git.quarantine import quarantine
        from orchgate.git.server import Server
        from orchgate.git.visit import Visit

        self._sweep()
        with quarantine(self._repository, self._environ) as folder:
            configured = not address and remote in self._remotes
            server = Server(folder, address or remote, remote, configured=configured, patience=patience)
            visit = Visit(self._repository, folder, server)
            try:
                yield visit
            finally:
                visit.close()

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
