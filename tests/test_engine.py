"""The engine: one crash does not hide another check's answer, and policy turns findings into a verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchgate.commands.check import code
from orchgate.config.load import build
from orchgate.config.source import Source
from orchgate.errors import GitError, Unreadable
from orchgate.gate.engine import CheckRun
from orchgate.model import (
    Check,
    Finding,
    Location,
    Outcome,
    Report,
    Rule,
    RunOrder,
    Severity,
    Trouble,
    Verdict,
    worst,
)
from tests.support import folder_context, write_tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orchgate.gate.context import Context


def rule(name: str, severity: Severity = Severity.ERROR) -> Rule:
    return Rule(name, "title", severity, "what", "why", "bad", "good")


RULES = (rule("TST001"), rule("TST002", Severity.WARNING), rule("TST003", Severity.NOTE))


def check(run: Callable[[Context], Outcome], name: str = "tested") -> Check:
    return Check(name, "a check", RULES, run)


def finds(*rules: str, severity: Severity | None = None) -> Check:
    findings = tuple(Finding(name, Location("a.txt", 3), "message", severity=severity) for name in rules)
    return check(lambda _: Outcome(findings, {"files": 1}))


def raises(error: Exception, name: str = "tested") -> Check:
    def run(_: Context) -> Outcome:
        raise error

    return check(run, name)


@pytest.fixture
def judge(tmp_path: Path) -> Callable[..., Report]:
    """Judges an almost empty tree by the given checks, under a configuration of severities and ignores."""

    def judge(*checks: Check, ignores: bool = True, **tables: object) -> Report:
        write_tree(tmp_path, {"a.txt": "text\n"})
        config = build(Source("", {name.replace("_", "-"): table for name, table in tables.items()}))
        ctx = folder_context(tmp_path)._replace(config=config)
        return CheckRun(checks, {one.id: one for one in checks}, ctx, ignores=ignores).report()

    return judge


# Verdicts


@pytest.mark.parametrize(
    ("found", "verdict", "exit_code"),
    [
        ((), Verdict.PASS, 0),
        (("TST003",), Verdict.PASS, 0),
        (("TST003", "TST002"), Verdict.WARN, 0),
        (("TST002", "TST001"), Verdict.FAIL, 1),
    ],
)
def test_the_heaviest_finding_decides(
    judge: Callable[..., Report], found: tuple[str, ...], verdict: Verdict, exit_code: int
) -> None:
    report = judge(finds(*found))

    assert (report.verdict, report.verdict.exit_code) == (verdict, exit_code)


def test_a_trouble_is_broken_and_exit_3(judge: Callable[..., Report]) -> None:
    report = judge(check(lambda _: Outcome(troubles=(Trouble(Location("a.txt"), "unreadable"),))))

    assert (report.verdict, report.verdict.exit_code) == (Verdict.BROKEN, 3)


def test_a_refusal_outranks_what_could_not_be_checked(judge: Callable[..., Report]) -> None:
    report = judge(finds("TST001"), raises(GitError("git died"), "other"))

    assert (report.verdict, report.verdict.exit_code) == (Verdict.FAIL, 1)


def test_what_could_not_be_checked_outranks_a_warning(judge: Callable[..., Report]) -> None:
    assert judge(finds("TST002"), raises(GitError("git died"), "other")).verdict is Verdict.BROKEN


def test_nothing_to_do_is_a_pass(judge: Callable[..., Report]) -> None:
    assert judge().verdict is Verdict.PASS


@pytest.mark.parametrize("verdict", Verdict)
def test_a_pass_changes_no_other_verdict(verdict: Verdict) -> None:
    assert worst([Verdict.PASS, verdict]) is verdict


def test_only_pass_and_warn_end_in_0() -> None:
    assert {verdict for verdict in Verdict if verdict.exit_code == 0} == {Verdict.PASS, Verdict.WARN}


# What a check cannot do to the others


def test_a_crash_is_exit_4(judge: Callable[..., Report]) -> None:
    assert code(judge(raises(ZeroDivisionError("division by zero")))) == 4


def test_a_crash_is_a_broken_verdict(judge: Callable[..., Report]) -> None:
    assert judge(raises(KeyError("x"))).verdict is Verdict.BROKEN


def test_a_crash_beside_a_refusal_is_still_an_internal_error(judge: Callable[..., Report]) -> None:
    assert code(judge(finds("TST001"), raises(KeyError("x"), "other"))) == 4


def test_a_crash_says_where(judge: Callable[..., Report]) -> None:
    (crashed,) = judge(raises(ZeroDivisionError("division by zero"))).checks

    assert crashed.troubles[0].message.startswith("internal error at test_engine.py:")
    assert crashed.crash == "ZeroDivisionError: division by zero"


def test_the_other_checks_are_reported_beside_a_crash(judge: Callable[..., Report]) -> None:
    report = judge(raises(RecursionError("too deep"), "first"), finds("TST001"))

    assert [(one.id, one.verdict) for one in report.checks] == [("first", Verdict.BROKEN), ("tested", Verdict.FAIL)]


def test_a_finding_of_an_undeclared_rule_is_a_crash_of_its_check(judge: Callable[..., Report]) -> None:
    report = judge(finds("TST999"), check(lambda _: Outcome(), "other"))

    assert [(one.id, one.crash) for one in report.checks] == [("tested", "KeyError: 'TST999'"), ("other", None)]


def test_an_interrupt_is_not_a_crash(judge: Callable[..., Report]) -> None:
    def run(_: Context) -> Outcome:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        judge(check(run))


def test_an_error_of_ours_is_broken_with_its_hint(judge: Callable[..., Report]) -> None:
    (result,) = judge(raises(GitError("no base", "git fetch"))).checks

    assert (result.verdict, result.troubles, result.crash) == (
        Verdict.BROKEN,
        (Trouble(Location(""), "no base", "git fetch"),),
        None,
    )


def test_an_unreadable_file_keeps_its_name(judge: Callable[..., Report]) -> None:
    (result,) = judge(raises(Unreadable("big.json", "is larger than 5 bytes"))).checks

    assert result.troubles[0].location == Location("big.json")


def test_a_check_runs_once_also_when_another_asks_for_it(judge: Callable[..., Report]) -> None:
    runs: list[str] = []

    def asked(_: Context) -> Outcome:
        runs.append("asked")
        return Outcome()

    def asks(ctx: Context) -> Outcome:
        assert ctx.engine is not None
        ctx.engine.results_before(("TST",))
        return Outcome()

    judge(check(asks, "asks"), check(asked, "asked"))

    assert runs == ["asked"]


def test_checks_run_in_the_order_of_their_turns(judge: Callable[..., Report]) -> None:
    ran: list[str] = []

    def taking(order: RunOrder) -> Check:
        def run(_: Context) -> Outcome:
            ran.append(order.name)
            return Outcome()

        return check(run, order.name)._replace(order=order)

    report = judge(*map(taking, reversed(RunOrder)))

    assert ran == ["WITH_OTHERS", "AFTER_OTHERS", "ALONE"]
    assert [one.id for one in report.checks] == ["ALONE", "AFTER_OTHERS", "WITH_OTHERS"]


def test_a_check_that_is_not_there_has_no_findings(judge: Callable[..., Report]) -> None:
    def asks(ctx: Context) -> Outcome:
        assert ctx.engine is not None
        assert ctx.engine.results_before(("PRF",)) == ()
        return Outcome()

    assert judge(check(asks)).verdict is Verdict.PASS


# Severity


def test_configured_severity_replaces_the_rules_own(judge: Callable[..., Report]) -> None:
    report = judge(finds("TST001"), severity={"TST001": "note"})

    assert (report.verdict, report.diagnostics[0].severity) == (Verdict.PASS, Severity.NOTE)


def test_a_finding_may_weigh_differently_by_situation(judge: Callable[..., Report]) -> None:
    assert judge(finds("TST001", severity=Severity.WARNING)).verdict is Verdict.WARN


def test_configured_severity_replaces_the_situations_too(judge: Callable[..., Report]) -> None:
    assert judge(finds("TST001", severity=Severity.WARNING), severity={"TST001": "error"}).verdict is Verdict.FAIL


def test_off_is_suppressed_with_that_reason(judge: Callable[..., Report]) -> None:
    (diagnostic,) = judge(finds("TST001"), severity={"TST001": "off"}).diagnostics

    assert (diagnostic.suppressed, diagnostic.severity) == ("severity.TST001 is off", Severity.ERROR)


def test_off_passes(judge: Callable[..., Report]) -> None:
    assert judge(finds("TST001"), severity={"TST001": "off"}).verdict is Verdict.PASS


def test_no_ignores_shows_what_is_off(judge: Callable[..., Report]) -> None:
    assert judge(finds("TST001"), ignores=False, severity={"TST001": "off"}).verdict is Verdict.FAIL


def test_seconds_are_measured(judge: Callable[..., Report]) -> None:
    assert 0 <= judge(finds()).checks[0].seconds < 5


# The context


def test_a_context_does_not_change(tmp_path: Path) -> None:
    ctx = folder_context(tmp_path)
    for name in ("config", "named", "touched", "new"):
        with pytest.raises(AttributeError):
            setattr(ctx, name, None)


def test_contexts_of_one_change_share_their_documents(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.md": "# A\n"})
    ctx = folder_context(tmp_path)

    other = ctx._replace(named=frozenset({"documents"}))

    assert other.documents.one("a.md") is ctx.documents.one("a.md")
