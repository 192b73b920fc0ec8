"""A change cannot loosen the gate that judges it without saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.limits import only_configuration
from orchgate.config.load import FILE, PYPROJECT
from orchgate.config.loosening import Loosening, loosened
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity, Trouble, Turn

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchgate.gate.context import Context, Engine
    from orchgate.model import CheckResult

SECRETS = ("evidence.secrets", "evidence.secrets-allowed")
EVERY_RULE = ("DOC", "EVD", "MAN", "DIF", "VER", "CMD", "SPC", "PRF")
RULES = (
    Rule(
        "CFG001",
        "this change loosens the gate",
        Severity.WARNING,
        what="The change edits orchgate's configuration so that more would pass: a higher limit, a new exception, a "
        "lower severity, documents or code that are no longer checked, a changed pipeline. The change is judged by the "
        "configuration of its base, or by the defaults where the base has none that can be read; where documents move, "
        "both their old and their new paths are checked. It is an error when the same change also contains something "
        "that the base's configuration refuses. A pure move between orchgate.toml and pyproject.toml loosens nothing.",
        why="A budget that can be raised in the same change that exceeds it is not a budget.",
        bad="one change with `max-lines = 5000` and 4,200 lines of code",
        good="first a separate change that raises the limit and says why; once it has landed, the code",
        worst=Severity.ERROR,
    ),
    Rule(
        "CFG002",
        "two configurations",
        Severity.WARNING,
        what="There are both orchgate.toml and [tool.orchgate] in pyproject.toml. Only orchgate.toml is used.",
        why="Sooner or later somebody edits the other one and wonders why nothing changes.",
        bad="orchgate.toml with `max-lines = 800`, pyproject.toml with `[tool.orchgate.diff-budget] max-lines = 400`",
        good="all of it in orchgate.toml",
    ),
)


def run(ctx: Context) -> Outcome:
    ctx.scope.require_changes()  # without a base nobody can tell what was loosened
    unread = (_unread(ctx),) if ctx.unread else ()
    twice = (_SHADOWED,) if ctx.proposed.shadowed else ()
    if ctx.accepted is None:
        return Outcome((*unread, *twice), {"configuration changes": len(unread)})
    found = loosened(ctx.accepted, ctx.proposed, _engine(ctx).default_severities)
    findings = tuple(_finding(ctx, loosening) for loosening in found)
    facts = {"loosened": [one.key for one in found]}
    return Outcome(
        (*unread, *findings, *twice), {"configuration changes": 1}, facts, tuple(_unknown(ctx, found, bool(unread)))
    )


_SHADOWED = Finding(
    "CFG002",
    Location(PYPROJECT),
    f"[tool.orchgate] is ignored because there is also {FILE}",
    f"move its settings to {FILE} and delete the table",
)
APART = "land the configuration first, in a separate change"


def _unread(ctx: Context) -> Finding:
    place = Location(FILE if FILE in ctx.snapshot.entries else PYPROJECT)
    message = f"the base's configuration cannot be read ({ctx.unread})"
    if ctx.accepted is None:
        hint = "this change only repairs it and is judged by its own limits: review them before it lands"
        return Finding("CFG001", place, message, hint)
    message += ", so this change is judged by the defaults"
    refused = _refused(ctx, EVERY_RULE)
    if refused:
        message += f", which refuse it ({', '.join(refused)})"
        return Finding("CFG001", place, message, "land the repair first, in a separate change", Severity.ERROR)
    return Finding("CFG001", place, message, "review the repaired limits before it lands")


def _finding(ctx: Context, loosening: Loosening) -> Finding:
    refused = _refused(ctx, loosening.governs)
    if loosening.key in SECRETS:
        refused += _pinned_secrets(ctx)
    place, message = _location(ctx, loosening.key), f"{loosening.key} {loosening.what}"
    if refused:
        message += f", and this change also contains what the old value refuses ({', '.join(refused)})"
        return Finding("CFG001", place, message, APART, Severity.ERROR)
    judged = "at both the old and the new paths" if loosening.moves else "by the old value"
    return Finding("CFG001", place, message, f"this change is judged {judged}")


def _refused(ctx: Context, rules: Collection[str]) -> list[str]:
    """Those of some rules and families that refuse this change under the base's configuration."""
    if not rules or only_configuration(ctx.scope, ctx.base, ctx.snapshot):
        return []
    said = (diagnostic for result in _results(ctx, rules) for diagnostic in result.diagnostics)
    refusing = {d.finding.rule for d in said if d.severity is Severity.ERROR and d.suppressed is None}
    return sorted(rule for rule in refusing if rule.startswith(tuple(rules)))


def _results(ctx: Context, rules: Collection[str]) -> tuple[CheckResult, ...]:
    return _engine(ctx).results_before(rules)


def _engine(ctx: Context) -> Engine:
    assert ctx.engine is not None  # this check never runs by itself
    return ctx.engine


def _pinned_secrets(ctx: Context) -> list[str]:
    """Artifacts that this change pins and that `evidence push` would have kept back."""
    from orchgate.evidence.pinned_secrets import pinned_secrets

    return list(pinned_secrets(ctx.snapshot, ctx.base, ctx.artifacts, ctx.limits.evidence))


def _unknown(ctx: Context, found: tuple[Loosening, ...], unread: bool) -> Iterator[Trouble]:
    """Checks that could not say whether the old limits refuse this change."""
    rules = EVERY_RULE if unread else {rule for one in found for rule in one.governs}
    if not rules or only_configuration(ctx.scope, ctx.base, ctx.snapshot):
        return
    place = _location(ctx, found[0].key) if found else Location(FILE)
    for result in _results(ctx, rules):
        if result.troubles:
            message = f"the check {result.id} could not judge this change by the old limits"
            yield Trouble(place, message, f"orchgate check {result.id}")


def _location(ctx: Context, key: str) -> Location:
    """The line that sets the key, as far as a search that knows no more of TOML than headers and `=` finds it."""
    path = ctx.proposed.origins.get(key) or ctx.proposed.origins.get(key.partition(".")[0], "")
    if path not in (FILE, PYPROJECT):  # the key went back to its default, perhaps with the file
        touched = {name for change in ctx.scope.changes for name in (change.path, change.old_path)}
        return Location(FILE if FILE in touched else PYPROJECT)
    header = ""
    for number, line in enumerate(ctx.snapshot.read(path).decode("utf-8", "replace").split("\n"), 1):
        name = line.partition("=")[0].strip().replace("'", '"')
        if name.startswith("["):
            header, name = name.strip("[").partition("]")[0].removeprefix("tool.orchgate").removeprefix("."), ""
        place = ".".join(part for part in (header, name) if part)
        if place == key or place.startswith(key + "."):
            return Location(path, number, 1)
    return Location(path)


CHECK = Check("configuration", "the change does not loosen the gate that judges it", RULES, run, turn=Turn.AFTER_OTHERS)
