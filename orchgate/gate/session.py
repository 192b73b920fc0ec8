"""From a command line to a judged change: repository, scope, configuration, context, report."""

from __future__ import annotations

import functools
import os
import time

from orchgate import registry
from orchgate.config.faults import as_toml
from orchgate.config.kinds import nearest
from orchgate.config.load import MEASURED, PIPELINES, Limits, load, load_outside
from orchgate.config.settings import family
from orchgate.config.source import unread_edit
from orchgate.errors import ConfigError, GitError, OrchgateError, Unreadable, UsageError
from orchgate.gate import engine, suppressions
from orchgate.gate.context import Context
from orchgate.gate.documents import ParsedDocuments
from orchgate.gate.suggestions import EVERYTHING
from orchgate.git import scope as scopes
from orchgate.git.objects import is_blob
from orchgate.git.repository import open_repository
from orchgate.git.snapshot import WorkTree
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.markdown.parts import is_markdown
from orchgate.model import Report, RunOrder, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from orchgate.config.faults import At, Reading
    from orchgate.config.settings import Config
    from orchgate.gate.engine import Narrowing
    from orchgate.gate.suggestions import Printed
    from orchgate.git.base import BranchSettings
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change, Check, Scope, ScopeRequest, ScopeTarget

    Tell = Callable[[str], None]
    Early = Callable[[Report], None]


MOST_COMPARED = 200  # documents of a change that are compared with the work tree: it is a courtesy
LANDS = (Verdict.PASS, Verdict.WARN)


def opened(environ: Mapping[str, str] | None = None) -> Repository:
    """The repository around the current folder, to be closed by a `with`. Raises GitError."""
    try:
        here = os.getcwd()
    except FileNotFoundError as error:
        raise GitError("the current folder does not exist any more") from error
    return open_repository(here, os.environ if environ is None else environ)


def context(
    repository: Repository,
    target: ScopeTarget,
    environ: Mapping[str, str],
    config: str = "",
    scope: Scope | None = None,
    *,
    given: Callable[[Snapshot, Callable[[], Config]], Config] | None = None,
    judged_at: float | None = None,
) -> Context:
    """Everything the checks need to judge a target, by the named configuration; its scope may be known already.

    `given` takes the judged tree and what reads its own configuration, and says by which one it is judged; `judged_at`
    is another time than now. Raises ConfigError, GitError.
    """
    try:
        scope = scope or scopes.resolve(repository, target, environ, _wishes(repository))
    except OrchgateError:
        _proposed(repository, repository.snapshot(target.head), config)  # a configuration that is wrong is said first
        raise
    snapshot, base = _trees(repository, scope)
    own = functools.partial(_proposed, repository, snapshot, config)
    proposed = given(snapshot, own) if given is not None else own()
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
        judged_at=time.time() if judged_at is None else judged_at,
        environ=environ,
        target=target,
        repository=repository,
    )


def _wishes(repository: Repository) -> Callable[[str], BranchSettings]:
    """What the configuration of a commit says about branches; a commit is compared with its parent and asks nothing."""

    @functools.cache
    def of_commit(commit: str) -> BranchSettings:
        from orchgate.config.branches import wishes

        return wishes(repository)(commit)

    return of_commit


def _trees(repository: Repository, scope: Scope) -> tuple[Snapshot, Snapshot]:
    """The judged tree and its base. Of those that are not judged as a whole, no more is read than is asked about."""
    if scope.whole_tree or scope.unknown is not None:
        return repository.snapshot(scope.head), repository.tree(scope.base) if scope.base else repository.nothing
    base = repository.looked_up(scope.base)
    if scope.head is not None:
        return repository.looked_up(scope.head), base
    return repository.index if scope.beside else repository.looked_up(scope.base, scope.changes), base


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
    from orchgate.runs.pipeline import CODEX_FILE, CODEX_MAX_BYTES, nearest, parse_codex

    try:
        content = snapshot.find(CODEX_FILE, CODEX_MAX_BYTES)
    except Unreadable as error:
        raise ConfigError(f"{CODEX_FILE}: {error.message}", error.hint) from error
    known = (*config.pipelines, *(parse_codex(content) if content is not None else ()), SHIPPED)
    if name not in known:
        message = f"there is no pipeline {as_toml(name)}"
        reading.wrong(MEASURED, message, nearest(name, known[:-1]))


def _readable_patterns(config: Config) -> None:
    """Raises ConfigError for a pattern of a secret that cannot be read; asked where somebody edits them."""
    evidence = config.evidence
    if evidence.secrets or evidence.secrets_allowed:
        from orchgate.secrets import search

        search.compiled(evidence.secrets, evidence.secrets_allowed)


def _limits(proposed: Config, scope: Scope, base: Snapshot, snapshot: Snapshot) -> Limits:
    """Whose configuration judges. A change that leaves it alone, as most do, pays for no look at the base's."""
    files = proposed.source.files
    if not any(path in files for change in scope.changes for path in (change.path, change.old_path)):
        return Limits(proposed)
    from orchgate.config.judging import limits

    _readable_patterns(proposed)
    return limits(proposed, scope, base, snapshot)


