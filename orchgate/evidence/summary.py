"""The managed block of an action plan: the runs before and after a change, and a table of what they cost.

EVD011 asks whether the block says what its runs say.
"""

from __future__ import annotations

from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.references import SUMMARY
from orchgate.lib.lazy import lazy
from orchgate.lib.text import aligned
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Severity
from orchgate.verdict import before_after
from orchgate.verdict.words import AT_LEAST

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock import RunFacts
    from orchgate.markdown.document import Document
    from orchgate.references.artifacts import Artifacts
    from orchgate.verdict.before_after import MetricChange, RecordedRun

NEWEST = 2
HEAD = ("metric", "before", "after", "change")
NAMES = {
    "wall_seconds": "wall time",
    "cpu_seconds": "CPU time",
    "max_rss_bytes": "peak memory",
    "tree_rss_bytes": "peak memory, all at once",
    "manifest_writes": "manifest writes",
    "written_bytes": "bytes written",
    "read_bytes": "bytes read",
    "processes": "processes",
    "success_rate": "success rate",
    "test_pass_rate": "test pass rate",
}
_TOLERATED = 0.1 + 1e-9  # points by which two percentages differ that were only rounded otherwise


def cells_of(row: MetricChange, version: int = NEWEST) -> tuple[str, str, str, str]:
    """A row as its table shows it."""
    before, after = (
        (AT_LEAST if least and number is not None else "") + value(row.metric, number, version)
        for number, least in zip((row.before, row.after), row.least, strict=True)
    )
    return NAMES[row.metric], before, after, _change(row, version)


def value(metric: str, number: float | None, version: int = NEWEST) -> str:
    """A metric's value with its unit."""
    if number is None:
        return "not measured"
    if metric.endswith("_rate"):
        return f"{number * 100:.1f} %"
    if metric.endswith("_seconds"):
        return f"{number:.3f} s" if version == 1 or number >= 1 else f"{number:.{_places(number)}f} s"
    if metric.endswith("_bytes"):
        return _bytes(number, 1 if version == 1 else 2)
    return f"{number:.1f}".removesuffix(".0")


def _places(number: float) -> int:
    """Decimals that show four digits of a fraction of a second, down to the microseconds that are recorded."""
    places = 3
    while number < 1 and places < 6:
        number *= 10
        places += 1
    return places


def _bytes(number: float, places: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} B" if unit == "B" else f"{number:.{places}f} {unit}"
        number /= 1024
    return f"{number:.2f} GiB"


def _change(row: MetricChange, version: int) -> str:
    if row.before is None or row.after is None:
        return "unknown"
    if row.metric.endswith("_rate"):
        points = (row.after - row.before) * 100
        return "same" if points == 0 else f"{points:+.1f} points"
    if any(row.least):
        return _bounded(row)
    if row.change is None:
        return "unknown"
    change = _percent(row.change)
    if row.low is not None and row.high is not None and row.confidence is not None:
        change += f" ({_percent(row.low)} to {_percent(row.high)}; {row.confidence * 100:.0f} %)"
    if version == 1 or row.of_medians is None or not disagree(row):
        return change
    return f"{change}; medians {_percent(row.of_medians)}"


def disagree(row: MetricChange) -> bool:
    """Whether the medians of a row moved otherwise than its pairs."""
    if row.change is None or row.of_medians is None or any(row.least):
        return False
    return abs(round(100 * row.change, 1) - round(100 * row.of_medians, 1)) > _TOLERATED


def _bounded(row: MetricChange) -> str:
    """What can be said of a change one side of which is a lower bound: only what holds wherever the truth lies."""
    if row.change is not None and row.least == (False, True) and row.change > 0:
        return f"at least {_percent(row.change)}"
    if row.change is not None and row.least == (True, False) and row.change <= 0:
        return f"at most {_percent(row.change)}"
    sides = " and ".join(side for side, least in zip(HEAD[1:3], row.least, strict=True) if least)
    return f"cannot tell: {sides} a lower bound"


def _percent(fraction: float) -> str:
    shown = f"{fraction * 100:+.1f} %"
    return "0.0 %" if shown in ("+0.0 %", "-0.0 %") else shown


_BEGIN = lazy(r"<!-- orchgate summary v(\d{1,6}) of ([^\n]{1,300}?) -->")
END = "<!-- orchgate summary ends -->"
VERSION = NEWEST
VERSIONS = (1, VERSION)
SIDES = ("Before", "After")
_LINK = lazy(r"- `([^`\n]+)`")
_SUCCEEDED = frozenset({"succeeded", "success", "passed", "completed"})
_CANCELLED = frozenset({"cancelled", "canceled", "aborted", "interrupted"})
_INTERVAL = "(its interval; the confidence of that)"
_UNSAFE = lazy(r"[<>|`\\\x00-\x1f\x7f]+")


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
        super().__init__(message, "write it again with `orchgate evidence summarize`")
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


