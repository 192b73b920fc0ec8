"""A change cannot loosen the gate that judges it without saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.load import FILE, PYPROJECT
from orchgate.config.loosening import Loosening, loosened
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.context import Context

# Which check reports the rules of a family; asked only when something was loosened.
FAMILIES = {
    "DOC": "documents",
    "EVD": "evidence",
    "MAN": "manifests",
    "DIF": "diff-budget",
    "VER": "version-bump",
    "CMD": "commands",
    "SPC": "specs",
    "PRF": "performance",
}

RULES = (
    Rule(
        "CFG001",
        "this change loosens the gate",
        Severity.WARNING,
        what="The change edits orchgate's configuration so that more would pass: a higher limit, a new exception, a lower "
        "severity. The change itself is judged by the old limits. It is an error when the same change also contains "
        "what the old limits refuse.",
        why="Whoever may raise the budget in the change that exceeds it has no budget.",
        bad="one commit with `max-lines = 5000` and 4,200 lines of code",
        good="a commit of its own that raises the limit and says why, reviewed; then the code",
    ),
)


def run(ctx: Context) -> Outcome:
    if ctx.accepted is None:
        return Outcome((), {"configuration changes": 0})
    found = loosened(ctx.accepted, ctx.proposed, _default_severity)
    findings = tuple(_finding(ctx, loosening) for loosening in found)
    return Outcome(findings, {"configuration changes": 1}, {"loosened": [one.key for one in found]})


def _default_severity(rule: str) -> str:
    # Rules know their own default; for the direction of a change only "below error" matters, and no rule starts higher.
    return Severity.ERROR.value


def _finding(ctx: Context, loosening: Loosening) -> Finding:
    refused = () if _only_configuration(ctx) else tuple(_refused(ctx, loosening))
    message = f"{loosening.key} is looser: {loosening.what}"
    if refused:
        return Finding(
            "CFG001",
            _location(ctx, loosening.key),
            f"{message}; this change also contains what the old value refuses ({', '.join(refused)})",
            "change the configuration in a commit of its own",
            Severity.ERROR,
        )
    return Finding("CFG001", _location(ctx, loosening.key), message, "the old value still judges this change")


def _only_configuration(ctx: Context) -> bool:
    return all(change.path in (FILE, PYPROJECT) for change in ctx.scope.changes)


def _refused(ctx: Context, loosening: Loosening) -> Iterator[str]:
    """Rules the key can silence that refuse this change under the old limits."""
    assert ctx.judge is not None  # the engine sets it before any check runs
    for family in sorted({FAMILIES[rule[:3]] for rule in loosening.governs if rule[:3] in FAMILIES}):
        for rule in sorted({d.finding.rule for d in ctx.judge(family).diagnostics if _refuses(d.severity, d.suppressed)}):
            if rule in loosening.governs:
                yield rule


def _refuses(severity: Severity, suppressed: str | None) -> bool:
    return severity is Severity.ERROR and suppressed is None


def _location(ctx: Context, key: str) -> Location:
    """The line that sets the key, as far as a plain search for its last part finds it."""
    path = ctx.proposed.origins.get(key) or ctx.proposed.origins.get(key.partition(".")[0], "")
    if path not in (FILE, PYPROJECT):
        return Location(FILE if FILE in ctx.snapshot.entries else PYPROJECT)
    last = key.rpartition(".")[2].strip('"')
    lines = ctx.snapshot.read(path).decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines, 1):
        if line.lstrip().strip('"').startswith(last):
            return Location(path, number, 1)
    return Location(path)


CHECK = Check("configuration", "the change does not loosen the gate that judges it", RULES, run)
