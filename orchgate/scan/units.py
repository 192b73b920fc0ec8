"""One unit of a scan, a commit or a repository: what is to be judged, and what came of it.

`judge_unit` needs nothing but its argument: another process, or another machine, says the same of it.
"""

from __future__ import annotations

import os
import time

from orchgate.errors import GitError, OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import RunOrder, Scope, ScopeTarget, Severity
from orchgate.scan.values import COMMIT, DETECT, UnitResult, failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchgate.config.settings import Config
    from orchgate.git.repository import ObjectStore
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Report, Trouble
    from orchgate.scan.values import Judging, UnitSpec

# Nothing else of the environment reaches a judgement: a variable of CI, or one that lifts a budget, is about something
# that happens now. The user's settings of git say what may be read.
_KEPT = ("PATH", "HOME", "TMPDIR", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
_LAST_SECOND = 253_370_764_800.0  # of the year 9998: a commit may claim any
_OPEN: dict[str, ObjectStore] = {}  # what this process judged last


def judge_unit(judging: Judging, spec: UnitSpec) -> UnitResult:
    """Judges a unit; whatever keeps it from being judged is told of it. Never raises an Exception."""
    start = time.perf_counter()
    try:
        result = _refused(spec) or (_of_commit if spec.kind == COMMIT else _of_repository)(judging, spec)
    except OrchgateError as error:
        result = failed(spec, _said(error))
    except Exception as error:  # noqa: BLE001 -- what a unit breaks is told of the unit, and the others go on
        result = failed(spec, f"internal error: {type(error).__name__}: {error}")
    return result._replace(seconds=round(time.perf_counter() - start, 6))  # as its line has them


def judge_alone(judging: Judging, spec: UnitSpec) -> UnitResult:
    """As `judge_unit`, in a process that does nothing else."""
    from orchgate.scan.clones import forget_repository

    forget_repository()
    return judge_unit(judging, spec)


def _refused(spec: UnitSpec) -> UnitResult | None:
    return failed(spec, spec.refused) if spec.refused else None


def _said(error: OrchgateError) -> str:
    path = getattr(error, "path", "")
    return f"{path}: {error.message}" if path else error.message


def _of_commit(judging: Judging, spec: UnitSpec) -> UnitResult:
    store = opened(spec.source)
    base, *_ = (*store.parents(spec.commit), None)
    changes = store.changes(base, spec.commit)
    scope = Scope("range", base, spec.commit, changes, origin="first parent" if base else "root")
    return judged(judging, spec, store, scope, _made_at(store, spec.commit))


def _of_repository(judging: Judging, spec: UnitSpec) -> UnitResult:
    from orchgate.scan import clones

    with clones.brought(judging, spec) as folder:
        try:
            store = opened(folder)
            commit = store.commit(clones.REF)
            if commit is None:
                raise GitError(f"{spec.ref or 'HEAD'} is no commit")
            # As on the default branch itself: all that stands in the tree counts, and there is no change.
            scope = Scope("tree", commit, commit, origin="the default branch")
            return judged(judging, spec._replace(commit=commit), store, scope, judging.judged_at)
        finally:
            closed(folder)


def opened(git_dir: str) -> ObjectStore:
    """The objects of a repository, which stays open as long as its commits are judged."""
    if git_dir not in _OPEN:
        from orchgate.git.repository import open_objects

        for one in _OPEN.values():
            one.close()
        _OPEN.clear()
        _OPEN[git_dir] = open_objects(git_dir, environ(), None)
    return _OPEN[git_dir]


def closed(git_dir: str) -> None:
    """Closes what `opened` keeps of a repository that goes away."""
    if (store := _OPEN.pop(git_dir, None)) is not None:
        store.close()


def environ() -> dict[str, str]:
    """The environment in which every machine judges alike."""
    return {name: os.environ[name] for name in _KEPT if name in os.environ}


def judged(judging: Judging, spec: UnitSpec, store: ObjectStore, scope: Scope, judged_at: float) -> UnitResult:
    """The result of one change."""
    from orchgate import registry
    from orchgate.gate import session

    assert scope.head is not None
    store.turn_to(scope.head)
    target = ScopeTarget(scope.kind, scope.head)
    given = _configured(judging)
    ctx = session.context(store, target, environ(), scope=scope, given=given, judged_at=judged_at)
    # Nothing is measured: that a commit of last year is slow can be seen on the machine that will run the next one.
    names = [check.id for check in registry.checks() if check.order is not RunOrder.ALONE]
    report = session.judge(ctx, names)
    return _result(spec, report, _name_of(ctx.proposed))


def _configured(judging: Judging) -> Callable[[Snapshot, Callable[[], Config]], Config]:
    from orchgate.config import profiles
    from orchgate.config.load import build
    from orchgate.config.source import Source, parsed

    def given(snapshot: Snapshot, own: Callable[[], Config]) -> Config:
        path, text = judging.config
        if path:
            return build(Source(path, *parsed(path, text.encode()), named=True), exact=True)
        found = own()
        if found.source.file:
            return found
        name = profiles.recognise(snapshot.entries) if judging.profile == DETECT else judging.profile
        # `named`: a change to a file that could hold a configuration, and holds none, is no change to this one.
        return build(Source("", {"profile": name}, named=True)) if name != profiles.DEFAULT else found

    return given


def _name_of(config: Config) -> str:
    return os.path.basename(config.source.file) or f"profile {config.source.table.get('profile', 'default')}"


def _made_at(store: ObjectStore, commit: str) -> float:
    """When a commit says that it was made, in seconds since 1970."""
    found = store.blobs.resolve(commit)
    head = found.content.partition(b"\n\n")[0] if found is not None else b""
    for line in head.split(b"\n"):
        if line.startswith(b"committer "):
            words = line.rsplit(b" ", 2)
            digits = words[-2] if len(words) == 3 else b""
            return min(float(digits[:16]), _LAST_SECOND) if digits.isdigit() else 0.0
    return 0.0


def _result(spec: UnitSpec, report: Report, configuration: str) -> UnitResult:
    found = [one for one in report.current if one.counts]
    rules = _by_rule(one.finding.rule for one in found)
    errors = _by_rule(one.finding.rule for one in found if one.severity is Severity.ERROR)
    older = sum(check.older for check in report.checks)
    error = _troubles([one for check in report.checks for one in check.troubles])
    verdict = report.verdict.value
    return UnitResult(spec.unit, spec.kind, spec.commit, verdict, rules, errors, older, configuration, error, 0.0)


def _by_rule(found: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for rule in found:
        counts[rule] = counts.get(rule, 0) + 1
    return dict(sorted(counts.items()))


def _troubles(troubles: list[Trouble]) -> str:
    told = list(dict.fromkeys(f"{one.location.path}: {one.message}".removeprefix(": ") for one in troubles))
    more = f" and {len(told) - 1} more" if told[1:] else ""
    return told[0] + more if told else ""
