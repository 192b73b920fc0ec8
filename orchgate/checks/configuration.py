"""A change cannot loosen the gate that judges it without saying so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.config.load import FILE, PYPROJECT
from orchgate.config.loosening import Loosening, loosened
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity, Trouble

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
        what="The change edits orchgate's configuration so that more would pass: a higher limit, a new exception, a "
        "lower severity. The change itself is judged by the old limits. It is an error when the same change also "
        "contains what the old limits refuse.",
        why="Whoever may raise the budget in the change that exceeds it has no budget.",
        bad="one commit with `max-lines = 5000` and 4,200 lines of code",
        good="a commit of its own that raises the limit and says why, reviewed; then the code",
    ),
    Rule(
        "CFG002",
        "two configurations",
        Severity.WARNING,
        what="There is orchgate.toml and [tool.orchgate] in pyproject.toml. orchgate.toml counts, the other does not.",
        why="Somebody will edit the one that does not count, and believe that it does.",
        bad="orchgate.toml with `max-lines = 800`, pyproject.toml with `[tool.orchgate.diff-budget] max-lines = 400`",
        good="all of it in orchgate.toml",
    ),
)


def run(ctx: Context) -> Outcome:
    twice = (_SHADOWED,) if ctx.proposed.shadowed else ()
    if ctx.accepted is None:
        unread = (_unread(ctx),) if ctx.unread else ()
        return Outcome((*unread, *twice), {"configuration changes": len(unread)})
    found = loosened(ctx.accepted, ctx.proposed, lambda rule: ctx.default_severity(rule).value)
    findings = tuple(_finding(ctx, loosening) for loosening in found)
    facts = {"loosened": [one.key for one in found]}
    return Outcome((*findings, *twice), {"configuration changes": 1}, facts, tuple(_unknown(ctx, found)))


_SHADOWED = Finding(
    "CFG002",
    Location(PYPROJECT),
    f"[tool.orchgate] does not count, because there is an {FILE}",
    f"move what is missing to {FILE} and delete the table",
)


def _unread(ctx: Context) -> Finding:
    return Finding(
        "CFG001",
        Location(FILE if FILE in ctx.snapshot.entries else PYPROJECT),
        f"the base's configuration cannot be read ({ctx.unread}), so that its limits are not in force",
        "this change is judged by its own: look at them before it lands",
    )


def _finding(ctx: Context, loosening: Loosening) -> Finding:
    refused = () if _only_configuration(ctx) else tuple(_refused(ctx, loosening))
    message = f"{loosening.key} {loosening.what}"
    if refused:
        return Finding(
            "CFG001",
            _location(ctx, loosening.key),
            f"{message}; this change also contains what the old value refuses ({', '.join(refused)})",
            "change the configuration in a commit of its own",
            Severity.ERROR,
        )
    in_force = "old" if loosening.limit else "new"
    return Finding("CFG001", _location(ctx, loosening.key), message, f"the {in_force} value judges this change")


def _only_configuration(ctx: Context) -> bool:
    return all(change.path in (FILE, PYPROJECT) for change in ctx.scope.changes)


def _refused(ctx: Context, loosening: Loosening) -> Iterator[str]:
    """Rules the key can silence that refuse this change under the old limits."""
    assert ctx.judge is not None  # the engine sets it before any check runs
    for family in _families(loosening):
        for rule in sorted(
            {d.finding.rule for d in ctx.judge(family).diagnostics if _refuses(d.severity, d.suppressed)}
        ):
            if rule in loosening.governs:
                yield rule


def _unknown(ctx: Context, found: tuple[Loosening, ...]) -> Iterator[Trouble]:
    """Checks that could not say whether the old limits refuse this change."""
    assert ctx.judge is not None
    for family in sorted({name for one in found for name in _families(one)} if not _only_configuration(ctx) else ()):
        if ctx.judge(family).troubles:
            message = f"{family} could not judge this change by the old limits"
            yield Trouble(_location(ctx, found[0].key), message, f"orchgate check {family}")


def _families(loosening: Loosening) -> list[str]:
    return sorted({FAMILIES[rule[:3]] for rule in loosening.governs if rule[:3] in FAMILIES})


def _refuses(severity: Severity, suppressed: str | None) -> bool:
    return severity is Severity.ERROR and suppressed is None


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


CHECK = Check("configuration", "the change does not loosen the gate that judges it", RULES, run)
