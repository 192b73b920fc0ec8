"""The change stays small enough to review: files and lines against a budget, areas counted apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError, Unreadable
from orchgate.git.snapshot import SUBMODULE
from orchgate.globs import matches
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.config.settings import DiffBudget
    from orchgate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change

REST = "code"
SNIFF_BYTES = 8000  # git's own: a NUL in this many first bytes makes a file binary

RULES = (
    Rule(
        "DIF001",
        "over budget",
        Severity.ERROR,
        what="The change touches more files or lines than the budget of its area allows. Lines are added plus removed, a "
        "rename counts as one file, a binary file counts no lines, ignored paths do not count.",
        why="Reviewers stop reading long before a thousand lines; what nobody read was not reviewed.",
        bad="a feature, its refactoring and a reformatting in one commit: 61 files, 2,900 lines",
        good="three commits, each within 25 files and 800 lines",
    ),
    Rule(
        "DIF002",
        "diff hidden by an attribute",
        Severity.WARNING,
        what="A .gitattributes entry makes git show no lines of a text file. The lines are counted all the same.",
        why="A hidden diff passes every review tool unseen, and every budget that believes git's numbers.",
        bad="`*.md -diff` in .gitattributes",
        good="hide only generated files, and list them under diff-budget.ignore",
    ),
    Rule(
        "DIF003",
        "cannot be measured",
        Severity.ERROR,
        what="The lines of a file cannot be counted, because an object is missing or too large; or, as a note, there is "
        "nothing to compare with because this is the first push of a repository.",
        why="An unknown size is not a small one.",
        bad="a text file of 200 MB, hidden by an attribute",
        good="large files in an ignored path, or in large-file storage",
    ),
    Rule(
        "DIF004",
        "override used",
        Severity.NOTE,
        what="The budget was lifted, by the environment variable or by the commit trailer, for the reason that is shown.",
        why="An exception is fine as long as everybody sees it and its reason.",
        bad="DIFF_BUDGET_OVERRIDE_REASON=yes",
        good="Diff-Budget-Override: generated client for API v7, reviewed as a spec",
    ),
)


class Counted(NamedTuple):
    """One path with its lines; `why` says which glob left it out of the budget."""

    path: str
    added: int
    removed: int
    area: str
    why: str = ""

    def row(self) -> dict[str, object]:
        row: dict[str, object] = {"path": self.path, "added": self.added, "removed": self.removed}
        return {**row, "why": self.why} if self.why else row


def run(ctx: Context) -> Outcome:
    changes = ctx.scope.require_changes()
    budget = ctx.config.diff_budget
    if ctx.scope.kind == "range" and ctx.scope.base is None and ctx.scope.head is not None:
        return _unmeasured(ctx, len(changes))
    hidden = [change for change in changes if _hidden(ctx, change)]
    measured, unmeasured = _measure(ctx, hidden)
    rows = [_classify(_with_counts(change, measured), budget) for change in changes]
    counted = [row for row in rows if not row.why]
    override = _override(ctx, budget)
    findings = [
        *(_hidden_finding(change, measured) for change in hidden if change.path in measured),
        *(Finding("DIF003", Location(path), f"its lines cannot be counted: {why}") for path, why in unmeasured.items()),
        *_over(counted, budget, override),
    ]
    examined = {"changed files": len(changes), "changed lines": sum(row.added + row.removed for row in counted)}
    return Outcome(tuple(findings), examined, _facts(rows, budget))


def _unmeasured(ctx: Context, files: int) -> Outcome:
    message = f"{ctx.scope.origin}: {files} files are pushed without a base to measure them against"
    return Outcome((Finding("DIF003", Location(""), message, severity=Severity.NOTE),), {"changed files": files})


def _hidden(ctx: Context, change: Change) -> bool:
    """Whether git prints `-` for a file whose content is text."""
    if change.added is not None or SUBMODULE in (change.old_mode, change.new_mode):
        return False
    return not any(
        _is_binary(tree, path)
        for tree, path, mode in (
            (ctx.base, change.old_path or change.path, change.old_mode),
            (ctx.snapshot, change.path, change.new_mode),
        )
        if mode.strip("0")
    )


def _is_binary(tree: Snapshot, path: str) -> bool:
    try:
        return b"\0" in tree.read(path)[:SNIFF_BYTES]
    except Unreadable:
        return False  # then counting its lines says why it cannot be read


def _measure(ctx: Context, hidden: list[Change]) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """Lines of hidden files from their patch, and why some have none."""
    if not hidden:
        return {}, {}
    try:
        counts = ctx.patch(hidden).counts
    except OrchgateError as error:
        return {}, {change.path: error.message for change in hidden}
    return counts, {change.path: "git shows no patch" for change in hidden if change.path not in counts}


def _with_counts(change: Change, measured: Mapping[str, tuple[int, int]]) -> Change:
    added, removed = measured.get(change.path, (change.added or 0, change.removed or 0))
    return change._replace(added=added, removed=removed)


def _classify(change: Change, budget: DiffBudget) -> Counted:
    paths = [path for path in (change.path, change.old_path) if path]
    area = next((name for name, area in budget.areas.items() if matches(change.path, area.paths)), REST)
    # A rename out of an ignored folder counts: both names have to be ignored.
    why = ""
    if all(matches(path, budget.ignore) for path in paths):
        why = next(pattern for pattern in budget.ignore if matches(change.path, (pattern,)))
    return Counted(change.path, change.added or 0, change.removed or 0, area, why)


def _override(ctx: Context, budget: DiffBudget) -> str:
    """Where the override comes from and its reason; "" when there is none. An empty reason is none."""
    reason = ctx.environ.get(budget.override_variable, "").strip() if budget.override_variable else ""
    if reason:
        return f"{budget.override_variable}: {reason}"
    for value in ctx.trailers.get(budget.override_trailer.lower(), ()) if budget.override_trailer else ():
        if value:
            return f"{budget.override_trailer}: {value}"
    return ""


def _hidden_finding(change: Change, measured: Mapping[str, tuple[int, int]]) -> Finding:
    added, removed = measured[change.path]
    message = f"an attribute hides this text file's diff from git (+{added} -{removed} lines, counted)"
    return Finding("DIF002", Location(change.path), message, f"git check-attr diff -- {change.path}")


def _limits(budget: DiffBudget) -> Iterator[tuple[str, int | None, int | None]]:
    yield REST, budget.max_files, budget.max_lines
    for name, area in budget.areas.items():
        yield name, area.max_files, area.max_lines


def _over(counted: list[Counted], budget: DiffBudget, override: str) -> Iterator[Finding]:
    for name, max_files, max_lines in _limits(budget):
        rows = [row for row in counted if row.area == name]
        lines = sum(row.added + row.removed for row in rows)
        over = [
            f"{number:,} {what}, limit {limit:,}"
            for number, what, limit in ((len(rows), "files", max_files), (lines, "lines", max_lines))
            if limit is not None and number > limit
        ]
        if not over:
            continue
        message = f"over the budget of {name}: {' and '.join(over)}"
        if override:
            yield Finding("DIF004", Location(""), f"{message}; lifted by {override}")
        else:
            yield Finding("DIF001", Location(""), f"{message} ({_largest(rows)})", _hint(budget))


def _largest(rows: Iterable[Counted]) -> str:
    top = sorted(rows, key=lambda row: (-row.added - row.removed, row.path))[:3]
    return "largest: " + ", ".join(f"{row.path} {row.added + row.removed:,}" for row in top)


def _hint(budget: DiffBudget) -> str:
    ways = ["split the change (orchgate check diff-budget --explain lists what counted)"]
    if budget.override_variable:
        ways.append(f'{budget.override_variable}="reason" git commit …')
    if budget.override_trailer:
        ways.append(f"a trailer {budget.override_trailer}: reason, for pushes and CI")
    return "; or ".join(ways)


def _facts(rows: list[Counted], budget: DiffBudget) -> dict[str, object]:
    counted = [row for row in rows if not row.why]
    return {
        **_totals(counted),
        "counted": [row.row() for row in counted],
        "ignored": [row.row() for row in rows if row.why],
        "limits": {"files": budget.max_files, "lines": budget.max_lines},
        "areas": {
            name: {**_totals([row for row in counted if row.area == name]), "limits": {"files": files, "lines": lines}}
            for name, files, lines in _limits(budget)
        },
    }


def _totals(rows: list[Counted]) -> dict[str, object]:
    added, removed = sum(row.added for row in rows), sum(row.removed for row in rows)
    return {"files": len(rows), "added": added, "removed": removed, "lines": added + removed}


CHECK = Check("diff-budget", "files and lines of the change against a budget", RULES, run)
