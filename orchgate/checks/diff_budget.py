"""The change stays small enough to review: files and lines against a budget, areas counted apart."""

from __future__ import annotations

from orchgate.config.keys import CHANGE, GLOBS, MORE, REFUSED, SEEN, key
from orchgate.config.kinds import REQUIRED, MapOf, PathOrGlob, Record, Whole
from orchgate.config.names import ENVIRONMENT, TRAILER
from orchgate.errors import OrchgateError, quoted
from orchgate.git.snapshot import MAX_BYTES, SUBMODULE
from orchgate.lib.paths import matches
from orchgate.lib.text import counted as amount
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.gate.context import Context
    from orchgate.model import Change

REST = "code"
SNIFF_BYTES = 8000  # git's own: a NUL in this many first bytes makes a file binary
OVERRIDE_TRAILER = "Diff-Budget-Override"
OVERRIDE_VARIABLE = "DIFF_BUDGET_OVERRIDE_REASON"

RULES = (
    Rule(
        "DIF001",
        "over budget",
        Severity.ERROR,
        what="The change touches more files or lines than the budget of an area allows. Lines are added plus removed; "
        "a rename counts as one file, a binary file as no lines, and ignored paths not at all.",
        why="Reviewers stop reading long before a thousand lines, and what nobody read was not reviewed.",
        bad="a feature, its refactoring and a reformatting in one commit: 61 files, 2,900 lines",
        good="three commits, each within 25 files and 800 lines",
        exceptions=(f"a commit trailer {OVERRIDE_TRAILER}: REASON, or {OVERRIDE_VARIABLE}=REASON in the environment",),
    ),
    Rule(
        "DIF002",
        "diff hidden by an attribute",
        Severity.WARNING,
        what="A .gitattributes entry makes git show no lines of a text file. The lines are counted all the same.",
        why="A hidden diff passes every review tool unseen, and every budget that believes git's numbers.",
        bad="`*.md -diff` in .gitattributes",
        good="hide only generated files, and list them under diff-budget.extend-exclude",
    ),
    Rule(
        "DIF003",
        "cannot be measured",
        Severity.ERROR,
        what="The lines of a file cannot be counted, because an object is missing or too large; or, as a note, there "
        "is nothing to compare with because this is the first push of a repository.",
        why="An unknown size is not a small one.",
        bad="a text file of 200 MB, hidden by an attribute",
        good="large files in an ignored path, or in large-file storage",
    ),
    Rule(
        "DIF004",
        "override used",
        Severity.NOTE,
        what="The budget was lifted, by the environment variable or by the commit trailer, for the reason that is "
        "shown. It is shown even where the change would have fitted.",
        why="An exception is fine as long as everybody sees it and its reason.",
        bad="DIFF_BUDGET_OVERRIDE_REASON=yes",
        good="Diff-Budget-Override: generated client for API v7, reviewed as a spec",
    ),
)


class Area(NamedTuple):
    paths: tuple[str, ...]
    max_files: int | None
    max_lines: int | None


AREA = Record(
    Area,
    {"paths": (GLOBS, REQUIRED), "max-files": (Whole(), None), "max-lines": (Whole(), None)},
    {
        "paths": "the files that count here and nowhere else",
        "max-files": "how many of them may change",
        "max-lines": "how many lines may change in them",
    },
)


class Budget(NamedTuple):
    max_files: int = key(Whole(), 25, "files a change may touch", REFUSED, MORE, governs=("DIF",))
    max_lines: int = key(Whole(), 800, "lines a change may add and remove", REFUSED, MORE, governs=("DIF",))
    exclude: tuple[str, ...] = key(
        GLOBS,
        (
            "**/*.lock",
            "**/package-lock.json",
            "**/npm-shrinkwrap.json",
            "**/pnpm-lock.yaml",
            "**/go.sum",
            "**/*.min.js",
            "**/*.min.css",
            "**/*.snap",
            ".orchgate/known.json",
        ),
        "files that do not count",
        SEEN,
        MORE,
        governs=("DIF", "PRF"),
        was="diff-budget.ignore",
        common=True,
    )
    areas: Mapping[str, Area] = key(
        MapOf(AREA, PathOrGlob()),
        {},
        "parts of the tree counted apart, each with its own limits",
        REFUSED,
        CHANGE,
        governs=("DIF",),
    )
    override_variable: str = key(
        ENVIRONMENT,
        OVERRIDE_VARIABLE,
        "environment variable that lifts the budget with a reason",
        REFUSED,
        CHANGE,
        governs=("DIF",),
    )
    override_trailer: str = key(
        TRAILER,
        OVERRIDE_TRAILER,
        "commit trailer that lifts the budget with a reason",
        REFUSED,
        CHANGE,
        governs=("DIF",),
    )


