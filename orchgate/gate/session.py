"""From a command line to a judged change: repository, scope, configuration, context, report."""

from __future__ import annotations

import contextlib
import datetime
import os
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.config.faults import as_toml
from orchgate.config.kinds import nearest
from orchgate.config.limits import Limits, limits, touches
from orchgate.config.load import MEASURED, PIPELINES, load, load_outside
from orchgate.config.settings import family
from orchgate.config.source import unread_edit
from orchgate.errors import ConfigError, GitError, Unreadable
from orchgate.gate import engine, suppressions
from orchgate.gate.branches import wishes
from orchgate.gate.context import Context
from orchgate.gate.documents import ParsedDocuments
from orchgate.git import scope as scopes
from orchgate.git.repository import open_repository
from orchgate.model import Report, RunOrder, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from orchgate.config.faults import At, Reading
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.git.target import ScopeRequest, ScopeTarget
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


def context(repository: Repository, target: ScopeTarget, environ: Mapping[str, str], config: str = "") -> Context:
    """Everything the checks need to judge a target, by the named configuration. Raises ConfigError, GitError."""
    snapshot = repository.snapshot(target.head)
    proposed = _proposed(repository, snapshot, config)
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


def _proposed(repository: Repository, snapshot: Snapshot, file: str) -> Config:
    """The configuration that the change brings. A file inside of the repository is that of the judged tree."""
    more = _what_is_named(snapshot)
    inside = os.path.relpath(file, repository.root) if file and repository.root else file
    if inside == os.pardir or inside.startswith(os.pardir + os.sep):
        return load_outside(file, more)
    return load(snapshot, inside, more)


def _what_is_named(snapshot: Snapshot) -> Callable[[Config, Reading], None]:
    """Looks for rules that no check has, and for a pipeline that nobody defines: nothing would be measured."""

    def look(config: Config, reading: Reading) -> None:
        _known_rules(config, reading)
        if not reading.within(PIPELINES) and not reading.within(MEASURED[:1]):
            _known_pipeline(config, reading, snapshot)

    return look


def _known_rules(config: Config, reading: Reading) -> None:
    weighed = config.source.table.get("severity")
    names = [str(name) for name in weighed] if isinstance(weighed, dict) else []
    named: list[tuple[At, str]] = [(("severity", name), name) for name in names]
    for number, ignore in enumerate(config.top.ignore):
        named += [(("ignore", number, "rules", index), rule) for index, rule in enumerate(ignore.rules)]
    if not named:
        return  # every check is imported for it, which most runs need not
    rules = suppressions.every_rule()
    families = {family(rule) for rule in rules}
    checks = {check for check, _ in rules.values()}
    for at, name in named:
        other = at[0] == "severity" and name.lower() in checks
        if name.upper() not in rules and name.upper() not in families and not other:
            known = (*families, *rules, *(checks if at[0] == "severity" else ()))
            hint = "" if reading.full else nearest(name, known) or f"families of rules: {', '.join(sorted(families))}"
            reading.wrong(at, f"there is no rule {as_toml(name)}", hint, of_key=at[0] == "severity")


def _known_pipeline(config: Config, reading: Reading, snapshot: Snapshot) -> None:
    name = config.performance.pipeline
    if not name or name in config.pipelines:
        return
    from orchgate.config.entries import SHIPPED
    from orchgate.runs import codex, pipeline

    try:
        content = snapshot.find(codex.FILE, codex.MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{codex.FILE}: {error.message}", error.hint) from error
    known = (*config.pipelines, *(codex.parse(content) if content is not None else ()), SHIPPED)
    if name not in known:
        message = f"there is no pipeline {as_toml(name)}"
        reading.wrong(MEASURED, message, pipeline.nearest(name, known[:-1]))


def _readable_patterns(config: Config) -> None:
    """Raises ConfigError for a pattern of a secret that cannot be read; asked where somebody edits them."""
    evidence = config.evidence
    if evidence.secrets or evidence.secrets_allowed:
        from orchgate.secrets import search

        search.compiled(evidence.secrets, evidence.secrets_allowed)


def _limits(proposed: Config, scope: Scope, base: Snapshot, snapshot: Snapshot) -> Limits:
    """Whose configuration judges. A change that leaves it alone, as most do, pays for no look at the base's."""
    if not touches(scope, proposed.source.files):
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

    `tell` gets a line about what takes long; `early`, before anything is measured, what is known by then. What is
    `refused` already is measured only where `anyway` says so. Raises UsageError for a check that does not exist.
    """
    ctx = ctx._replace(named=frozenset(names), tell=tell or ctx.tell)
    checks = registry.checks(names)
    everything = {check.id: check for check in registry.checks()} if ctx.accepted is not None else {}
    available = {**everything, **{check.id: check for check in checks}}
    measure = (
        engine.WhenToMeasure.ALWAYS
        if anyway
        else engine.WhenToMeasure.NEVER
        if refused
        else engine.WhenToMeasure.UNLESS_REFUSED
    )
    return engine.CheckRun(checks, available, ctx, ignores=ignores, early=early, measure=measure).report()


def judge_request(
    repository: Repository,
    request: ScopeRequest,
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
    ctx = context(repository, target, environ, request.config)
    if tell is not None and repository.root and not (request.head or request.commit):
        edit = unread_edit(ctx.proposed.source, repository.root)
        if edit:
            tell(edit)
    return judge(ctx, names, ignores=ignores, tell=tell, early=early, anyway=anyway)


def judge_cheap(ctx: Context) -> Report:
    """The report of all checks but those that measure, or that depend on what is measured."""
    return judge(ctx, [check.id for check in registry.checks() if check.turn is RunOrder.WITH_OTHERS])


def completed(ctx: Context, cheap: Report, *, tell: Tell | None, anyway: bool, refused: bool) -> Report:
    """What `judge_cheap` said of a change, with what it left out; measured only where no ref of the push is refused."""
    left = [check.id for check in registry.checks() if check.turn is not RunOrder.WITH_OTHERS]
    rest = judge(ctx, left, tell=tell, anyway=anyway, refused=refused or cheap.verdict not in LANDS)
    order = registry.check_ids()
    checks = sorted((*cheap.checks, *rest.checks), key=lambda one: (one.id not in order, one.id))
    return Report(rest.scope, tuple(checks))
