"""The managed block of an action plan: the runs before and after a change, and a table of what they cost.

Written by `orchgate evidence summarize` and recomputed by EVD011. The text is a pure function of the runs, so that
writing it again changes nothing, and every number in it can be checked one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.errors import OrchgateError
from orchgate.evidence.claims import SUMMARY
from orchgate.metrics import before_after
from orchgate.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orchgate.evidence.lock import Facts
    from orchgate.metrics.before_after import Recorded, Row

_BEGIN = lazy(r"<!-- orchgate summary v(\d{1,6}) of ([^\n]{1,300}?) -->")
END = "<!-- orchgate summary ends -->"
VERSION = 1
SIDES = ("Before", "After")
_HEAD = ("metric", "before", "after", "change")
_LINK = lazy(r"- `([^`\n]+)`")
_NAMES = {
    "wall_seconds": "wall time",
    "cpu_seconds": "CPU time",
    "max_rss_bytes": "peak memory",
    "manifest_writes": "manifest writes",
    "written_bytes": "bytes written",
    "read_bytes": "bytes read",
    "processes": "processes",
    "success_rate": "success rate",
    "test_pass_rate": "test pass rate",
}
_SUCCEEDED = frozenset({"succeeded", "success", "passed", "completed"})


class Block(NamedTuple):
    """A block as it stands in a text: where it begins and ends, what it is about, and which runs it cites."""

    start: int
    end: int
    pipeline: str
    version: int
    before: tuple[str, ...]
    after: tuple[str, ...]


class Cut(OrchgateError):
    """A block that begins and cannot be read. `offset` is where it begins."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message, "orchgate evidence summarize writes it anew")
        self.offset = offset


def blocks(text: str) -> Iterator[Block | Cut]:
    """Every block of a text, in order, and those that cannot be read."""
    at = text.find(SUMMARY)
    while at >= 0:
        begin = _BEGIN.match(text, at)
        end = text.find(END, at)
        following = text.find(SUMMARY, at + 1)
        if text.startswith(END, at):
            yield Cut(at, "a summary ends here that does not begin")
            end = at
        elif begin is None:
            yield Cut(at, "the line that begins this summary was changed")
        elif end < 0 or following < end:
            yield Cut(at, f"this summary does not end with {END}")
            end = -1
        else:
            inner = text[begin.end() : end]
            yield Block(at, end + len(END), begin[2], int(begin[1]), *(_links(inner, side) for side in SIDES))
        at = text.find(SUMMARY, (at if end < 0 else end) + 1)


def _links(inner: str, side: str) -> tuple[str, ...]:
    """The runs listed below the line that names a side."""
    found: list[str] = []
    listing = False
    for line in inner.splitlines():
        link = _LINK.fullmatch(line.strip())
        if link and listing:
            found.append(link[1])
        elif line.strip():
            listing = line.startswith(side + " ")
    return tuple(found)


def recorded(facts: Facts) -> Recorded:
    return before_after.Recorded(facts.status.casefold() in _SUCCEEDED, facts.numbers)


def render(
    pipeline: str,
    before: Sequence[str],
    after: Sequence[str],
    facts: Callable[[str], Facts],
    origins: Mapping[str, str] | None = None,
) -> str:
    """The block for runs by the repository paths of their manifests, without a line break at its end.

    `origins` says of those that were recorded elsewhere where that was. Raises what `facts` raises.
    """
    known = {path: facts(path) for path in (*before, *after)}
    rows = before_after.rows(*([recorded(known[path]) for path in side] for side in (before, after)))
    lines = [f"<!-- orchgate summary v{VERSION} of {pipeline} -->"]
    for side, paths in zip(SIDES, (before, after), strict=True):
        lines += [f"{side} ({_counted(len(paths))} of {pipeline}):", "", *(f"- `{path}`" for path in paths), ""]
    machines = {run.machine for run in known.values() if run.machine}
    lines += [*_table(rows), "", *_notes(rows, machines=len(machines)), *_brought(origins or {}), END]
    return "\n".join(lines)


def _counted(runs: int) -> str:
    return "one run" if runs == 1 else f"{runs} runs"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    cells = [_HEAD, *(tuple(cells_of(row)) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    for number, line in enumerate(cells):
        padded = [
            line[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)),
        ]
        yield "| " + " | ".join(padded) + " |"
        if number == 0:
            yield (
                "|"
                + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths))
                + "|"
            )


def _notes(rows: Sequence[Row], *, machines: int) -> Iterator[str]:
    if any(row.confidence is not None for row in rows):
        yield "Medians; the change is the median ratio of all pairs of runs (its interval; the confidence of that)."
    else:
        yield "One run on a side: no interval can be given."
    if machines > 1:
        yield f"Recorded on {machines} kinds of machine: times and memory do not compare."
    yield ""


def _brought(origins: Mapping[str, str]) -> Iterator[str]:
    """Which runs were recorded in another clone. Identifiers, not paths: these are no further citations."""
    for place in sorted(set(origins.values())):
        runs = [path.split("/")[-2] for path, origin in origins.items() if origin == place]
        yield f"Recorded elsewhere, in {place}: {', '.join(sorted(runs))}."
        yield ""


def cells_of(row: Row) -> tuple[str, str, str, str]:
    """A row as its table shows it."""
    return _NAMES[row.metric], value(row.metric, row.before), value(row.metric, row.after), _change(row)


def value(metric: str, number: float | None) -> str:
    """A metric's value with its unit."""
    if number is None:
        return "not measured"
    if metric.endswith("_rate"):
        return f"{number * 100:.1f} %"
    if metric.endswith("_seconds"):
        return f"{number:.3f} s"
    if metric.endswith("_bytes"):
        return _bytes(number)
    return f"{number:.1f}".removesuffix(".0")


def _bytes(number: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.2f} GiB"


def _change(row: Row) -> str:
    if row.before is None or row.after is None:
        return "unknown"
    if row.metric.endswith("_rate"):
        points = (row.after - row.before) * 100
        return "same" if points == 0 else f"{points:+.1f} points"
    if row.change is None:
        return "unknown"
    if row.low is None or row.high is None or row.confidence is None:
        return _percent(row.change)
    return f"{_percent(row.change)} ({_percent(row.low)} to {_percent(row.high)}; {row.confidence * 100:.0f} %)"


def _percent(fraction: float) -> str:
    shown = f"{fraction * 100:+.1f} %"
    return "0.0 %" if shown in ("+0.0 %", "-0.0 %") else shown


def place(text: str, block: str, found: Block | None, at: int) -> str:
    """A text with a block in the place of an old one, or at an offset where there was none.

    It stands between blank lines; the rest of the text stays as it is.
    """
    if found is not None:
        return text[: found.start] + block + text[found.end :]
    before, after = text[:at].rstrip("\n"), text[at:].lstrip("\n")
    return f"{before}\n\n{block}\n" + (f"\n{after}" if after else "")


def numbers_by_row(text: str) -> Mapping[str, tuple[tuple[str, ...], int]]:
    """The cells of a block's table by their row's name, each with the offset of its line."""
    found: dict[str, tuple[tuple[str, ...], int]] = {}
    offset = 0
    for line in text.splitlines(keepends=True):
        cells = tuple(cell.strip() for cell in line.strip().strip("|").split("|"))
        if line.lstrip().startswith("|") and cells[0] and not cells[0].startswith("-") and cells != _HEAD:
            found[cells[0]] = (cells[1:], offset)
        offset += len(line)
    return found
