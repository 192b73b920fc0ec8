"""`orchgate explain`: what a rule wants, why, and how to make an exception that is seen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchgate import registry
from orchgate.errors import UsageError
from orchgate.gate import suppressions
from orchgate.model import Severity, Verdict

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.model import Rule

SUMMARY = "say what a rule wants, why, and how to make an exception"
ABOUT = "Without RULE, lists the rules of every check with their severities."
EXAMPLES = ("orchgate explain EVD002", "orchgate explain documents")
# Checks whose findings stand in Markdown documents, where a comment can silence one line.
IN_DOCUMENTS = frozenset({"commands", "documents", "evidence"})
LISTED = "orchgate explain lists them"
ALLOW = "commands.allow in the configuration: globs on the whole command line, also for those inside a code block"
BOUNDS = "performance.metrics.NAME in the configuration: fail-above, tolerance, max and min, in a commit of its own"
OVERRIDE = "a commit trailer Performance-Override: REASON, or ORCHGATE_PERFORMANCE_OVERRIDE=REASON git push"
# Exceptions that only one rule knows.
OWN_WAYS = {
    "DIF001": ("a commit trailer {diff_trailer}: REASON, or {diff_variable}=REASON in the environment",),
    "VER001": ("a commit trailer {version_trailer}: REASON, or a branch listed in version-bump.allow-branches",),
    "PRF001": (OVERRIDE, BOUNDS),
    "PRF002": (OVERRIDE, BOUNDS),
    "PRF004": (OVERRIDE,),
    "PRF005": (OVERRIDE, BOUNDS),
    "PRF006": (OVERRIDE, BOUNDS),
    "PRF007": (OVERRIDE,),
    "CMD001": (ALLOW,),
    "CMD002": (ALLOW,),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rules", nargs="*", metavar="RULE", help="a rule such as EVD002, or a check")


def run(args: argparse.Namespace) -> Verdict:
    known = suppressions.every_rule()
    wanted = [rule for name in args.rules for rule in _named(name, known)]
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
    for way in _ways(check, rule.id):
        yield from _wrapped(f"- {way}", "  ")


def _weight(rule: Rule) -> str:
    if rule.worst is not None:
        return f"usually a {rule.severity.value}, in some cases an {rule.worst.value}"
    meaning = {Severity.ERROR: "blocks", Severity.WARNING: "does not block", Severity.NOTE: "informs"}[rule.severity]
    return f"{rule.severity.value}: {meaning}"


def _ways(check: str, rule: str) -> Iterable[str]:
    from orchgate.checks.diff_budget import Budget
    from orchgate.checks.version_bump import Releases
    from orchgate.config.keys import default

    budget, releases = default(Budget), default(Releases)
    names = {
        "diff_trailer": budget.override_trailer,
        "diff_variable": budget.override_variable,
        "version_trailer": releases.override_trailer,
    }
    if check in IN_DOCUMENTS:
        yield f"<!-- orchgate: ignore[{rule}] REASON --> on the line or above it"
    yield f'[[ignore]] paths = ["GLOB"], rules = ["{rule}"], reason = "REASON" in the configuration'
    for way in OWN_WAYS.get(rule, ()):
        yield way.format(**names)
    yield f'[severity] {rule} = "warning", "note" or "off" in the configuration'


def _wrapped(text: str, indent: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 100, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def _indented(text: str) -> str:
    return text.replace("\n", "\n        ")
