"""From a command line to a judged change: repository, scope, configuration, context, report."""

from __future__ import annotations

import contextlib
import datetime
import os
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.config.kinds import join
from orchgate.config.limits import Limits, limits, touches
from orchgate.config.load import load
from orchgate.errors import ConfigError, GitError, Unreadable
from orchgate.gate import engine, suppressions
from orchgate.gate.context import Context
from orchgate.git import scope as scopes
from orchgate.git.repository import open_repository
from orchgate.git.target import Target
from orchgate.model import Report, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.diff import Patch
    from orchgate.git.exceptions import Exceptions
    from orchgate.git.landing import Wishes
    from orchgate.git.message_hook import MessageHook
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.git.target import Request
    from orchgate.model import Change, Scope

    Tell = Callable[[str], None]
    Early = Callable[[Report], None]


LANDS = (Verdict.PASS, Verdict.WARN)
PATHS_AT_ONCE = 500  # on one command line; what the system takes is a matter of megabytes


@contextlib.contextmanager
def opened(environ: Mapping[str, str] | None = None) -> Iterator[Repository]:
    """The repository around the current folder. Raises GitError."""
    try:
        here = os.getcwd()
    except FileNotFoundError as error:
        raise GitError("the current folder does not exist any more") from error
    repository = open_repository(here, os.environ if environ is None else environ)
    try:
        yield repository
    finally:
        repository.close()


def context(repository: Repository, target: Target, environ: Mapping[str, str]) -> Context:
    """Everything the checks need to judge a target. Raises ConfigError, GitError."""
    snapshot = repository.snapshot(target.head)
    proposed = load(snapshot)
    _known_rules(proposed)
    _known_pipeline(proposed, snapshot)
    scope = scopes.resolve(repository, target, environ, wishes(repository))
    base = repository.tree(scope.base) if scope.base else repository.nothing
    judging = _limits(proposed, scope, base, snapshot)
    now = datetime.datetime.now(datetime.UTC)
    return Context(
        root=repository.root,
        config=judging.config,
        proposed=proposed,
        accepted=judging.accepted,
        unread=judging.unread,
        scope=scope,
        snapshot=snapshot,
        base=base,
        today=now.date(),
        now=now,
        environ=environ,
        branch=lambda: _branch(repository, target, environ),
        exceptions=lambda: _exceptions(repository, scope, target),
        message_hook=lambda: _message_hook(repository, scope, target, environ),
        patch=lambda changes: _patch(repository, scope, changes),
        start_of=repository.start_of,
        repository=repository,
        started=lambda: started(repository, environ),
    )


def started(repository: Repository, environ: Mapping[str, str]) -> str | None:
    """The commit where what is checked out left the default branch; None where nobody knows. Raises GitError."""
    return scopes.resolve(repository, Target("range", None), environ, wishes(repository)).base


def _exceptions(repository: Repository, scope: Scope, target: Target) -> Exceptions:
    from orchgate.git.exceptions import Exceptions

    return Exceptions(repository, scope, target.message)


def _message_hook(
    repository: Repository, scope: Scope, target: Target, environ: Mapping[str, str]
) -> MessageHook | None:
    """The hook that will read the message of the commit that is being made; None when none is, or this is it."""
    if scope.kind != "staged" or target.message is not None or not environ.get("GIT_INDEX_FILE"):
        return None
    from orchgate.git import message_hook

    return message_hook.find(repository, environ)


def wishes(repository: Repository) -> Callable[[str], Wishes]:
    """Reads what the configuration of a commit says about branches; one that is broken says nothing."""

    def of_commit(commit: str) -> Wishes:
        from orchgate.git.landing import Wishes

        try:
            top = load(repository.tree(commit)).top
        except ConfigError:
            return Wishes()
        return Wishes(top.default_branch, top.orphan_branches)

    return of_commit


def _known_rules(config: Config) -> None:
    """Raises ConfigError where the configuration names a rule that no check has."""
    named = [(join("severity", rule), rule) for rule in config.severity]
    for pattern, ignore in config.per_file_ignores.items():
        path = join("per-file-ignores", pattern)
        named += [(f"{path}.rules[{index}]", rule) for index, rule in enumerate(ignore.rules)]
    known = suppressions.every_rule() if named else {}  # imports every check, which most runs need not
    for path, rule in named:
        if rule not in known:
            raise ConfigError(f"{path}: there is no rule {rule!r}", registry.nearest(rule, known))


