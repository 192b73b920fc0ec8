"""Runs checks on a Context and makes a Report; applies policy; the only place that catches a check's crash."""

from __future__ import annotations

import time

from orchgate.config.settings import family
from orchgate.errors import REINSTALL, OrchgateError, Unreadable, missing_module
from orchgate.gate import suggestions, suppressions
from orchgate.gate.suppressions import KNOWN
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple, suppress
from orchgate.markdown.parts import is_markdown
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
    from collections.abc import Callable, Collection, Iterable, Mapping

    from orchgate.gate.asked import Asked, WatchedContext
    from orchgate.gate.context import Context
    from orchgate.gate.older import Comparison
    from orchgate.gate.outcomes import Outcomes
    from orchgate.gate.suppressions import Suppression
    from orchgate.git.message_hook import MessageHook
    from orchgate.markdown.document import Document
    from orchgate.model import Check


OFF = "off"


class WhenToMeasure(Enum):
    """When checks that measure do so."""

    ALWAYS = "always"
    UNLESS_REFUSED = "unless the other checks refuse the change"
    NEVER = "never"  # something else of the same push is refused
    RECORDED = "not now: what is on record is all that is asked for"


class Narrowing(NamedTuple):
    """Rules and families of rules, in capitals, that somebody asked for alone, or not to judge by."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def reason(self, rule: str) -> str | None:
        """Why a finding of the rule does not count; None where it does."""
        if self.ignore and not {rule, family(rule)}.isdisjoint(self.ignore):
            return "--ignore on the command line"
        if self.select and {rule, family(rule)}.isdisjoint(self.select):
            return "not in --select on the command line"
        return None


class Raw(NamedTuple):
    """What a check returned, before anything is stamped on it. Can travel between processes."""

    check: str
    outcome: Outcome
    seconds: float
    crash: str | None = None


class CheckRun:
    """One judgement: each check runs at most once, also when another one asks for its result."""

    def __init__(
        self,
        checks: Iterable[Check],
        available: Mapping[str, Check],
        ctx: Context,
        *,
        ignores: bool,
        strict: bool = True,
        early: Callable[[Report], None] | None = None,
        measure: WhenToMeasure = WhenToMeasure.UNLESS_REFUSED,
        narrowing: Narrowing | None = None,
        printed: suggestions.Printed = suggestions.EVERYTHING,
        asked: Asked | None = None,
    ) -> None:
        """`early` gets what is known before anything is measured; those checks' results are final.

        Unless it is `strict`, what was there before the change is not charged to it. `asked` notes the questions of an
        outcome that rests on this one and is to be kept.
        """
        self._checks = tuple(checks)
        self._early = early
        self._measure = measure
        self._narrowing = narrowing
        self._printed = printed
        self._known: tuple[CheckResult, ...] | None = None  # what `early` got
        self._available = available
        self._ctx = ctx.judging(engine=self)
        self._ignores = ignores
        self._strict = strict
        self._results: dict[str, CheckResult] = {}
        self._used: set[tuple[Location, str]] = set()
        self._suppressions: dict[str, suppressions.Covering] = {}
        self._configured = suppressions.Configured(ctx.config.top.ignore)
        self._earlier: CheckRun | None = None
        self._outcomes: Outcomes | None = None  # where what is found in a tree is kept
        self._asked: dict[str, Asked] = {} if asked is None else {check.id: asked for check in self._checks}
        self._comparison: Comparison | None = None
        rules = (*suppressions.RULES, *(rule for check in available.values() for rule in check.rules))
        self._rules = {rule.id: rule for rule in rules}
        self._weights: dict[tuple[str, str], tuple[Severity, str]] = {}

    def report(self) -> Report:
        """The verdict of every check, then what is wrong with the suppressions themselves."""
        for check in sorted(self._checks, key=lambda check: check.order.value):
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
        return tuple(suggestions.suggested(judged, self._available, self._ctx, self._printed))

    def hold(self) -> str:
        """Reports what is known before something is measured. Says why it is not to be measured, "" where it is."""
        if self._known is None:
            self._known = self._final(check.id for check in self._checks if check.id in self._results)
            if self._early is not None and self._known:
                self._early(Report(self._ctx.scope, self._known))
        if self._measure is WhenToMeasure.RECORDED:
            return "what was asked for measures nothing"
        lands = worst(result.verdict for result in self._known) in (Verdict.PASS, Verdict.WARN)
        if self._measure is WhenToMeasure.ALWAYS or (lands and self._measure is WhenToMeasure.UNLESS_REFUSED):
            return ""
        return f"the {'push' if self._ctx.scope.kind == 'range' else 'change'} is refused already"

    def _for_now(self, result: CheckResult) -> CheckResult:
        """A result at commit time, before there is a message: what only its trailers can decide is left to its hook."""
        excusable = any(self._is_excusable(diagnostic) for diagnostic in result.current)
        hook = self._ctx.message_hook if excusable else None
        if hook is None:
            return result
        diagnostics = tuple(_waiting(one, hook) if self._is_excusable(one) else one for one in result.diagnostics)
        return result._replace(diagnostics=diagnostics, verdict=self._verdict(diagnostics, result.troubles))

    def _is_excusable(self, diagnostic: Diagnostic) -> bool:
        return bool(diagnostic.finding.excuse) and diagnostic.severity is Severity.ERROR and diagnostic.counts

    def result(self, name: str) -> CheckResult:
        """A check's result, judged now if it was not yet. A check that is not there has no findings."""
        if name not in self._results:
            check = self._available.get(name)
            empty = CheckResult(name, Verdict.PASS, (), {}, {}, (), 0.0)
            self._results[name] = empty if check is None else self._judged(self._outcome(check))
        return self._results[name]

    def results_before(self, rules: Collection[str]) -> tuple[CheckResult, ...]:
        """What the checks with rules of these ids or families say of the change by the base's configuration alone."""
        others = (check for check in self._available.values() if check.order is not RunOrder.AFTER_OTHERS)
        asked = [check for check in others if _declares(check, rules)]
        if self._earlier is None:
            before = self._ctx.before
            same = before is self._ctx
            self._earlier = (
                self if same else CheckRun((), self._available, before, ignores=self._ignores, strict=self._strict)
            )
        # What is measured does not depend on where documents are, and is not measured twice: not here, and not by the
        # hook of one check for that of another.
        own = {check.id for check in self._checks}
        return tuple(
            (self if check.order is RunOrder.ALONE else self._earlier).result(check.id)
            for check in asked
            if check.order is not RunOrder.ALONE or check.id in own
        )

    def _is_off(self, check: Check) -> bool:
        """Whether nothing that a check finds would count."""
        severity_of = self._ctx.config.severity_of
        return self._ignores and all(severity_of(rule.id, check.id) == OFF for rule in check.rules)

    def _outcome(self, check: Check) -> Raw:
        start = time.perf_counter()
        if self._ctx.config.top.severity and self._is_off(check):
            return Raw(check.id, Outcome(facts={"off": "severity of its rules"}), 0.0)
        try:
            outcome = check.run(self._given(check))
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

    def _given(self, check: Check) -> Context | WatchedContext:
        """What a check is run with: where its outcome is to be kept, it is noted what it asks for."""
        if self._outcomes is None and check.id not in self._asked:
            return self._ctx
        from orchgate.gate import asked, outcomes

        if not outcomes.is_kept(check):
            return self._ctx
        return asked.WatchedContext(self._ctx, self._asked_of(check.id))

    def _asked_of(self, name: str) -> Asked:
        """The questions of a check."""
        if name not in self._asked:
            assert self._outcomes is not None  # of a check by itself they are given
            self._asked[name] = self._outcomes.asked()
        return self._asked[name]

    def _judged(self, raw: Raw) -> CheckResult:
        diagnostics = self._with_recalled(raw.check, [self._stamp(raw.check, one) for one in raw.outcome.findings])
        _, examined, facts, found, headline = raw.outcome
        # An input is named once, however many of its readers, parts of the tree and processes could not read it.
        troubles = tuple(sorted(dict.fromkeys(found), key=lambda one: (one.location, one.message, one.hint)))
        result = CheckResult(
            raw.check, Verdict.PASS, diagnostics, examined, facts, troubles, raw.seconds, raw.crash, headline=headline
        )
        result = self._compared(result)
        return result._replace(verdict=self._verdict(result.diagnostics, result.troubles))

    def _with_recalled(self, check: str, found: list[Diagnostic]) -> tuple[Diagnostic, ...]:
        """What was found, with what was kept of things that need no judging."""
        recalled = self._ctx.parts.recalled.get(check) if self._ctx.parts is not None else None
        kept = list(recalled.diagnostics()) if recalled is not None else []
        return tuple(sorted((*kept, *found), key=lambda one: one.finding.location) if kept else found)

    def _compared(self, result: CheckResult) -> CheckResult:
        """The result with those findings marked that are older than the change."""
        check = self._available[result.id]
        clean = all(one.suppressed is not None for one in result.diagnostics)
        listed = self._ctx.scope.whole_tree and KNOWN in self._ctx.snapshot.entries  # what is gone is said, too
        if self._strict or not check.of_tree or (clean and not listed):
            return result
        from orchgate.gate.older import Comparison  # most changes are clean

        if self._comparison is None:
            self._comparison = Comparison(self._ctx, self._at_base)
        start = time.perf_counter()
        compared = self._comparison.compared(check, result)
        return compared._replace(seconds=compared.seconds + time.perf_counter() - start)

    def _at_base(self, ctx: Context, check: Check) -> CheckResult:
        asked = self._asked.get(check.id)
        inner = CheckRun((check,), self._available, ctx, ignores=self._ignores, asked=asked)
        try:
            return inner.result(check.id)
        finally:
            inner.let_go()

    def let_go(self) -> None:
        """Ends the judgement: context and engine know each other, and no collector runs that would part them."""
        if self._earlier is not None and self._earlier is not self:
            self._earlier.let_go()
        self._earlier = self._comparison = self._outcomes = None
        self._ctx = self._ctx._replace(engine=None)

    def _verdict(self, diagnostics: Iterable[Diagnostic], troubles: Iterable[Trouble]) -> Verdict:
        kinds = {(one.severity, one.finding.rule) for one in diagnostics if one.counts}
        verdicts = [self._weight(severity, rule) for severity, rule in kinds]
        return worst([*verdicts, *(Verdict.BROKEN for _ in troubles)])

    def _weight(self, severity: Severity, rule: str) -> Verdict:
        return self._rules[rule].refuses if severity is Severity.ERROR else _WEIGHT[severity]

    def _stamp(self, check: str, finding: Finding) -> Diagnostic:
        usual, configured = self._usual_and_configured(check, finding.rule)
        severity = finding.severity or usual
        # What is only noted in this situation, such as a bump that the branch allows, is no fault by being configured.
        noted = finding.severity is Severity.NOTE and usual is not Severity.NOTE
        if configured and configured != OFF and not noted:
            severity = Severity(configured)
        if finding.lifted and severity is Severity.ERROR:
            severity = Severity.WARNING
        unwanted = self._narrowing.reason(finding.rule) if self._narrowing else None
        if unwanted is not None or not self._ignores:
            return Diagnostic(check, severity, finding, unwanted)
        if configured == OFF:
            return Diagnostic(check, severity, finding, f"severity.{finding.rule} is off")
        covering = self._inline(finding.location.path)
        inline = covering.of(finding) if covering is not suppressions.NONE else None
        if inline is not None:
            self._used.add((inline.location, finding.rule))
            return Diagnostic(check, severity, finding, inline.reason, in_source=True)
        return Diagnostic(check, severity, finding, self._configured.reason(finding))

    def _usual_and_configured(self, check: str, rule: str) -> tuple[Severity, str]:
        """What a rule weighs by itself, and what the configuration says; looked up once for all of its findings."""
        key = check, rule
        if key not in self._weights:
            self._weights[key] = self._rules[rule].severity, self._ctx.config.severity_of(rule, check)
        return self._weights[key]

    def _inline(self, path: str) -> suppressions.Covering:
        known = self._suppressions.get(path)
        if known is None:
            document = self._document(path)
            if document is None:  # not remembered: a later check may still parse it
                return suppressions.NONE
            found = suppressions.read(document)
            known = self._suppressions[path] = suppressions.Covering(found) if found else suppressions.NONE
        return known

    def _document(self, path: str) -> Document | None:
        document = self._ctx.documents.parsed(path)
        if document is None and is_markdown(path):  # reported by a check that does not read it
            with suppress(Unreadable):
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
