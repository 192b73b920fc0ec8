"""Runs checks on a Context and makes a Report; applies policy; the only place that catches a check's crash."""

from __future__ import annotations

import contextlib
import time
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import REINSTALL, OrchgateError, Unreadable, missing_module
from orchgate.gate import suggestions, suppressions
from orchgate.gate.context import Share
from orchgate.lib.parallel import cores, shares, spread
from orchgate.markdown.names import is_markdown
from orchgate.model import (
    CheckResult,
    Diagnostic,
    Finding,
    Location,
    Outcome,
    Report,
    RunOrder,
    Severity,
    Trouble,
    Verdict,
    worst,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from orchgate.gate.context import Context
    from orchgate.gate.suppressions import Suppression
    from orchgate.git.messages import MessageHook
    from orchgate.markdown.document import Document
    from orchgate.model import Check, Rule


MANY_FILES = 1500  # from here on a second process for a whole tree pays for itself
OFF = "off"
PARTS = 64  # small enough that both processes end at about the same time
_NONE = suppressions.Covering()


class WhenToMeasure(Enum):
    """When checks that measure do so."""

    ALWAYS = "always"
    UNLESS_REFUSED = "unless the other checks refuse the change"
    NEVER = "never"  # something else of the same push is refused


class Raw(NamedTuple):
    """What a check returned, before anything is stamped on it. Can travel between processes."""

    check: str
    outcome: Outcome
    seconds: float
    crash: str | None = None


class HalfDone(NamedTuple):
    """What one of two processes did: outcomes, and the documents it read that hold suppressions."""

    raws: list[Raw]
    marked: list[str]


def _taken(paths: list[str], take: Callable[[], int | None]) -> Iterator[list[str]]:
    """Consecutive parts of the paths as this process gets hold of them."""
    size = -(-len(paths) // PARTS)
    while (number := take()) is not None:
        yield paths[number * size : (number + 1) * size]


def _joined(one: Raw, other: Raw) -> Raw:
    """Two outcomes of one check, each about its own documents."""
    examined = {name: number + other.outcome.examined.get(name, 0) for name, number in one.outcome.examined.items()}
    outcome = Outcome(
        tuple(sorted((*one.outcome.findings, *other.outcome.findings), key=lambda finding: finding.location)),
        examined or other.outcome.examined,
        {**one.outcome.facts, **other.outcome.facts},
        tuple(dict.fromkeys((*one.outcome.troubles, *other.outcome.troubles))),
    )
    return Raw(one.check, outcome, max(one.seconds, other.seconds), one.crash or other.crash)


class CheckRun:
    """One judgement: each check runs at most once, also when another one asks for its result."""

    def __init__(
        self,
        checks: Iterable[Check],
        available: Mapping[str, Check],
        ctx: Context,
        *,
        ignores: bool,
        early: Callable[[Report], None] | None = None,
        measure: WhenToMeasure = WhenToMeasure.UNLESS_REFUSED,
    ) -> None:
        """`early` gets what is known before anything is measured; those checks' results are final."""
        self._checks = tuple(checks)
        self._early = early
        self._measure = measure
        self._known: tuple[CheckResult, ...] | None = None  # what `early` got
        self._available = available
        self._ctx = ctx._replace(engine=self)
        self._ignores = ignores
        self._results: dict[str, CheckResult] = {}
        self._used: set[tuple[Location, str]] = set()
        self._suppressions: dict[str, suppressions.Covering] = {}
        self._configured = suppressions.Configured(ctx.config.top.ignore)
        self._earlier: CheckRun | None = None
        rules = (*suppressions.RULES, *(rule for check in available.values() for rule in check.rules))
        self._rules = {rule.id: rule for rule in rules}

    def report(self) -> Report:
        """The verdict of every check, then what is wrong with the suppressions themselves."""
        if self._ctx.scope.whole_tree and len(self._ctx.snapshot.entries) >= MANY_FILES and cores() > 1:
            self._judge_side_by_side()
        for check in sorted(self._checks, key=lambda check: check.turn.value):
            self.result(check.id)
        known = {result.id: result for result in self._known or ()}
        rest = {
            result.id: result for result in self._final(check.id for check in self._checks if check.id not in known)
        }
        results = tuple({**known, **rest}[check.id] for check in self._checks)
        extra = self._complaints() if self._ignores else None
        return Report(self._ctx.scope, results if extra is None else (*results, extra))

    def _final(self, names: Iterable[str]) -> tuple[CheckResult, ...]:
        judged = (self._for_now(self.result(name)) for name in names)
        return tuple(suggestions.suggested(judged, self._available, self._ctx))

    def hold(self) -> str:
        """Reports what is known before something is measured. Says why it is not to be measured, "" where it is."""
        if self._known is None:
            self._known = self._final(check.id for check in self._checks if check.id in self._results)
            if self._early is not None and self._known:
                self._early(Report(self._ctx.scope, self._known))
        lands = worst(result.verdict for result in self._known) in (Verdict.PASS, Verdict.WARN)
        if self._measure is WhenToMeasure.ALWAYS or (lands and self._measure is WhenToMeasure.UNLESS_REFUSED):
            return ""
        return f"the {'push' if self._ctx.scope.kind == 'range' else 'change'} is refused already"

    def _for_now(self, result: CheckResult) -> CheckResult:
        """A result at commit time, before there is a message: what only its trailers can decide is left to its hook."""
        excusable = any(self._is_excusable(diagnostic) for diagnostic in result.diagnostics)
        hook = self._ctx.message_hook if excusable else None
        if hook is None:
            return result
        diagnostics = tuple(_waiting(one, hook) if self._is_excusable(one) else one for one in result.diagnostics)
        return result._replace(diagnostics=diagnostics, verdict=self._verdict(diagnostics, result.troubles))

    def _is_excusable(self, diagnostic: Diagnostic) -> bool:
        refuses = diagnostic.severity is Severity.ERROR and diagnostic.suppressed is None
        return refuses and bool(diagnostic.finding.excuse)

    def _judge_side_by_side(self) -> None:
        """Outcomes of a large tree's checks by two processes.

        This one begins with the check that reads every document; the other does the rest and then helps with it.
        """
        together = [check for check in self._checks if check.turn is RunOrder.WITH_OTHERS]
        longest = [check for check in together if check.shared][:1]
        others = [check for check in together if check not in longest]
        if not longest or not others:
            return
        take = shares(PARTS)
        mine, theirs = spread(lambda jobs: self._half(*jobs[0], take), [(True, longest), (False, others + longest)], 1)
        self._ctx.documents.read(theirs.marked)
        *rest, helped = theirs.raws
        for raw in (*rest, _joined(mine.raws[0], helped)):
            self._results[raw.check] = self._judged(raw)

    def _half(self, leads: bool, checks: Iterable[Check], take: Callable[[], int | None]) -> HalfDone:
        self._ctx = self._ctx._replace(share=Share(lambda paths: _taken(paths, take), leads))
        raws = [self._outcome(check) for check in checks]
        documents = self._ctx.documents
        read = ((path, documents.parsed(path)) for path in documents.parsed_paths)
        return HalfDone(raws, [path for path, document in read if document and suppressions.may_hold(document.source)])

    def result(self, name: str) -> CheckResult:
        """A check's result, judged now if it was not yet. A check that is not there has no findings."""
        if name not in self._results:
            check = self._available.get(name)
            empty = CheckResult(name, Verdict.PASS, (), {}, {}, (), 0.0)
            self._results[name] = empty if check is None else self._judged(self._outcome(check))
        return self._results[name]

    def results_before(self, rules: Collection[str]) -> tuple[CheckResult, ...]:
        """What the checks with rules of these ids or families say of the change by the base's configuration alone."""
        others = (check for check in self._available.values() if check.turn is not RunOrder.AFTER_OTHERS)
        asked = [check for check in others if _declares(check, rules)]
        if self._earlier is None:
            before = self._ctx.before
            same = before is self._ctx
            self._earlier = self if same else CheckRun((), self._available, before, ignores=self._ignores)
        # What is measured does not depend on where documents are, and is not measured twice: not here, and not by the
        # hook of one check for that of another.
        own = {check.id for check in self._checks}
        return tuple(
            (self if check.turn is RunOrder.ALONE else self._earlier).result(check.id)
            for check in asked
            if check.turn is not RunOrder.ALONE or check.id in own
        )

    def _is_off(self, check: Check) -> bool:
        """Whether nothing that a check finds would count."""
        severity_of = self._ctx.config.severity_of
        return self._ignores and all(severity_of(rule.id, check.id) == OFF for rule in check.rules)

    def _outcome(self, check: Check) -> Raw:
        start = time.perf_counter()
        if self._ctx.config.top.severity and self._is_off(check):
            return Raw(check.id, Outcome(facts={"off": "severity of all its rules"}), 0.0)
        try:
            outcome = check.run(self._ctx)
            for finding in outcome.findings:
                self._rules[finding.rule]  # a rule the check does not declare is its crash, not the run's
            return Raw(check.id, outcome, time.perf_counter() - start)
        except OrchgateError as error:
            place = Location(error.path if isinstance(error, Unreadable) else "")
            outcome = Outcome(troubles=(Trouble(place, error.message, error.hint),))
            return Raw(check.id, outcome, time.perf_counter() - start)
        except Exception as error:  # noqa: BLE001 -- the one boundary: a crash is reported as such, never as a pass
            outcome = Outcome(troubles=(_crashed(error),))
            return Raw(check.id, outcome, time.perf_counter() - start, f"{type(error).__name__}: {error}")

    def _judged(self, raw: Raw) -> CheckResult:
        diagnostics = tuple(self._stamp(raw.check, finding) for finding in raw.outcome.findings)
        _, examined, facts, troubles = raw.outcome
        verdict = self._verdict(diagnostics, troubles)
        return CheckResult(raw.check, verdict, diagnostics, examined, facts, troubles, raw.seconds, raw.crash)

    def _verdict(self, diagnostics: Iterable[Diagnostic], troubles: Iterable[Trouble]) -> Verdict:
        verdicts = [self._weight(diagnostic) for diagnostic in diagnostics if diagnostic.suppressed is None]
        return worst([*verdicts, *(Verdict.BROKEN for _ in troubles)])

    def _weight(self, diagnostic: Diagnostic) -> Verdict:
        if diagnostic.severity is Severity.ERROR:
            return self._rules[diagnostic.finding.rule].refuses
        return _WEIGHT[diagnostic.severity]

    def rules(self) -> Mapping[str, tuple[str, Rule]]:
        """Every rule by id, with the check that reports it."""
        found = {rule.id: (check.id, rule) for check in self._available.values() for rule in check.rules}
        return {**{rule.id: ("suppressions", rule) for rule in suppressions.RULES}, **found}

    def _stamp(self, check: str, finding: Finding) -> Diagnostic:
        usual = self._rules[finding.rule].severity
        configured = self._ctx.config.severity_of(finding.rule, check)
        severity = finding.severity or usual
        # What is only noted in this situation, such as a bump that the branch allows, is no fault by being configured.
        noted = finding.severity is Severity.NOTE and usual is not Severity.NOTE
        if configured and configured != OFF and not noted:
            severity = Severity(configured)
        if finding.lifted and severity is Severity.ERROR:
            severity = Severity.WARNING
        return Diagnostic(check, severity, finding, self._suppressed(finding, configured) if self._ignores else None)

    def _suppressed(self, finding: Finding, configured: str) -> str | None:
        if configured == OFF:
            return f"severity.{finding.rule} is off"
        inline = self._inline(finding.location.path).of(finding)
        if inline is not None:
            self._used.add((inline.location, finding.rule))
            return inline.reason
        return self._configured.reason(finding)

    def _inline(self, path: str) -> suppressions.Covering:
        if path not in self._suppressions:
            document = self._document(path)
            if document is None:  # not remembered: a later check may still parse it
                return _NONE
            self._suppressions[path] = suppressions.Covering(suppressions.read(document))
        return self._suppressions[path]

    def _document(self, path: str) -> Document | None:
        document = self._ctx.documents.parsed(path)
        if document is None and is_markdown(path):  # reported by a check that does not read it
            with contextlib.suppress(Unreadable):
                document = self._ctx.documents.one(path)
        return document

    def _complaints(self) -> CheckResult | None:
        everything = [one for path in sorted(self._answered_for()) for one in self._inline(path).all]
        if not everything:
            return None
        sound = [check for check in self._checks if not self.result(check.id).troubles]
        judged = frozenset(rule.id for check in sound for rule in check.rules)
        findings = suppressions.complaints(everything, self._used, judged, self._known_rules(everything))
        diagnostics = tuple(self._stamp("suppressions", finding) for finding in findings)
        counted = {"suppressions": len(everything)}
        return CheckResult("suppressions", self._verdict(diagnostics, ()), diagnostics, counted, {}, (), 0.0)

    def _answered_for(self) -> Iterable[str]:
        """Documents whose suppressions are judged: of the others some checks have read a part, or nothing."""
        parsed = self._ctx.documents.parsed_paths
        touched = frozenset(parsed) if self._ctx.scope.whole_tree else {one.path for one in self._ctx.scope.changes}
        # A link and what it leads to hold the same comments.
        twice = {link for path in parsed for link in self._ctx.documents.links.get(path, ())} if parsed else frozenset()
        return [path for path in parsed if path in touched and path not in twice]

    def _known_rules(self, found: Iterable[Suppression]) -> frozenset[str]:
        """Ids of all rules; those of checks that did not run are looked up only when a comment names one."""
        if all(rule in self._rules for one in found for rule in one.rules):
            return frozenset(self._rules)
        return frozenset((*self._rules, *suppressions.every_rule()))


def _declares(check: Check, rules: Collection[str]) -> bool:
    """Whether a check has one of the rules, which are ids or families such as "DOC"."""
    return any(rule.id.startswith(tuple(rules)) for rule in check.rules)


def _waiting(diagnostic: Diagnostic, hook: MessageHook) -> Diagnostic:
    finding = diagnostic.finding
    if not hook.installed:
        hint = (
            f"{finding.hint} (a trailer is read at commit time once {hook.command} has installed the commit-msg hook)"
        )
        return diagnostic._replace(finding=finding._replace(hint=hint))
    message = f"{finding.message}; the commit message decides: {finding.excuse}: reason"
    return diagnostic._replace(finding=finding._replace(message=message), severity=Severity.WARNING)


def _crashed(error: Exception) -> Trouble:
    if missing := missing_module(error):
        return Trouble(Location(""), f"the module {missing} cannot be imported: {error}", REINSTALL)
    import traceback

    *_, last = traceback.extract_tb(error.__traceback__)
    where = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
    return Trouble(Location(""), f"internal error at {where}: {type(error).__name__}: {error}", "please report this")


_WEIGHT = {Severity.WARNING: Verdict.WARN, Severity.NOTE: Verdict.PASS}