def _known_pipeline(config: Config, snapshot: Snapshot) -> None:
    """Raises ConfigError where nobody defines what is to be measured: nothing would be, in silence."""
    name = config.performance.pipeline
    if not name or name in config.pipelines:
        return
    from orchgate.plan_commands.definitions import SHIPPED
    from orchgate.runs import codex, pipeline

    try:
        content = snapshot.find(codex.FILE, codex.MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{codex.FILE}: {error.message}", error.hint) from error
    known = (*config.pipelines, *(codex.parse(content) if content is not None else ()), SHIPPED)
    if name not in known:
        hint = pipeline.nearest(name, known[:-1])
        file = config.origins["performance.pipeline"]
        raise ConfigError(f"performance.pipeline: there is no pipeline {name!r}", f"{hint} ({file})")


def _readable_patterns(config: Config) -> None:
    """Raises ConfigError for a pattern of a secret that cannot be read; asked where somebody edits them."""
    evidence = config.evidence
    if evidence.secrets or evidence.secrets_allowed:
        from orchgate.evidence import secrets

        secrets.compiled(evidence.secrets, evidence.secrets_allowed)


def _limits(proposed: Config, scope: Scope, base: Snapshot, snapshot: Snapshot) -> Limits:
    """Whose configuration judges. A change that leaves it alone, as most do, pays for no look at the base's."""
    if not touches(scope):
        return Limits(proposed)
    _readable_patterns(proposed)
    return limits(proposed, scope, base, snapshot)


def _branch(repository: Repository, target: Target, environ: Mapping[str, str]) -> str:
    if target.push is not None:
        return target.push.remote_ref.removeprefix("refs/heads/")
    return repository.branch or environ.get("GITHUB_HEAD_REF", "") or environ.get("GITHUB_REF_NAME", "")


def _patch(repository: Repository, scope: Scope, changes: Iterable[Change]) -> Patch:
    from orchgate.git import patch
    from orchgate.git.diff import Patch

    counts: dict[str, tuple[int, int]] = {}
    wanted = list(changes)
    # Among a few paths git might pair a removal with an addition that it kept apart among all of them.
    for renames in (False, True):
        group = [change for change in wanted if (change.old_path is not None) == renames]
        for start in range(0, len(group), PATHS_AT_ONCE):
            part = group[start : start + PATHS_AT_ONCE]
            paths = [path for change in part for path in (change.old_path, change.path) if path]
            counts |= patch.read(repository.patch(scope.base, scope.head, paths, renames=renames), part).counts
    return Patch(counts)


def judge(
    ctx: Context,
    names: Collection[str] = (),
    *,
    ignores: bool = True,
    tell: Tell | None = None,
    early: Early | None = None,
    anyway: bool = False,
) -> Report:
    """The report of the named checks, or of all.

    `tell` is told what takes long; `early`, before anything is measured, what is known by then. `anyway` has measured
    what is refused already. Raises UsageError for a check that does not exist.
    """
    ctx.named = frozenset(names)
    ctx.tell = tell or ctx.tell
    ctx.measure_anyway = anyway
    checks = registry.checks(names)
    everything = {check.id: check for check in registry.checks()} if ctx.accepted is not None else {}
    available = {**everything, **{check.id: check for check in checks}}
    return engine.Judge(checks, available, ctx, ignores=ignores, early=early).report()


def judge_request(
    repository: Repository,
    request: Request,
    environ: Mapping[str, str],
    names: Collection[str] = (),
    *,
    ignores: bool,
    tell: Tell | None = None,
    early: Early | None = None,
    anyway: bool = False,
) -> Report:
    """The report of what a command line asked for."""
    target = scopes.target(repository, request, environ)
    ctx = context(repository, target, environ)
    return judge(ctx, names, ignores=ignores, tell=tell, early=early, anyway=anyway)


def judge_cheap(ctx: Context) -> Report:
    """The report of all checks but those that measure, or hang on what is measured."""
    return judge(ctx, [name for name in registry.check_ids() if name not in engine.ALONE])


def completed(ctx: Context, cheap: Report, *, tell: Tell | None, anyway: bool) -> Report:
    """What `judge_cheap` said of a change, with what it left out; measured only where no ref of the push is refused."""
    ctx.refused = ctx.refused or cheap.verdict not in LANDS
    rest = judge(ctx, engine.ALONE, tell=tell, anyway=anyway)
    order = registry.check_ids()
    checks = sorted((*cheap.checks, *rest.checks), key=lambda one: (one.id not in order, one.id))
    return Report(rest.scope, tuple(checks))
