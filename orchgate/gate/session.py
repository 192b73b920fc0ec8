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
from orchgate.gate.branches import wishes
from orchgate.gate.context import Context
from orchgate.gate.documents import ParsedDocuments
from orchgate.git import scope as scopes
from orchgate.git.repository import open_repository
from orchgate.model import Report, Turn, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.git.target import Request, Target
    from orchgate.model import Scope

    Tell = Callable[[str], None]
    Early = Callable[[Report], None]


LANDS = (Verdict.PASS, Verdict.WARN)


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
    return Context(
        root=repository.root,
        config=judging.config,
        proposed=proposed,
        accepted=judging.accepted,
        unread=judging.unread,
        scope=scope,
        snapshot=snapshot,
        base=base,
        documents=ParsedDocuments(snapshot),
        now=datetime.datetime.now(datetime.UTC),
        environ=environ,
        target=target,
        repository=repository,
    )


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


def judge(
    ctx: Context,
    names: Collection[str] = (),
    *,
    ignores: bool = True,
    tell: Tell | None = None,
    early: Early | None = None,
    anyway: bool = False,
    refused: bool = False,
) -> Report:
    """The report of the named checks, or of all.

    `tell` is told what takes long; `early`, before anything is measured, what is known by then. What is `refused`
    already is measured only where `anyway` says so. Raises UsageError for a check that does not exist.
    """
    ctx = ctx._replace(named=frozenset(names), tell=tell or ctx.tell)
    checks = registry.checks(names)
    everything = {check.id: check for check in registry.checks()} if ctx.accepted is not None else {}
    available = {**everything, **{check.id: check for check in checks}}
    measure = engine.Measure.ALWAYS if anyway else engine.Measure.NEVER if refused else engine.Measure.UNLESS_REFUSED
    return engine.Judgement(checks, available, ctx, ignores=ignores, early=early, measure=measure).report()


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
    """The report of all checks but those that measure, or that depend on what is measured."""
    return judge(ctx, [check.id for check in registry.checks() if check.turn is Turn.WITH_OTHERS])


def completed(ctx: Context, cheap: Report, *, tell: Tell | None, anyway: bool, refused: bool) -> Report:
    """What `judge_cheap` said of a change, with what it left out; measured only where no ref of the push is refused."""
    left = [check.id for check in registry.checks() if check.turn is not Turn.WITH_OTHERS]
    rest = judge(ctx, left, tell=tell, anyway=anyway, refused=refused or cheap.verdict not in LANDS)
    order = registry.check_ids()
    checks = sorted((*cheap.checks, *rest.checks), key=lambda one: (one.id not in order, one.id))
    return Report(rest.scope, tuple(checks))
