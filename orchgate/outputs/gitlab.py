"""For merge requests on GitLab: a Code Quality report.

GitLab compares the report of a merge request with that of its target by fingerprints alone: what is older than the
change is listed, too, or it would pass for resolved.
"""

from __future__ import annotations

from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity
from orchgate.outputs import _report
from orchgate.outputs._document import text_of
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from orchgate.model import Diagnostic, Report, Trouble

SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "minor", Severity.NOTE: "info"}
OLDER = "info"
BROKEN = "blocker"
NOWHERE = "."  # GitLab drops an entry without a path


def render(report: Report, stream: TextIO) -> None:
    stream.write(text_of(document(report), indent=1) + "\n")


def document(report: Report) -> list[dict[str, object]]:
    """An entry for each finding and for each thing that could not be checked."""
    shown = _report.worst_first(one for one in report.diagnostics if one.suppressed is None)
    identities = _report.identities(shown)
    broken = dict.fromkeys(trouble for check in report.checks for trouble in check.troubles)
    return [
        *(_broken(trouble, report) for trouble in broken),
        *(_entry(one, identity, report) for one, identity in zip(shown, identities, strict=True)),
    ]


def _entry(one: Diagnostic, identity: str, report: Report) -> dict[str, object]:
    place = one.finding.location
    return {
        "description": _one_line(f"{one.finding.rule}: {escape(one.finding.message)}", _report.hints(one.finding)),
        "check_name": one.finding.rule,
        "fingerprint": identity,
        "severity": OLDER if one.older else SEVERITIES[one.severity],
        "location": _location(place.path or report.about.anchor, place.line if place.path else 0),
    }


def _broken(one: Trouble, report: Report) -> dict[str, object]:
    what = f"{_report.COULD_NOT_CHECK}: {escape(one.message)}"
    identity = f"{one.location.path}\0{one.location.line}\0{one.message}".encode("utf-8", "surrogatepass")
    return {
        "description": _one_line(what, _report.hints(one)),
        "check_name": "could-not-check",
        "fingerprint": sha256_hex(identity),
        "severity": BROKEN,
        "location": _location(one.location.path or report.about.anchor, one.location.line),
    }


def _one_line(what: str, hints: Iterator[str]) -> str:
    return "; ".join((what, *hints))


def _location(path: str, line: int) -> dict[str, object]:
    return {"path": escape(path) or NOWHERE, "lines": {"begin": line or 1}}
