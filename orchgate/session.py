"""From a command line to a judged change: repository, scope, configuration, context, report."""

from __future__ import annotations

import contextlib
import datetime
import os
from typing import TYPE_CHECKING

from orchgate import engine, registry
from orchgate.config.load import FILE, PYPROJECT, load
from orchgate.config.loosening import with_limits_of
from orchgate.context import Context
from orchgate.errors import ConfigError
from orchgate.git import scope as scopes
from orchgate.git.repository import open_repository

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.diff import Patch
    from orchgate.git.repository import Repository
    from orchgate.git.scope import Request, Target
    from orchgate.git.snapshot import GitSnapshot
    from orchgate.model import Change, Report, Scope


@contextlib.contextmanager
def opened(environ: Mapping[str, str] | None = None) -> Iterator[Repository]:
    """The repository around the current folder. Raises GitError."""
    repository = open_repository(os.getcwd(), os.environ if environ is None else environ)
    try:
        yield repository
    finally:
        repository.close()


def context(repository: Repository, target: Target, environ: Mapping[str, str]) -> Context:
    """Everything the checks need to judge a target. Raises ConfigError, GitError."""
    snapshot = repository.snapshot(target.head)
    proposed = load(snapshot)
    scope = scopes.resolve(repository, target, environ, proposed.top.default_branch)
    base = repository.tree(scope.base) if scope.base else repository.nothing
    accepted = _accepted(scope, base)
    now = datetime.datetime.now(datetime.UTC)
    return Context(
        root=repository.root,
        config=proposed if accepted is None else with_limits_of(proposed, accepted),
        proposed=proposed,
        accepted=accepted,
        scope=scope,
        snapshot=snapshot,
        base=base,
        today=now.date(),
        now=now,
        environ=environ,
        branch=lambda: _branch(repository, target, environ),
        trailers=lambda: repository.trailers(scope.base, scope.head),
        patch=lambda changes: _patch(repository, scope, changes),
    )


def _accepted(scope: Scope, base: GitSnapshot) -> Config | None:
    """The base's configuration where the change touches it; None where there was none or nothing changed.

    A base whose configuration is broken cannot set limits; the change that mends it is judged by its own.
    """
    touched = {path for change in scope.changes for path in (change.path, change.old_path)}
    if touched.isdisjoint((FILE, PYPROJECT)):
        return None
    with contextlib.suppress(ConfigError):
        config = load(base)
        return config if any(origin in (FILE, PYPROJECT) for origin in config.origins.values()) else None
    return None


def _branch(repository: Repository, target: Target, environ: Mapping[str, str]) -> str:
    if target.push is not None:
        return target.push.remote_ref.removeprefix("refs/heads/")
    return repository.branch or environ.get("GITHUB_HEAD_REF", "") or environ.get("GITHUB_REF_NAME", "")


def _patch(repository: Repository, scope: Scope, changes: Iterable[Change]) -> Patch:
    from orchgate.git import patch

    wanted = list(changes)
    paths = tuple(path for change in wanted for path in (change.old_path, change.path) if path)
    return patch.read(repository.patch(scope.base, scope.head, paths, text=True), wanted)


def judge(ctx: Context, names: Iterable[str] = (), *, ignores: bool = True) -> Report:
    """The report of the named checks, or of all. Raises UsageError for a check that does not exist."""
    checks = registry.checks(names)
    everything = {check.id: check for check in registry.checks()} if ctx.accepted is not None else {}
    available = {**everything, **{check.id: check for check in checks}}
    return engine.Judge(checks, available, ctx, ignores=ignores).report()


def judge_request(
    repository: Repository, request: Request, environ: Mapping[str, str], names: Iterable[str] = (), *, ignores: bool
) -> Report:
    """The report of what a command line asked for."""
    return judge(context(repository, scopes.target(repository, request, environ), environ), names, ignores=ignores)