def recorded(facts: RunFacts, version: int = VERSION) -> RecordedRun:
    status = facts.status.casefold()
    of_kind = (status in _CANCELLED, bool(facts.cached)) if version > 1 else (False, False)
    return before_after.RecordedRun(status in _SUCCEEDED, facts.numbers, *of_kind, facts.lower_bounds.keys())


def render(
    pipeline: str,
    before: Sequence[str],
    after: Sequence[str],
    facts: Callable[[str], RunFacts],
    version: int = VERSION,
    *,
    origins: Mapping[str, str] | None = None,
) -> str:
    """The block for runs by the repository paths of their manifests, without a line break at its end.

    `origins` says of those that were recorded elsewhere where that was. Raises what `facts` raises.
    """
    sides = tuple([facts(path) for path in side] for side in (before, after))
    rows = before_after.rows(*([recorded(known, version) for known in side] for side in sides))
    lines = [f"<!-- orchgate summary v{version} of {pipeline} -->"]
    for side, paths in zip(SIDES, (before, after), strict=True):
        lines += [f"{side} ({_counted(len(paths))} of {pipeline}):", "", *(f"- `{path}`" for path in paths), ""]
    cells = [cells_of(row, version) for row in rows] + (list(_left_out(*sides)) if version > 1 else [])
    notes = _notes(rows, version, {run.machine for side in sides for run in side if run.machine})
    lines += [*_table(cells), "", *notes, *_bounds(rows, sides), *_brought(origins or {}), END]
    return "\n".join(lines)


def _left_out(*sides: Sequence[RunFacts]) -> Iterator[tuple[str, str, str, str]]:
    """The runs that are in no median, by kind: how many on each side, and how long they took."""
    for kind in _KINDS:
        runs = [[one for one in side if kind == _kind(one)] for side in sides]
        if any(runs):
            before, after = map(_runs, runs)
            yield kind, before, after, "in no median"


_KINDS = ("failed runs", "cancelled runs", "runs that do not say how they ended", "runs with stages from the cache")


def _kind(facts: RunFacts) -> str:
    """The kind of runs that a run is of which are in no median; "" for one that is."""
    status = facts.status.casefold()
    if status in _SUCCEEDED:
        return _KINDS[3] if facts.cached else ""
    return _KINDS[1] if status in _CANCELLED else _KINDS[0] if status else _KINDS[2]


def _runs(runs: Sequence[RunFacts]) -> str:
    walls = [wall for one in runs if (wall := one.numbers.get("wall_seconds")) is not None]
    return str(len(runs)) + (f" ({value('wall_seconds', sum(walls))})" if walls else "")


def _counted(runs: int) -> str:
    return "one run" if runs == 1 else f"{runs} runs"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    cells = [HEAD, *rows]
    for number, padded in enumerate(aligned(cells, range(1, len(HEAD)))):
        yield "| " + " | ".join(padded) + " |"
        if number == 0:
            yield (
                "|"
                + "|".join("-" * (len(cell) + 1) + (":" if column else "-") for column, cell in enumerate(padded))
                + "|"
            )


def _notes(rows: Sequence[MetricChange], version: int, machines: Collection[str]) -> Iterator[str]:
    of_whom = " of the runs that succeeded, without those that had stages from the cache" if version > 1 else ""
    if any(row.confidence is not None for row in rows):
        yield f"Medians{of_whom}; the change is the median ratio of all pairs of runs {_INTERVAL}."
        if version > 1 and any(map(disagree, rows)):
            yield "Where the medians alone moved otherwise than the pairs, their change stands behind it."
    else:
        yield "One run on a side: no interval can be given."
    if len(machines) > 1:
        yield f"Recorded on {len(machines)} kinds of machine: times and memory do not compare."
    yield ""


def _brought(origins: Mapping[str, str]) -> Iterator[str]:
    """Which runs were recorded in another clone. Identifiers, not paths: these are no further citations."""
    for place in sorted(set(origins.values())):
        runs = [path.split("/")[-2] for path, origin in origins.items() if origin == place]
        yield f"Recorded elsewhere, in {place}: {', '.join(sorted(runs))}."
        yield ""


