"""What the configuration of a commit says about branches, and where the work in progress left the default one."""

from __future__ import annotations

import functools

from orchgate.config.load import load
from orchgate.errors import ConfigError
from orchgate.git import scope
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import ScopeTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orchgate.git.base import BranchSettings
    from orchgate.git.repository import Repository


def wishes(repository: Repository) -> Callable[[str], BranchSettings]:
    """Reads, once, what the configuration of a commit says about branches; one that is broken says nothing."""

    @functools.cache
    def of_commit(commit: str) -> BranchSettings:
        from orchgate.git.base import BranchSettings

        try:
            top = load(repository.looked_up(commit)).top
        except ConfigError:
            return BranchSettings()
        return BranchSettings(top.default_branch, top.orphan_branches)

    return of_commit


def started(repository: Repository, environ: Mapping[str, str]) -> str | None:
    """The commit where what is checked out left the default branch; None where nobody knows. Raises GitError."""
    return scope.resolve(repository, ScopeTarget("range", None), environ, wishes(repository)).base
