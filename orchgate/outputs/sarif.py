"""For code scanning: SARIF 2.1.0, with what GitHub makes of it in mind.

GitHub takes 25,000 results a run. It compares results by a hash of their line, which its upload action computes; where
a finding is about a whole file there is no line, and the finding's own identity is given in its place.
"""

from __future__ import annotations

import os
from urllib.parse import quote

from orchgate import __version__
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity, Verdict
from orchgate.outputs import _report
from orchgate.outputs._document import text_of
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from orchgate.model import Diagnostic, Finding, Location, Report, Rule, Trouble

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MOST = 25_000  # results that GitHub takes
IDENTITY = "orchgate/v1"  # the key of our fingerprints
_LINE_HASH = "primaryLocationLineHash"  # GitHub's
_ROOT = "%SRCROOT%"
_LINK = lazy(r"\[(?=[^\]]*\]\()")  # what a message makes a link of
_WORDS = lazy(r"[A-Za-z0-9]+")
_CODES = {
    0: "the change may land",
    1: "the change is refused",
    2: "wrong usage or configuration",
    3: "could not check, or not decided",
    4: "internal error",
    130: "interrupted",
}
_RECOMMENDED = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "recommendation"}


def render(report: Report, stream: TextIO) -> None:
    stream.write(text_of(document(report), indent=1) + "\n")


def document(report: Report) -> dict[str, object]:
    """A log with one run."""
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report)]}


def _run(report: Report) -> dict[str, object]:
    rules = _report.rules_of(report)
    shown = _shown(report)
    provenance = _provenance(report)
    return {
        "tool": {"driver": _driver(rules)},
        "automationDetails": {"id": f"orchgate/{report.about.command}/"},
        "invocations": [_invocation(report, max(len(shown) - MOST, 0))],
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The top folder of the repository."}}},
        **({"versionControlProvenance": [provenance]} if provenance else {}),
        "results": list(_results(report, shown[:MOST], {rule: at for at, rule in enumerate(rules)})),
    }


def _shown(report: Report) -> list[Diagnostic]:
    """What counts, the worst first, then what is older than the change, then what is suppressed."""
    rest = _report.worst_first(one for one in report.diagnostics if not one.counts)
    return [*_report.counting(report), *sorted(rest, key=lambda one: one.suppressed is not None)]


# What the tool is


def _driver(rules: Mapping[str, tuple[str, Rule]]) -> dict[str, object]:
    broken = {"id": "could-not-check", "shortDescription": {"text": "Something could not be checked."}}
    return {
        "name": "orchgate",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": _report.HOME,
        "rules": [_rule(check, rule) for check, rule in rules.values()],
        "notifications": [broken],
    }


def _rule(check: str, rule: Rule) -> dict[str, object]:
    lines = {"Why": rule.why, "Wrong": rule.bad, "Right": rule.good}
    exceptions = {"Exceptions": "; ".join(rule.exceptions)} if rule.exceptions else {}
    texts = {**lines, **exceptions, "More": f"orchgate explain {rule.id}"}
    return {
        "id": rule.id,
        "name": "".join(word[0].upper() + word[1:] for word in _WORDS.findall(rule.title)),
        "shortDescription": {"text": f"{rule.title[0].upper()}{rule.title[1:]}"},
        "fullDescription": {"text": rule.what},
        "help": {
            "text": "\n\n".join((rule.what, *(f"{name}: {text}" for name, text in texts.items()))),
            "markdown": "\n\n".join((rule.what, *(f"**{name}**: {text}" for name, text in texts.items()))),
        },
        "helpUri": f"{_report.RULES}#{rule.id.lower()}",
        "defaultConfiguration": {"level": rule.severity.value},
        "properties": {"tags": [check], "problem.severity": _RECOMMENDED[rule.severity]},
    }


# What it found


def _results(report: Report, shown: Sequence[Diagnostic], index: Mapping[str, int]) -> Iterator[dict[str, object]]:
    compared = any(one.older for one in report.diagnostics)
    for one, identity in zip(shown, _report.identities(shown), strict=True):
        finding = one.finding
        state = {"baselineState": "unchanged" if one.older else "new"} if compared else {}
        yield {
            "ruleId": finding.rule,
            **({"ruleIndex": index[finding.rule]} if finding.rule in index else {}),
            "level": one.severity.value,
            "message": {"text": _text(finding)},
            "locations": _locations(finding.location, report.about.anchor),
            "partialFingerprints": {
                IDENTITY: identity,
                **({} if finding.location.line else {_LINE_HASH: f"{identity[:16]}:1"}),
            },
            **state,
            **({"suppressions": [_suppression(one)]} if one.suppressed is not None else {}),
            "properties": {"check": one.check},
        }


def _text(one: Finding | Trouble) -> str:
    return _LINK.sub(r"\\[", _report.said(one))


def _suppression(one: Diagnostic) -> dict[str, object]:
    kind = "inSource" if one.in_source else "external"
    return {"kind": kind, "status": "accepted", "justification": escape(one.suppressed or "")}


def _locations(location: Location, anchor: str) -> list[dict[str, object]]:
    path = location.path or anchor
    if not path:
        return []
    place: dict[str, object] = {"artifactLocation": {"uri": _uri(path), "uriBaseId": _ROOT}}
    if location.path and location.line:
        column = {"startColumn": location.column} if location.column else {}
        place["region"] = {"startLine": location.line, **column}
    return [{"physicalLocation": place}]


def _uri(path: str) -> str:
    try:
        return quote(os.fsencode(path))
    except UnicodeEncodeError:  # half a character, which some file's text had for a path
        return quote(escape(path))


# How it went


def _invocation(report: Report, left: int) -> dict[str, object]:
    about = report.about
    broken = [_notification(trouble, "error") for check in report.checks for trouble in dict.fromkeys(check.troubles)]
    uncompared = dict.fromkeys(trouble for check in report.checks for trouble in check.uncompared)
    execution = [*([] if about.failed else broken), *(_notification(one, "warning") for one in uncompared)]
    if not about.failed and all(map(_report.is_idle, report.checks)):
        execution.append({"level": "note", "message": {"text": _report.headline(report)}})
    if left:
        text = f"{left:,} more findings are not listed: GitHub takes {MOST:,} results"
        execution.append({"level": "warning", "message": {"text": text}})
    return {
        "executionSuccessful": not broken and report.verdict not in (Verdict.BROKEN, Verdict.INCONCLUSIVE),
        "exitCode": about.exit_code,
        "exitCodeDescription": _CODES.get(about.exit_code, ""),
        "toolExecutionNotifications": execution,
        **({"toolConfigurationNotifications": broken} if about.failed else {}),
    }


def _notification(one: Trouble, level: str) -> dict[str, object]:
    found = _locations(one.location, "")
    return {
        "descriptor": {"id": "could-not-check", "index": 0},
        "level": level,
        "message": {"text": _text(one)},
        **({"locations": found} if found else {}),
    }


def _provenance(report: Report) -> dict[str, object]:
    about = report.about
    if not about.remote:
        return {}
    known = {"repositoryUri": about.remote, "revisionId": about.head, "branch": escape(about.branch)}
    return {**{name: value for name, value in known.items() if value}, "mappedTo": {"uriBaseId": _ROOT}}
