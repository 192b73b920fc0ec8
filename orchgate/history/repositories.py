"""Which repository runs are of: its name, and what tells it from another one of the same name.

A name is configured, or it is the end of the address that the remote has: never a path of this machine. `roots` is made
of the first commit of the default branch. That a repository later merges an unrelated history does not change it, which
is why the other first commits that a branch may have do not count.
"""

from __future__ import annotations

import os

from orchgate.config.branches import wishes
from orchgate.config.names import is_repository_name
from orchgate.errors import ConfigError, GitError
from orchgate.git import base, refs
from orchgate.git.base import JudgedBranch
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.git.repository import Repository
    from orchgate.history.segments import Head

UNNAMED = "this repository"
_ROOTS = 16  # characters
_SHOWN = 8


class RepositoryIdentity(NamedTuple):
    """A repository; `roots` is None where its first commit is not here, as in a shallow clone."""

    name: str
    roots: str | None

    @property
    def is_named(self) -> bool:
        return self.name != UNNAMED

    def is_also(self, other: RepositoryIdentity) -> bool:
        """Whether another identity is of this repository, whatever that was called then."""
        if self.roots and other.roots:
            return self.roots == other.roots
        return self.name == other.name


def of_head(head: Head) -> RepositoryIdentity:
    """The repository whose runs a segment says that it holds."""
    return RepositoryIdentity(head.repository, head.roots)


def identify(repository: Repository, configured: str, remote: str = "") -> RepositoryIdentity:
    """The repository as others know it; `UNNAMED` where nothing names it.

    `remote` is one that somebody named, by whose address a repository without any is called.
    """
    name = configured or _name(repository) or refs.repository_name(remote)
    return RepositoryIdentity(name if is_repository_name(name) else UNNAMED, _roots(repository))


def require_name(identity: RepositoryIdentity) -> None:
    """Raises ConfigError where runs would travel without the name of their repository."""
    if not identity.is_named:
        hint = 'set repository = "owner/name" under [history] in orchgate.toml'
        raise ConfigError("no remote's address says what this repository is called", hint)


def _name(repository: Repository) -> str:
    known = repository.refs
    remote = known.remote_of(repository.branch) or next(iter(known.remotes), "")
    address = next(iter(known.settings.get(f"remote.{remote}.url", ())), "")
    return refs.repository_name(address)


def _roots(repository: Repository) -> str | None:
    if repository.shallow:
        return None
    try:
        tip: str | None = base.default_tip(repository, JudgedBranch(repository.branch), wishes(repository)).commit
    except GitError:  # nobody knows which branch that is
        tip = repository.head
    if tip is None:
        return None
    listed = repository.git.attempt("rev-list", "--first-parent", "--max-parents=0", "--end-of-options", tip)
    found = os.fsdecode(listed.stdout).split()
    return sha256_hex(found[0])[:_ROOTS] if listed.code == 0 and found else None


def labels(known: Iterable[RepositoryIdentity]) -> Mapping[RepositoryIdentity, RepositoryIdentity]:
    """Each as it is shown: one whose roots nobody knows is the other one of its name, where that is only one.

    Of several that share a name each gets a name of its own.
    """
    every = set(known)
    by_name: dict[str, set[str]] = {}
    for one in every:
        by_name.setdefault(one.name, set()).update({one.roots} if one.roots else ())
    return {one: _label(one, by_name[one.name]) for one in every}


def _label(one: RepositoryIdentity, roots: set[str]) -> RepositoryIdentity:
    if len(roots) < 2:
        return RepositoryIdentity(one.name, next(iter(roots), None))
    return RepositoryIdentity(f"{one.name} (roots {one.roots[:_SHOWN] if one.roots else 'unknown'})", one.roots)
