"""For everything that shows test results: JUnit XML as Jenkins and GitLab read it.

A check is a suite. A rule that finds nothing is one test that passes, so that a good run is not an empty file; a rule
that finds something is one test a document, because viewers tell tests apart by their names, and those must stay.
What refuses is a failure, what could not be checked an error; a test cannot warn: it passes and has the words as its
output.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity, Verdict
from orchgate.outputs import _report
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Report, Rule, Trouble

NOTHING = "nothing to check"


def render(report: Report, stream: TextIO) -> None:
    stream.write('<?xml version="1.0" encoding="utf-8"?>\n')
    written = ET.tostring(document(report), encoding="unicode")
    stream.write(written.replace("##", "#&#35;") + "\n")


def document(report: Report) -> ET.Element:
    rules = _report.rules_of(report)
    suites = [_suite(check, rules) for check in report.checks]
    seconds = sum(check.seconds for check in report.checks)
    top = ET.Element("testsuites", {"name": f"orchgate {report.about.command}", "time": f"{seconds:.3f}"})
    for name in ("tests", "failures", "errors"):
        top.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    top.extend(suites)
    ET.indent(top, " ")
    return top


def _suite(check: CheckResult, rules: Mapping[str, tuple[str, Rule]]) -> ET.Element:
    cases = list(_cases(check, rules))
    suite = ET.Element("testsuite", {"name": _name(check.id, " "), "time": f"{check.seconds:.3f}"})
    suite.set("tests", str(len(cases)))
    for name, kind in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(kind) is not None for case in cases)))
    if check.examined:
        properties = ET.SubElement(suite, "properties")
        for what, number in check.examined.items():
            ET.SubElement(properties, "property", {"name": escape(what), "value": str(number)})
    suite.extend(cases)
    return suite


def _name(check: str, separator: str) -> str:
    return check if check == _report.NOBODY else f"orchgate{separator}{check}"


def _cases(check: CheckResult, rules: Mapping[str, tuple[str, Rule]]) -> Iterator[ET.Element]:
    yield from _broken(check)
    if "off" in check.facts:
        yield _case(check.id, "off", "skipped", escape(str(check.facts["off"])))
        return
    if _report.is_idle(check):
        why = escape(str(check.facts.get("not measured", NOTHING)))
        yield _case(check.id, NOTHING, "skipped", why)
        return
    found: dict[tuple[str, str], list[Diagnostic]] = {}
    for one in check.diagnostics:
        found.setdefault((one.finding.rule, one.finding.location.path), []).append(one)
    quiet = {rule for rule, (of, _) in rules.items() if of == check.id} - {rule for rule, _ in found}
    if check.troubles or any(_leaves_open(one, rules) for one in check.diagnostics):
        quiet = set()  # what was not read, or not decided, may hold anything
    yield from (_case(check.id, _report.title(rule)) for rule in sorted(quiet))
    for (rule, path), group in sorted(found.items()):
        name = f"{_report.title(rule)}: {escape(path)}" if path else _report.title(rule)
        yield _judged(check.id, name, group, rules)


def _leaves_open(one: Diagnostic, rules: Mapping[str, tuple[str, Rule]]) -> bool:
    """Whether a finding says that nobody can tell; a note says only that nobody needs to."""
    known = rules.get(one.finding.rule)
    undecided = known is not None and known[1].refuses is Verdict.INCONCLUSIVE
    return undecided and one.counts and one.severity is not Severity.NOTE


def _broken(check: CheckResult) -> Iterator[ET.Element]:
    places: dict[str, list[Trouble]] = {}
    for one in check.troubles:
        places.setdefault(one.location.path, []).append(one)
    for path, troubles in places.items():
        name = f"{_report.COULD_NOT_CHECK}: {escape(path)}" if path else _report.COULD_NOT_CHECK
        text = "\n".join(map(_report.said, troubles))
        yield _case(check.id, name, "error", escape(troubles[0].message), text)


def _judged(check: str, name: str, group: list[Diagnostic], rules: Mapping[str, tuple[str, Rule]]) -> ET.Element:
    """One test: a failure or an error where something refuses, skipped where nothing counts."""
    counting = _report.worst_first(one for one in group if one.counts)
    refusing = [one for one in counting if one.severity is Severity.ERROR]
    text = "\n".join(map(_line, counting))
    if refusing:
        first = refusing[0].finding
        known = rules.get(first.rule)
        kind = "failure" if known is None or known[1].refuses is Verdict.FAIL else "error"
        return _case(check, name, kind, escape(first.message), text)
    if counting:
        return _case(check, name, "system-out", text=text)
    reasons = dict.fromkeys(one.suppressed or "older than the change" for one in group)
    return _case(check, name, "skipped", escape("; ".join(reasons)))


def _line(one: Diagnostic) -> str:
    place = one.finding.location
    where = f"{escape(place.path)}:{place.line or 1}:{place.column or 1}: " if place.path else ""
    weight = "" if one.severity is Severity.ERROR else f"({one.severity.value}) "
    return f"{where}{one.finding.rule} {weight}{_report.said(one.finding)}"


def _case(check: str, name: str, kind: str = "", message: str = "", text: str = "") -> ET.Element:
    case = ET.Element("testcase", {"classname": _name(check, "."), "name": name})
    if kind:
        inner = ET.SubElement(case, kind, {"message": message} if message else {})
        inner.text = text or None
    return case
