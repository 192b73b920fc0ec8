"""For GitHub Actions: annotations at the lines of a proposed change, and the summary of the step.

GitHub shows ten annotations of a kind for each step, and fifty for a job. Those that there is no room for are counted
in the last one that is shown: a further one, which only counts, would take the place of a finding. Annotations are
folded away in the log, where GitHub prints no more of them than the message; below them is what text says.
"""

from __future__ import annotations

from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity
from orchgate.outputs import _report, markdown, text
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from orchgate.model import Location, Report

MOST_OF_A_KIND = 10
SUMMARY_BYTES = 1 << 20  # of all that a step writes
_KINDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
_LONGEST = 2_000  # characters of a message


def render(report: Report, stream: TextIO) -> None:
    """Writes the annotations alone; who calls it has the text printed below them."""
    stream.writelines(line + "\n" for line in lines(report))


def summary(report: Report, room: int = SUMMARY_BYTES) -> str:
    """What the summary of the step shows, in at most so many bytes; "" where they do not even hold the verdict."""
    found = markdown.document(report, room)
    return found if len(found.encode()) <= room else ""


def lines(report: Report) -> Iterator[str]:
    """Commands to the runner of GitHub Actions, the worst first; none where nothing is to be said."""
    kinds = {kind: _fitting(kind, list(_annotations(report, severity))) for severity, kind in _KINDS.items()}
    commands = [f"::{kind} {where}::{_data(what)}" for kind, found in kinds.items() for where, what in found]
    if commands:
        yield from (f"::group::{counted(len(commands), 'annotation')}", *commands, "::endgroup::")


def _fitting(kind: str, found: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    more = len(found) - MOST_OF_A_KIND
    rest = f"\n(and {counted(more, f'more {kind}')} without an annotation: GitHub shows {MOST_OF_A_KIND} of a step)"
    for number, (where, what) in enumerate(found[:MOST_OF_A_KIND], 1):
        yield where, f"{what}{rest}" if more > 0 and number == MOST_OF_A_KIND else what


def _annotations(report: Report, severity: Severity) -> Iterator[tuple[str, str]]:
    """Properties and message of each."""
    for one in _report.lines(_report.counting(report)):
        if one.severity is severity:
            found = one.finding
            yield _properties(found.location, _report.title(found.rule)), _report.said(found)
    if severity is Severity.ERROR:
        for trouble, checks in text.causes(report).items():
            who = "" if report.about.failed else f" {', '.join(checks)}"
            title = f"{_report.COULD_NOT_CHECK}{who}"
            yield _properties(trouble.location, title), _report.said(trouble)


def _properties(place: Location, title: str) -> str:
    known = {
        "file": escape(place.path),
        "line": str(place.line) if place.path and place.line else "",
        "col": str(place.column) if place.path and place.line and place.column else "",
        "title": escape(title),
    }
    return ",".join(f"{name}={_property(value)}" for name, value in known.items() if value)


def _data(value: str) -> str:
    return clip(value, _LONGEST).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")
