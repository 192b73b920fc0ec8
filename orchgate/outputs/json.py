"""For programs: version 1 of the report, described by `schemas/report.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Finding, Report, Scope, Trouble


def render(report: Report, stream: TextIO) -> None:
    """Writes one JSON object and a line break; characters that are not ASCII are escaped."""
    import json

    # ASCII only: undecodable bytes of file names are lone surrogates, which no other encoding can carry.
    json.dump(document(report), stream, indent=2, ensure_ascii=True)
    stream.write("\n")


def document(report: Report) -> dict[str, object]:
    """The report as plain values; internal types never leave this function."""
    return {
        "version": 1,
        "verdict": report.verdict.value,
        "scope": _scope(report.scope),
        "checks": [_check(check) for check in report.checks],
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in report.diagnostics],
    }


def _scope(scope: Scope) -> dict[str, object]:
    return {"kind": scope.kind, "base": scope.base, "head": scope.head}


def _check(check: CheckResult) -> dict[str, object]:
    return {
        "id": check.id,
        "verdict": check.verdict.value,
        "examined": dict(check.examined),
        "facts": dict(check.facts),
        "seconds": round(check.seconds, 6),
        "troubles": [_trouble(trouble) for trouble in check.troubles],
    }


def _trouble(trouble: Trouble) -> dict[str, object]:
    return {"path": trouble.location.path or None, "message": trouble.message, "hint": _hint(trouble)}


def _hint(one: Finding | Trouble) -> str:
    """The hint, and what can be run next, a line each."""
    return "\n".join((*((one.hint,) if one.hint else ()), *(f"{step.label}: {step.command}" for step in one.steps)))


def _diagnostic(diagnostic: Diagnostic) -> dict[str, object]:
    finding = diagnostic.finding
    return {
        "check": diagnostic.check,
        "rule": finding.rule,
        "severity": diagnostic.severity.value,
        "path": finding.location.path,
        "line": finding.location.line,
        "column": finding.location.column,
        "message": finding.message,
        "hint": _hint(finding),
        "suppressed": diagnostic.suppressed,
    }
