"""For programs: version 1 of the report, described by `schemas/report.json`."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs import _document

if TYPE_CHECKING:
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Finding, Report, Scope, Trouble


_COMMAND = lazy(r"(?:orchgate|git|pre-commit|pip|pipx|npm|ls|rm|mv|mkdir|chmod|df|export) [^`…]+")
_EXCEPTION = "to land it for a reason"  # the label of a step that is a person's to take


def render(report: Report, stream: TextIO) -> None:
    """Writes one JSON object and a line break."""
    _document.write(document(report), stream)


def document(report: Report) -> dict[str, object]:
    """The report as plain values; internal types never leave this function."""
    facts = {
        "verdict": report.verdict.value,
        "scope": _scope(report.scope),
        "checks": [_check(check) for check in report.checks],
        "diagnostics": [diagnostic(one) for one in report.diagnostics],
        "problems": [_problem(one) for check in report.checks for one in check.troubles],
    }
    return _document.headed("report", facts)


def _scope(scope: Scope) -> dict[str, object]:
    return {"kind": scope.kind, "base": scope.base, "head": scope.head}


def _check(check: CheckResult) -> dict[str, object]:
    return {
        "id": check.id,
        "verdict": check.verdict.value,
        "examined_count": {name.replace(" ", "_"): count for name, count in check.examined.items()},
        "examined": dict(check.examined),
        "facts": dict(check.facts),
        "seconds": check.seconds,
        "troubles": [trouble(one) for one in check.troubles],
        "older": check.older,
        "uncompared": [trouble(one) for one in check.uncompared],
    }


def _problem(one: Trouble) -> dict[str, object]:
    return _document.problem("could_not_check", one.message, _hint(one) or "", one.location)


def trouble(one: Trouble) -> dict[str, object]:
    where = one.location.path or None
    return {"path": where, "message": one.message, "hint": _hint(one), "next": commands(one)}


def _hint(one: Finding | Trouble) -> str | None:
    """The hint, and what can be run next, a line each; None where nothing helps."""
    steps = (f"{step.label}: {step.command}" for step in one.steps)
    return "\n".join((*((one.hint,) if one.hint else ()), *steps)) or None


def commands(one: Finding | Trouble) -> list[str]:
    """What can be run next, as it would be pasted; never what makes an exception: a person decides that."""
    bare = [one.hint] if _COMMAND.fullmatch(one.hint) else []
    return [*bare, *(step.command for step in one.steps if not step.label.startswith(_EXCEPTION))]


def diagnostic(one: Diagnostic) -> dict[str, object]:
    """A finding with what the engine knows of it. Without a command of its own, `next` explains the rule."""
    finding = one.finding
    return {
        "check": one.check,
        "rule": finding.rule,
        "severity": one.severity.value,
        "path": finding.location.path or None,
        "line": finding.location.line or None,
        "column": finding.location.column or None,
        "message": finding.message,
        "hint": _hint(finding),
        "next": commands(finding) or [f"orchgate explain {finding.rule}"],
        "suppressed": one.suppressed,
        "older": one.older,
    }
