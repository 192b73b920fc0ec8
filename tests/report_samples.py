"""Reports of every kind of end, as the engine makes them, for the formats to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.model import (
    About,
    Change,
    CheckResult,
    Diagnostic,
    Finding,
    Location,
    Report,
    Scope,
    Severity,
    Step,
    Trouble,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = "1c7363cc6b0f4c43a1ae6b7e4c4d3e2f1a0b9c8d"
HEAD = "52d0aa41c37a8f6f0c9e54f2a6d3b1e7c8f90a12"
CHANGES = (
    Change("M", "docs/PRD-slim.md", None, "100644", "100644", "a" * 40, "b" * 40, 10, 4),
    Change("A", "src/audit.py", None, "000000", "100644", "0" * 40, "c" * 40, 120, 0),
)
RANGE = Scope("range", BASE, HEAD, CHANGES, origin="origin/main")
STAGED = Scope("staged", BASE, None, CHANGES, origin="HEAD")
ABOUT = About(
    exit_code=0,
    remote="https://github.com/example/project",
    head=HEAD,
    branch="audit",
    anchor="orchgate.toml",
)
PLACE = Location("docs/PRD-slim.md", 12, 5)
METRICS: Mapping[str, object] = {
    "verdict": "fail",
    "metrics": [
        {
            "name": "cpu_seconds",
            "verdict": "fail",
            "estimate": 0.203,
            "low": 0.181,
            "high": 0.224,
            "pairs": 14,
            "p": 0.0001,
            "smallest_effect": 0.02,
            "base": 0.121,
            "head": 0.146,
            "reason": "",
            "base_lower_bound": None,
            "head_lower_bound": None,
            "pairs_missing": None,
            "answer": "slower",
            "change_of_medians": 0.2066,
        }
    ],
    "counters": [
        {
            "name": "files_written",
            "verdict": "pass",
            "base": 3.0,
            "head": 3.0,
            "reason": "",
            "base_lower_bound": None,
            "head_lower_bound": None,
            "runs_missing": 0,
        }
    ],
}


def found(
    rule: str = "EVD001",
    place: Location = PLACE,
    message: str = "out/0101/log.txt is missing",
    *,
    hint: str = "did you mean out/0101/log.md?",
    weight: Severity = Severity.ERROR,
    check: str = "evidence",
    steps: tuple[Step, ...] = (),
    about: tuple[str, ...] = (),
    **stamped: Any,
) -> Diagnostic:
    return Diagnostic(check, weight, Finding(rule, place, message, hint, steps=steps, about=about), **stamped)


def result(check: str, verdict: Verdict, *diagnostics: Diagnostic, **fields: Any) -> CheckResult:
    values: dict[str, Any] = {"examined": {"links": 41}, "facts": {}, "troubles": (), "seconds": 0.0125, **fields}
    return CheckResult(check, verdict, diagnostics, **values)


EVIDENCE = result("evidence", Verdict.PASS)
DOCUMENTS = result("documents", Verdict.PASS, examined={"documents": 12})
REPRODUCE = Step("reproduce", "orchgate perf --base 1c7363cc6b0f --head 52d0aa41c37a bench")


def refused() -> Report:
    errors = (
        found(),
        found(message="out/0101/log.txt is missing", place=Location("docs/PRD-slim.md", 30, 5)),
        found("EVD003", Location("docs/PRD-slim.md", 14), "an absolute path: others cannot open it", hint=""),
    )
    rest = (
        found("EVD009", Location("docs/PRD-slim.md", 16, 3), "only on this machine", weight=Severity.WARNING),
        found("EVD001", Location("docs/PRD-slim.md", 40, 3), "out/old.txt is missing", older=True),
        found("EVD001", Location("docs/PRD-slim.md", 50, 3), "out/x.txt is missing", suppressed="gone", in_source=True),
        found("EVD007", Location("docs/notes.md", 5, 3), "run failed", suppressed="kept as a warning to others"),
    )
    missing = found("DOC002", Location("docs/PRD-slim.md"), "needed sections: Goals", check="documents", hint="")
    slower = found(
        "PRF001",
        Location(""),
        "bench: CPU time +20.3 % (+18.1 % to +22.4 %; 0.121 s -> 0.146 s) in stage test; 14 pairs in 3.9 s",
        check="performance",
        hint="",
        steps=(REPRODUCE,),
    )
    checks = (
        result("documents", Verdict.FAIL, missing, examined={"documents": 12}),
        result("evidence", Verdict.FAIL, *errors, *rest),
        result("performance", Verdict.FAIL, slower, examined={"measured pairs": 14}, facts=METRICS),
        result("specs", Verdict.PASS, examined={}, facts={"off": "severity of its rules"}),
    )
    return Report(RANGE, checks, ABOUT._replace(exit_code=1))


def broken() -> Report:
    trouble = Trouble(Location("out/0101/manifest.json"), "is larger than 5 bytes", "raise manifests.max-bytes")
    uncompared = Trouble(Location("docs/PRD-slim.md"), "is not text at base")
    warning = found("EVD009", weight=Severity.WARNING, message="only on this machine")
    checks = (
        DOCUMENTS,
        result("evidence", Verdict.BROKEN, warning, troubles=(trouble,), uncompared=(uncompared,)),
        result("manifests", Verdict.BROKEN, troubles=(trouble,), examined={"manifests": 0}),
    )
    return Report(RANGE, checks, ABOUT._replace(exit_code=3))


def crashed() -> Report:
    trouble = Trouble(Location(""), "internal error at evidence.py:12: KeyError: 'x'", "please report this")
    check = result("evidence", Verdict.BROKEN, troubles=(trouble,), examined={}, crash="KeyError: 'x'")
    return Report(RANGE, (DOCUMENTS, check), ABOUT._replace(exit_code=4))


def misconfigured() -> Report:
    troubles = (
        Trouble(Location("orchgate.toml", 3, 1), "diff-budget.max-file: unknown key", "did you mean max-files?"),
        Trouble(Location("orchgate.toml", 4, 1), "evidence.roots: expected an array"),
    )
    check = CheckResult("orchgate", Verdict.BROKEN, (), {}, {}, troubles, 0.0)
    return Report(Scope("", None, None), (check,), About(exit_code=2, failed="configuration"))


def warned() -> Report:
    warning = found("EVD009", weight=Severity.WARNING, message="only on this machine")
    note = found("VER001", Location("pyproject.toml", 3), "0.1.0 -> 0.2.0", weight=Severity.NOTE, check="version-bump")
    checks = (
        DOCUMENTS,
        result("evidence", Verdict.WARN, warning),
        result("version-bump", Verdict.PASS, note, examined={"versions": 1}),
    )
    return Report(STAGED, checks, ABOUT)


def passed() -> Report:
    return Report(RANGE, (DOCUMENTS, EVIDENCE), ABOUT)


def empty() -> Report:
    nothing = (DOCUMENTS._replace(examined={}), EVIDENCE._replace(examined={}))
    return Report(STAGED._replace(changes=()), nothing, ABOUT)


SAMPLES = {
    "passed": passed,
    "warned": warned,
    "refused": refused,
    "broken": broken,
    "crashed": crashed,
    "misconfigured": misconfigured,
    "empty": empty,
}