class CountedFile(NamedTuple):
    """One path with its lines; `why` says which glob left it out of the budget."""

    path: str
    added: int
    removed: int
    area: str
    why: str = ""

    def row(self) -> dict[str, object]:
        row: dict[str, object] = {"path": self.path, "added": self.added, "removed": self.removed}
        return {**row, "why": self.why} if self.why else row


class Measured(NamedTuple):
    """Text files whose lines git does not show: their lines by path, or why they cannot be counted."""

    lines: Mapping[str, tuple[int, int]]
    troubles: Mapping[str, str]


def run(ctx: Context) -> Outcome:
    changes = ctx.scope.require_changes()
    budget = ctx.config.of(Budget)
    if ctx.scope.kind != "commit" and ctx.scope.base is None and ctx.scope.head is not None:
        return _first_push(ctx, len(changes))
    measured = _measure(ctx, changes)
    rows = [_classify(_with_counts(change, measured.lines), budget) for change in changes]
    counted = [row for row in rows if not row.why]
    rest = [row for row in _rest(ctx, budget, measured) if not row.why]
    findings = (*_hidden_findings(counted, measured), *_budget(ctx, counted, rest))
    examined = {"changed files": len(changes), "changed lines": sum(row.added + row.removed for row in counted)}
    return Outcome(findings, examined, _facts(rows, budget), headline=_headline(counted, budget))


def _first_push(ctx: Context, files: int) -> Outcome:
    message = f"not measured: {files:,} file{'s' * (files != 1)} pushed without a base to compare with"
    message += f" ({ctx.scope.origin})" if ctx.scope.origin else ""
    finding = Finding("DIF003", Location(""), message, severity=Severity.NOTE)
    return Outcome((finding,), {"changed files": files}, _facts([], ctx.config.of(Budget)))


def _measure(ctx: Context, changes: Iterable[Change]) -> Measured:
    """Counts the lines of text files for which git prints `-`."""
    troubles: dict[str, str] = {}
    hidden: list[Change] = []
    for change in changes:
        try:
            if _hidden(ctx, change):
                hidden.append(change)
        except OrchgateError as error:
            troubles[change.path] = error.message
    try:
        counts = ctx.patch(hidden).counts if hidden else {}
    except OrchgateError as error:
        return Measured({}, {**troubles, **{change.path: error.message for change in hidden}})
    return Measured(counts, troubles)


def _hidden(ctx: Context, change: Change) -> bool:
    """Whether git shows no lines of a file although it is text. Raises OrchgateError where nobody can say."""
    if change.added is not None or change.old_oid == change.new_oid:
        return False
    sides = ((change.old_mode, change.old_oid), (change.new_mode, change.new_oid))
    # By object id, not by path: against the second parent of a merge a path may not be in the base.
    starts = [ctx.start_of(oid, SNIFF_BYTES) for mode, oid in sides if mode.strip("0") and mode != SUBMODULE]
    if any(b"\0" in start for _, start in starts):
        return False
    size = max((size for size, _ in starts), default=0)
    if size > MAX_BYTES:
        raise OrchgateError(f"larger than {MAX_BYTES:,} bytes ({size:,})")
    return True


def _with_counts(change: Change, measured: Mapping[str, tuple[int, int]]) -> Change:
    added, removed = measured.get(change.path, (change.added or 0, change.removed or 0))
    return change._replace(added=added, removed=removed)


def _classify(change: Change, budget: Budget) -> CountedFile:
    why = ""
    if is_left_out(change, budget):
        why = next(pattern for pattern in budget.exclude if matches(change.path, (pattern,)))
    return CountedFile(change.path, change.added or 0, change.removed or 0, area_of(change.path, budget), why)


def area_of(path: str, budget: Budget) -> str:
    return next((name for name, area in budget.areas.items() if matches(path, area.paths)), REST)


def is_left_out(change: Change, budget: Budget) -> bool:
    """Whether a file does not count. A rename out of an excluded folder does: both names have to be excluded."""
    return all(matches(path, budget.exclude) for path in (change.path, change.old_path) if path)


def _lifted(ctx: Context, budget: Budget) -> str:
    """What lifts the budget of the whole change, and its reason; "" when nothing does. An empty reason is none."""
    reason = ctx.environ.get(budget.override_variable, "").strip() if budget.override_variable else ""
    if reason:
        return f"{budget.override_variable}: {reason}"
    whole = ctx.exceptions.whole(budget.override_trailer) if budget.override_trailer and ctx.has_messages else None
    return f"{budget.override_trailer}: {whole.text} ({whole.source})" if whole else ""


def _partly(ctx: Context, budget: Budget) -> str:
    """The overrides that merges brought along for what they brought in; "" when there are none."""
    reasons = ctx.exceptions.reasons(budget.override_trailer) if budget.override_trailer and ctx.has_messages else ()
    return "; ".join(f"{budget.override_trailer}: {one.text} ({one.source})" for one in reasons if one.merge)


