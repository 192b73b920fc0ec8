"""Scopes as the gate resolves them, for tests of the git layer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.config.branches import wishes
from orchgate.gate import session
from orchgate.git import scope as scopes
from orchgate.model import ScopeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.errors import OrchgateError
    from orchgate.model import Outcome, Scope


def scope_of(env: Mapping[str, str] | None = None, **flags: Any) -> Scope:
    """The scope in the current folder; keywords are the flags of `orchgate check`."""
    environ = {**os.environ, **(env or {})}
    with session.opened(environ) as repository:
        target = scopes.target(repository, ScopeRequest(**flags), environ)
        return scopes.resolve(repository, target, environ, wishes(repository))


def files(scope: Scope) -> list[str]:
    """The changed paths of a scope that has a base."""
    return [change.path for change in scope.require_changes()]


def unknown(scope: Scope) -> OrchgateError:
    """Why a scope has no base; it must have none."""
    assert scope.unknown is not None
    return scope.unknown


def budget_of(env: Mapping[str, str] | None = None, **flags: Any) -> Outcome:
    """What diff-budget says in the current folder."""
    from orchgate.checks.diff_budget import CHECK

    environ = {**os.environ, **(env or {})}
    with session.opened(environ) as repository:
        target = scopes.target(repository, ScopeRequest(**flags), environ)
        return CHECK.run(session.context(repository, target, environ))
