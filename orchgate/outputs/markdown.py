"""For a comment on a pull request: the verdict, what changed, before and after, and the rest folded away.

The first line is hidden, and always the same: by it a bot finds its comment again.
"""

from __future__ import annotations

from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Severity
from orchgate.outputs import _report, text
from orchgate.outputs._escape import code, prose
from orchgate.verdict import reported_benchmarks, values, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TextIO

    from orchgate.model import CheckResult, Diagnostic, Finding, Location, Report, Scope, Trouble

MOST = 65_536  # what a comment on GitHub may hold, in characters; no text here has more of them than bytes
OPEN = 10  # findings that are not folded away
_LONGEST = 1_000  # characters of a message
_TAIL = 400  # bytes kept for the sentence that says what is left out, and for what closes a section
_ROWS = 50  # of a table
_HEADER = ("", "base", "head", "change", "interval", "")


class ReportSection(NamedTuple):
    """What stands below one title, folded away or not."""

    title: str
    items: tuple[str, ...]
    folded: bool = True


def render(report: Report, stream: TextIO) -> None:
    stream.write(document(report))


def marker(report: Report) -> str:
    """The hidden line by which a bot knows the comment of this command."""
    return f"<!-- orchgate: {report.about.command} -->"


def document(report: Report, most: int = MOST) -> str:
    """Markdown of at most so many bytes; a sentence says what is left out."""
    lines = [marker(report), f"### orchgate: {text.WORDS[report.verdict]}"]
    for line in filter(None, (prose(clip(_report.headline(report), _LONGEST)), _changed(report))):
        lines += ["", line]
    for check in report.checks:
        lines += _table(check)
    page = _Page(lines, most - _TAIL)
    left = sum(map(page.add, _sections(report)))
    page.add(_looked_at(report))
    if left:
        what = counted(left, "more entry is", "more entries are")
        all_of_them = code(f"orchgate {report.about.command} --output-format json")
        page.lines += ["", f"{what} not shown: there is no more room here. {all_of_them} prints all of them."]
    explained = next((one.finding.rule for one in _report.counting(report) if one.severity is Severity.ERROR), "")
    page.lines += ["", f"Why: {code(f'orchgate explain {explained}')}"] if explained else []
    return "\n".join(page.lines) + "\n"


class _Page:
    """Lines, as long as there is room for them."""

    def __init__(self, lines: list[str], room: int) -> None:
        self.lines = lines
        self._room = room - sum(map(_size, lines))

    def add(self, section: ReportSection) -> int:
        """How many of its items there is no room for."""
        title = [f"<details><summary>{section.title}</summary>", ""] if section.folded else [f"**{section.title}**", ""]
        end = ["", "</details>"] if section.folded else []
        taken = list(self._fitting(section.items, sum(map(_size, ("", *title, *end)))))
        if taken:
            self.lines += ["", *title, *taken, *end]
        return len(section.items) - len(taken)

    def _fitting(self, items: Iterable[str], frame: int) -> Iterator[str]:
        room = self._room - frame
        for item in items:
            room -= _size(item)
            if room < 0:
                return
            self._room = room
            yield item


def _size(line: str) -> int:
    return len(line.encode()) + 1


# What is judged


def _changed(report: Report) -> str:
    """What changed, in a sentence; "" where no change was looked for."""
    what = _subject(report.scope)
    changes = () if report.scope.unknown is not None else report.scope.changes
    if changes:
        lines = sum(one.added or 0 for one in changes), sum(one.removed or 0 for one in changes)
        what += f": {counted(len(changes), 'file')}, +{lines[0]:,} -{lines[1]:,} lines"
    return f"{what}." if what else ""


def _subject(scope: Scope) -> str:
    base, head = (code(end[:12]) if end else "" for end in (scope.base, scope.head))
    origin = f" ({prose(clip(scope.origin, _LONGEST))})" if scope.origin else ""
    match scope.kind:
        case "range" | "commit" if base and head:
            return f"From {base}{origin} to {head}"
        case "range" | "commit" if head:
            return f"Everything up to {head}"
        case "staged":
            return f"What is staged, on {base}" if base else "What is staged"
        case "tree":
            return f"The whole tree, compared with {base}{origin}" if base else "The whole tree"
    return f"Since {base}{origin}" if base else ""


def _table(check: CheckResult) -> Iterator[str]:
    """Before and after, of a check that has measured both."""
    measured = [one for name in ("metrics", "counters") for one in _listed(check.facts.get(name))]
    rows = [words.row(values.restored(one)) for one in measured]
    rows += map(reported_benchmarks.row, _listed(check.facts.get("benchmarks")))
    if not rows:
        return
    yield from ("", _row(_HEADER), "| :-- | --: | --: | --: | --: | :-- |")
    yield from (_row([prose(cell) for cell in row]) for row in rows[:_ROWS])
    if len(rows) > _ROWS:
        yield from ("", f"{len(rows) - _ROWS} more rows are not shown.")


def _listed(value: object) -> list[dict[str, object]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


# What was found


def _sections(report: Report) -> Iterator[ReportSection]:
    counting = _report.counting(report)
    errors, warnings, notes = ([one for one in counting if one.severity is severity] for severity in Severity)
    broken = tuple(_broken(trouble, checks) for trouble, checks in text.causes(report).items())
    items = tuple(map(_item, _report.lines(errors)))
    if items:
        yield ReportSection(counted(len(errors), "error"), items[:OPEN], folded=False)
    if items[OPEN:]:
        yield ReportSection("More errors", items[OPEN:])
    if broken:
        yield ReportSection("Could not be checked", broken, folded=False)
    for found, word in ((warnings, "warning"), (notes, "note")):
        if found:
            yield ReportSection(counted(len(found), word), tuple(map(_item, _report.lines(found))))
    suppressed = [one for one in report.diagnostics if one.suppressed is not None]
    if suppressed:
        items = tuple(f"{_item(one)} (suppressed: {prose(clip(one.suppressed or '', _LONGEST))})" for one in suppressed)
        yield ReportSection(f"{len(suppressed):,} suppressed", items)


def _looked_at(report: Report) -> ReportSection:
    rows = []
    for check in report.checks:
        counts = (counted(number, name.removesuffix("s"), name) for name, number in check.examined.items() if number)
        off = f"off: {check.facts['off']}" if "off" in check.facts else ""
        rows.append(
            _row(
                [
                    prose(check.id),
                    text.WORDS[check.verdict],
                    prose(clip(off or ", ".join(counts) or "nothing", _LONGEST)),
                ]
            )
        )
    header = (_row(("check", "", "looked at")), "| :-- | :-- | :-- |")
    return ReportSection("What was looked at", () if report.about.failed else (*header, *rows))


def _item(one: Diagnostic) -> str:
    finding = one.finding
    return f"- {_place(finding.location)}**{finding.rule}** {_said(finding)}"


def _broken(one: Trouble, checks: Sequence[str]) -> str:
    who = f"{prose(', '.join(checks))}: " if checks != [_report.NOBODY] else ""
    return f"- {_place(one.location)}{who}{_said(one)}"


def _place(location: Location) -> str:
    line = f":{location.line}" if location.line else ""
    return f"{code(clip(location.path, _LONGEST) + line)} " if location.path else ""


def _said(one: Finding | Trouble) -> str:
    steps = (f"{step.label}: {code(clip(step.command, _LONGEST))}" for step in one.steps)
    hint = (prose(clip(one.hint, _LONGEST)),) if one.hint else ()
    return "<br>".join((prose(clip(one.message, _LONGEST)), *hint, *steps))