def _rest(ctx: Context, budget: Budget, measured: Measured) -> Iterator[CountedFile]:
    """What is left to count where an override covers some merges only: the sum over the stretches between them."""
    if _lifted(ctx, budget) or not _partly(ctx, budget):
        return
    sums: dict[str, Change] = {}
    for part in ctx.exceptions.rest(budget.override_trailer):
        for change in part.changes:
            earlier = sums.get(change.path)
            added = (change.added or 0) + (earlier.added or 0 if earlier else 0)
            removed = (change.removed or 0) + (earlier.removed or 0 if earlier else 0)
            sums[change.path] = change._replace(added=added, removed=removed)
    yield from (_classify(_with_counts(change, measured.lines), budget) for change in sums.values())


def _hidden_findings(counted: Iterable[CountedFile], measured: Measured) -> Iterator[Finding]:
    for row in counted:
        if row.path in measured.troubles:
            message = f"lines cannot be counted: {measured.troubles[row.path]}"
            yield Finding(
                "DIF003", Location(row.path), message, "list it under diff-budget.extend-exclude if it is generated"
            )
        elif row.path in measured.lines:
            message = f"a git attribute hides the diff of this text file (+{row.added} -{row.removed} lines, counted)"
            yield Finding("DIF002", Location(row.path), message, f"git check-attr diff -- {quoted(row.path)}")


def _limits(budget: Budget) -> Iterator[tuple[str, int | None, int | None]]:
    yield REST, budget.max_files, budget.max_lines
    for name, area in budget.areas.items():
        yield name, area.max_files, area.max_lines


def _budget(ctx: Context, counted: list[CountedFile], rest: list[CountedFile]) -> Iterator[Finding]:
    """What the budget says. An override is shown also where nothing needed it: it may have been left on."""
    budget = ctx.config.of(Budget)
    over = list(_over(counted, budget))
    lifted = _lifted(ctx, budget)
    partly = "" if lifted else _partly(ctx, budget)
    if not lifted:
        hint = _hint(ctx)
        left = list(_over(rest, budget)) if partly else over
        what = f"; not covered by {partly}" if partly else ""
        excuse = budget.override_trailer
        for excess, largest in left:
            yield Finding("DIF001", Location(""), f"{excess}; {largest}{what}", hint, excuse=excuse)
        if partly and not left:
            yield from (Finding("DIF004", Location(""), f"{excess}; lifted by {partly}") for excess, _ in over)
    elif over:
        yield from (Finding("DIF004", Location(""), f"{excess}; lifted by {lifted}") for excess, _ in over)
    if (lifted or partly) and not over:
        yield Finding("DIF004", Location(""), f"within the budget, so this override is not needed: {lifted or partly}")


def _over(counted: list[CountedFile], budget: Budget) -> Iterator[tuple[str, str]]:
    """For each area over its budget: by how much, and its largest files."""
    for name, max_files, max_lines in _limits(budget):
        rows = [row for row in counted if row.area == name]
        lines = sum(row.added + row.removed for row in rows)
        over = [
            f"{number:,} {what if number != 1 else what[:-1]} (limit {limit:,})"
            for number, what, limit in ((len(rows), "files", max_files), (lines, "lines", max_lines))
            if limit is not None and number > limit
        ]
        if over:
            where = f'area "{name}": ' if budget.areas else ""
            yield where + ", ".join(over), _largest(rows)


def _largest(rows: Iterable[CountedFile]) -> str:
    top = sorted(rows, key=lambda row: (-row.added - row.removed, row.path))[:3]
    return "largest: " + ", ".join(f"{row.path} {row.added + row.removed:,}" for row in top)


def _hint(ctx: Context) -> str:
    budget = ctx.config.of(Budget)
    ways = ["split the change"]
    if budget.override_trailer:
        ways.append(f"give a reason in the commit trailer `{budget.override_trailer}: …`")
    if budget.override_variable:
        ways.append(f"give a reason in the environment variable {budget.override_variable}")
    return f"{', or '.join(ways)}; `orchgate check diff-budget --explain` lists what counted"


def _facts(rows: list[CountedFile], budget: Budget) -> dict[str, object]:
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


def _headline(counted: list[CountedFile], budget: Budget) -> str:
    """How much of its limits a change takes: "2 files, 43 of 800 lines, docs 12 of 1,500 lines"."""
    if not counted:
        return ""
    parts = [amount(len(counted), "file")]
    for name, _, most in _limits(budget):
        lines = [row.added + row.removed for row in counted if row.area == name]
        if lines:
            taken = f"{sum(lines):,} of {amount(most, 'line')}" if most is not None else amount(sum(lines), "line")
            parts.append(f"{name} {taken}" if budget.areas else taken)
    return ", ".join(parts)


def _totals(rows: list[CountedFile]) -> dict[str, object]:
    added, removed = sum(row.added for row in rows), sum(row.removed for row in rows)
    return {"files": len(rows), "added": added, "removed": removed, "lines": added + removed}


CHECK = Check("diff-budget", "files and lines of the change against a budget", RULES, run, excusable=True, keys=Budget)