def _bounds(rows: Sequence[MetricChange], sides: Sequence[Sequence[RunFacts]]) -> Iterator[str]:
    """Why values are lower bounds, each reason once."""
    found: dict[str, None] = {}
    for row in rows:
        for name, side, least in zip(SIDES, sides, row.least, strict=True):
            for why in [one.lower_bounds.get(row.metric) for one in side] if least else ():
                if why is not None:
                    reason = _UNSAFE.sub(" ", why).strip() or "not measured whole"
                    found[f"{AT_LEAST}{NAMES[row.metric]} {name.casefold()}: {reason}"] = None
    if found:
        yield from (*found, "")


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
        if line.lstrip().startswith("|") and cells[0] and not cells[0].startswith("-") and cells != HEAD:
            found[cells[0]] = (cells[1:], offset)
        offset += len(line)
    return found


SUMMARY_RULE = "EVD011"
_WRITE_AGAIN = "write it from the runs with `orchgate evidence summarize`"
_COLUMNS = ("before", "after", "change")


def findings(document: Document, runs: CitedRuns, artifacts: Artifacts) -> Iterator[Finding]:
    """A finding for every number of the document's summaries that its runs do not bear out."""
    comments = {comment.offset for comment in document.comments}
    for block in blocks(document.text):
        if (block.offset if isinstance(block, Cut) else block.start) not in comments:
            continue  # in a code block: shown, not claimed
        if isinstance(block, Cut):
            yield Finding(SUMMARY_RULE, document.location(block.offset), block.message, block.hint)
        else:
            yield from _compared(document, block, runs, artifacts)


def _compared(document: Document, block: Block, runs: CitedRuns, artifacts: Artifacts) -> Iterator[Finding]:
    at = document.location(block.start)
    if block.version not in VERSIONS:
        yield Finding(
            SUMMARY_RULE, at, f"this summary has a form, {block.version}, that is not known here", _WRITE_AGAIN
        )
        return
    if not block.before or not block.after:
        yield Finding(SUMMARY_RULE, at, "this summary names no runs before or after the change", _WRITE_AGAIN)
        return
    paths = (*block.before, *block.after)
    missing = [path for path in paths if not (artifacts.owns(path) and artifacts.exists(path))]
    if missing:
        message = f"cannot be recomputed: {missing[0]} is neither here nor pinned"
        yield Finding(SUMMARY_RULE, at, message, "run `orchgate evidence pin` in the clone that has the run")
        return
    try:
        wanted = render(block.pipeline, block.before, block.after, runs.facts, block.version)
        yield from _other_kinds(document, block, runs)
        yield from _other_pipelines(document, block, runs)
    except OrchgateError as error:
        message = f"cannot be recomputed: a run it names {error.message}"
        yield Finding(SUMMARY_RULE, at, message, error.hint or "orchgate evidence fetch")
        return
    yield from _differing_cells(document, block, wanted)


def _other_kinds(document: Document, block: Block, runs: CitedRuns) -> Iterator[Finding]:
    """Runs with stages from the cache, which an old form counts among the others, and those of which nobody knows."""
    for path in (*block.before, *block.after):
        facts, at = runs.facts(path), document.location(document.text.find(path, block.start))
        if facts.cached and block.version == 1:
            message = f"{facts.run_id} had stages from the cache, and this summary counts it among the others"
            yield Finding(SUMMARY_RULE, at, message, _WRITE_AGAIN, Severity.WARNING)
        elif facts.cached is None and facts.format == "orchgate" and block.version > 1:
            message = f"the lock does not say whether {facts.run_id} had stages from the cache"
            yield Finding(SUMMARY_RULE, at, message, f"orchgate evidence pin {quoted(path)}")


def _other_pipelines(document: Document, block: Block, runs: CitedRuns) -> Iterator[Finding]:
    for path in (*block.before, *block.after):
        pipeline = runs.facts(path).pipeline
        if pipeline and pipeline != block.pipeline:
            at = document.location(document.text.find(path, block.start))
            yield Finding(
                SUMMARY_RULE, at, f"is a run of {pipeline}, the summary is about {block.pipeline}", _WRITE_AGAIN
            )


def _differing_cells(document: Document, block: Block, wanted: str) -> Iterator[Finding]:
    there = numbers_by_row(document.text[block.start : block.end])
    expected = numbers_by_row(wanted)
    for name, (cells, offset) in there.items():
        at = document.location(block.start + offset)
        if name not in expected:
            yield Finding(SUMMARY_RULE, at, f"{name}: its runs say nothing about that", _WRITE_AGAIN)
            continue
        for column, cell, is_ in zip(_COLUMNS, cells, expected[name][0], strict=False):
            if cell != is_:
                yield Finding(SUMMARY_RULE, at, f"{name}, {column}: says {cell}, its runs say {is_}", _WRITE_AGAIN)
    for name in expected.keys() - there.keys():
        yield Finding(
            SUMMARY_RULE, document.location(block.start), f"leaves out {name}", _WRITE_AGAIN, Severity.WARNING
        )