def judge(
    ctx: Context,
    names: Collection[str] = (),
    *,
    ignores: bool = True,
    strict: bool = False,
    tell: Tell | None = None,
    early: Early | None = None,
    anyway: bool = False,
    refused: bool = False,
    recorded: bool = False,
    narrowing: Narrowing | None = None,
    printed: Printed = EVERYTHING,
) -> Report:
    """The report of the named checks, or of all. `strict`: also of what was there before the change.

    `tell` gets a line about what takes long; `early`, before anything is measured, what is known by then. What is
    `refused` already is measured only where `anyway` says so; nothing is where only what is `recorded` is asked for.
    Raises UsageError for a check that does not exist.
    """
    ctx = ctx._replace(named=frozenset(names), tell=tell or ctx.tell)
    checks = registry.checks(names)
    if narrowing:
        checks = _narrowed(checks, narrowing)
    everything = {check.id: check for check in registry.checks()} if ctx.accepted is not None else {}
    available = {**everything, **{check.id: check for check in checks}}
    judgement = _kind_of_run(ctx)(
        checks,
        available,
        ctx,
        ignores=ignores,
        strict=strict,
        early=early,
        measure=_when_to_measure(anyway, refused, recorded),
        narrowing=narrowing,
        printed=printed,
    )
    try:
        return judgement.report()
    finally:
        judgement.let_go()


def _kind_of_run(ctx: Context) -> type[engine.CheckRun]:
    if not ctx.scope.whole_tree:
        return engine.CheckRun
    from orchgate.gate.whole.whole_tree import TreeRun

    return TreeRun


def _when_to_measure(anyway: bool, refused: bool, recorded: bool) -> engine.WhenToMeasure:
    if recorded:
        return engine.WhenToMeasure.RECORDED
    if anyway:
        return engine.WhenToMeasure.ALWAYS
    return engine.WhenToMeasure.NEVER if refused else engine.WhenToMeasure.UNLESS_REFUSED


def _narrowed(checks: tuple[Check, ...], narrowing: Narrowing) -> tuple[Check, ...]:
    """The checks that have something to judge by. Raises UsageError for a rule that there is not."""
    rules = suppressions.every_rule()
    known = sorted({*rules, *map(family, rules)})
    for name in (*narrowing.select, *narrowing.ignore):
        if name not in known:
            families = f"families of rules: {', '.join(sorted({*map(family, rules)}))}"
            raise UsageError(f"there is no rule {name[:40]}", nearest(name, tuple(known)) or families)
    return tuple(check for check in checks if any(narrowing.reason(rule.id) is None for rule in check.rules))


def judge_request(
    repository: Repository,
    request: ScopeRequest,
    environ: Mapping[str, str],
    names: Collection[str] = (),
    *,
    ignores: bool,
    strict: bool = False,
    tell: Tell | None = None,
    early: Early | None = None,
    anyway: bool = False,
    narrowing: Narrowing | None = None,
    printed: Printed = EVERYTHING,
) -> Report:
    """The report of what a command line asked for."""
    target = scopes.target(repository, request, environ)
    ctx = context(repository, target, environ, request.config)
    if tell is not None and repository.root and not (request.head or request.commit):
        for line in filter(None, (unread_edit(ctx.proposed.source, repository.root), _unread_documents(ctx))):
            tell(line)
    return judge(
        ctx,
        names,
        ignores=ignores,
        strict=strict,
        tell=tell,
        early=early,
        anyway=anyway,
        narrowing=narrowing,
        printed=printed,
    )


def _unread_documents(ctx: Context) -> str:
    """Documents of the change that a person edited further, and that are judged as they are staged; "" for none."""
    changed = [] if ctx.scope.unknown else [one for one in ctx.scope.changes if not one.deleted]
    documents = [one for one in changed if is_markdown(one.path)][:MOST_COMPARED]
    if not documents or ctx.repository is None or ctx.scope.head is not None:
        return ""
    other = [one.path for one in documents if not _is_as_staged(ctx, one)]
    if not other:
        return ""
    output = ctx.repository.git("diff-files", "--name-only", "-z", "--", *other)
    named = os.fsdecode(output).rstrip("\0").split("\0") if output else []
    edited = [path for path in named if _is_edited(ctx, path)]
    if not edited:
        return ""
    more = f" and {len(edited) - 1} more" if edited[1:] else ""
    return f"{edited[0]}{more}: judged as staged; the work tree has further edits"


def _is_as_staged(ctx: Context, change: Change) -> bool:
    """Whether a file is what is staged to the byte, as nearly all are; or is not there."""
    try:
        here = WorkTree(ctx.root).find(change.path)
        return here is None or is_blob(here, change.new_oid)
    except Unreadable:
        return False


def _is_edited(ctx: Context, path: str) -> bool:
    """Whether a file that git has not looked at since it was written says something else than what is staged."""
    try:
        here = WorkTree(ctx.root).find(path)
        return here is not None and here.replace(b"\r\n", b"\n") != ctx.snapshot.read(path).replace(b"\r\n", b"\n")
    except Unreadable:
        return False


def judge_cheap(ctx: Context, *, strict: bool = False) -> Report:
    """The report of all checks but those that measure, or that depend on what is measured."""
    return judge(ctx, [check.id for check in registry.checks() if check.order is RunOrder.WITH_OTHERS], strict=strict)


def completed(
    ctx: Context, cheap: Report, *, tell: Tell | None, anyway: bool, refused: bool, strict: bool = False
) -> Report:
    """What `judge_cheap` said of a change, with what it left out; measured only where no ref of the push is refused."""
    left = [check.id for check in registry.checks() if check.order is not RunOrder.WITH_OTHERS]
    rest = judge(ctx, left, strict=strict, tell=tell, anyway=anyway, refused=refused or cheap.verdict not in LANDS)
    order = registry.check_ids()
    checks = sorted((*cheap.checks, *rest.checks), key=lambda one: (one.id not in order, one.id))
    return Report(rest.scope, tuple(checks))
