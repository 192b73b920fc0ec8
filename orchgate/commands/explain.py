"""`orchgate explain`: what a rule wants, why, and how to make an exception that is seen."""

from __future__ import annotations

import sys

from orchgate import registry
from orchgate.commands.shared import options, work_tree
from orchgate.errors import UsageError
from orchgate.gate import suppressions
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Severity, Verdict
from orchgate.outputs._document import headed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.model import Rule

SUMMARY = "say what a rule wants, why, and how to make an exception"
ABOUT = "Without RULE, lists the rules of every check with their severities."
EXAMPLES = ("orchgate explain EVD002", "orchgate explain documents --output-format json")
VERSION = 1
LISTED = "orchgate explain lists them"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rules", nargs="*", metavar="RULE", help="a rule such as EVD002, or a check")
    options.output_format(parser, "rules")


def run(args: argparse.Namespace) -> Verdict:
    known = suppressions.every_rule()
    wanted = [rule for name in args.rules for rule in _named(name, known)]
    if args.output_format == "json":
        shown = [_as_json(*known[rule]) for rule in dict.fromkeys(wanted or sorted(known))]
        work_tree.print_json(headed("rules", {"rules": shown}, VERSION))
        return Verdict.PASS
    parts = ["\n".join(_explained(*known[rule])) for rule in dict.fromkeys(wanted)] or ["\n".join(_table(known))]
    sys.stdout.write("\n\n".join(parts) + "\n")
    return Verdict.PASS


def _named(name: str, known: Mapping[str, tuple[str, Rule]]) -> list[str]:
    """The rules that a rule id or a check id names. Raises UsageError."""
    if name.upper() in known:
        return [name.upper()]
    of_check = [rule for rule, (check, _) in known.items() if check == name.lower()]
    if not of_check:
        checks = {check for check, _ in known.values()}
        near = registry.nearest(*((name.upper(), known) if name[:1].isupper() else (name, sorted(checks))))
        raise UsageError(f"there is no rule {name!r}", near if near.startswith("did") else LISTED)
    return of_check


def _as_json(check: str, rule: Rule) -> dict[str, object]:
    return {
        "rule": rule.id,
        "check": check,
        "title": rule.title,
        "severity": rule.severity.value,
        "worst_severity": (rule.worst or rule.severity).value,
        "refused_verdict": rule.refuses.value,
        "what": rule.what,
        "why": rule.why,
        "bad": rule.bad,
        "good": rule.good,
        "exceptions": list(_ways(check, rule)),
    }


def _table(known: Mapping[str, tuple[str, Rule]]) -> Iterator[str]:
    last = ""
    for rule, (check, about) in sorted(known.items(), key=lambda item: (item[1][0], item[0])):
        if check != last:
            yield check if not last else f"\n{check}"
            last = check
        yield f"  {rule}  {about.severity.value:<7}  {about.title}"
    yield "\n`orchgate explain RULE` says more about one."


def _explained(check: str, rule: Rule) -> Iterator[str]:
    yield f"{rule.id}: {rule.title} (check {check}, {_weight(rule)})"
    yield ""
    yield from _wrapped(rule.what, "")
    yield ""
    yield from _wrapped("Why: " + rule.why, "")
    yield ""
    yield f"  bad   {_indented(rule.bad)}"
    yield f"  good  {_indented(rule.good)}"
    yield ""
    yield "Exceptions, which stay in the report with their reason:"
    for way in _ways(check, rule):
        yield from _wrapped(f"- {way}", "  ")


def _weight(rule: Rule) -> str:
    if rule.worst is not None:
        return f"usually a {rule.severity.value}, in some cases an {rule.worst.value}"
    meaning = {Severity.ERROR: "blocks", Severity.WARNING: "does not block", Severity.NOTE: "informs"}[rule.severity]
    return f"{rule.severity.value}: {meaning}"


def _ways(check: str, rule: Rule) -> Iterable[str]:
    in_documents = any(one.in_documents for one in registry.checks() if one.id == check)
    if in_documents and rule.id not in suppressions.UNEXCUSED:
        yield f"<!-- orchgate: ignore[{rule.id}] REASON --> on the line or above it"
    yield f'[[ignore]] paths = ["GLOB"], rules = ["{rule.id}"], reason = "REASON" in the configuration'
    yield from rule.exceptions
    yield f'[severity] {rule.id} = "warning", "note" or "off" in the configuration'


def _wrapped(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 100, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _indented(text: str) -> str:
    return text.replace("\n", "\n        ")
