"""`orchgate history show`: what the runs of all machines add up to."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta

from orchgate.commands.history import asked, workspace
from orchgate.commands.shared import options, screen, servers, work_tree
from orchgate.errors import UsageError
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape
from orchgate.verdict import words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orchgate.commands.history.workspace import HistoryWorkspace
    from orchgate.commands.shared.command_line import Parser
    from orchgate.commands.shared.servers import Say
    from orchgate.history.collect import Collected
    from orchgate.history.objects.addresses import StoreAddress
    from orchgate.history.query import Runs
    from orchgate.history.repositories import RepositoryIdentity
    from orchgate.history.segments import Line
    from orchgate.history.store import Loaded
    from orchgate.trends.answers import Answers

    Found = list[tuple[RepositoryIdentity, list[Line]]]

SUMMARY = "show runs, success and costs of all machines, by pipeline or whatever is asked for"
ABOUT = "Without --from, of what is here: the runs of this clone and those that were fetched, each once."
EXAMPLES = (
    "orchgate history show --by pipeline,machine",
    "orchgate history show --by pipeline,week --since 90d",
    "orchgate history show --plot",
    "orchgate history show --from git --output-format json",
    'orchgate history show --sql "SELECT status, count(*) FROM runs GROUP BY 1"',
)
EXIT_CODES = {0: "shown", 3: "a server was not reached, or a part of the history could not be read and does not count"}
VERSION = 1
LOCAL = "local"
FIGURES = ("benchmark", "counter")
BY = ("repository", "month", "week", "task", "pipeline", "stage", *FIGURES, "machine")
_COLUMNS = (
    ("runs", "runs"),
    ("success", "success_rate"),
    ("flaky", "flaky_rate"),
    ("wall", "p50_wall_seconds"),
    ("wall p90", "p90_wall_seconds"),
    ("cpu", "p50_cpu_seconds"),
    ("cpu p90", "p90_cpu_seconds"),
    ("max RSS", "p50_max_rss_bytes"),
)
_OF_FIGURES = (
    ("runs", "runs"),
    ("median", "p50_value"),
    ("p90", "p90_value"),
    ("least", "least_value"),
    ("most", "most_value"),
)
_LAST = "last end (UTC)"
# A narrow terminal goes without these, this one first.
_LEAST_FIRST = (_LAST, "cpu p90", "max RSS", "wall p90", "flaky", "cpu", "most", "least", "p90")
_NEWEST = 52  # weeks that are drawn
_LARGE = 1e15  # a figure with more digits is told by its size
_LEAST_WIDTH = 4  # of a column of names, where there is no room
_DATES = ("month", "week")  # whose beginnings are the same
_LEAST_NAME = 24  # characters of a benchmark's name that are shown
_NONE = "-"
_HERE = "this clone"
_DAYS = lazy(r"(?a)(\d{1,5})d")


def arguments(parser: Parser) -> None:
    options.output_format(parser, "history", "history-answer")
    parser.add_argument("--by", type=_by, metavar="NAMES", help=f"of {', '.join(BY)} (pipeline)")
    parser.add_argument("--since", type=_since, metavar="TIME", help="only runs since a day, such as 2026-03-01 or 30d")
    parser.add_argument("--plot", action="store_true", help="also draw medians week by week, and runs around changes")
    what = "git: ask the remote; URL or folder: ask that store; local: this clone's own runs (own and fetched ones)"
    parser.add_argument("--from", dest="source", default="", metavar="STORE", help=what)
    asked.arguments(parser)
    servers.add_arguments(parser)


def _by(text: str) -> tuple[str, ...]:
    from argparse import ArgumentTypeError

    from orchgate.registry import nearest

    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    for name in names:
        if name not in BY:
            raise ArgumentTypeError(f"unknown name {name[:40]}; {nearest(name, BY)}")
    if not names:
        raise ArgumentTypeError(f"expected one or more of {', '.join(BY)}")
    if set(FIGURES) <= set(names):
        raise ArgumentTypeError("benchmark and counter: a row is of one of them")
    return names


def _since(text: str) -> datetime:
    from argparse import ArgumentTypeError

    try:
        if days := _DAYS.fullmatch(text.strip()):
            return datetime.now(UTC) - timedelta(days=int(days[1]))
        return datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"expected a time such as 2026-03-01 or 30d, not {text[:40]!r}") from None


class Shown(NamedTuple):
    rows: Sequence[Mapping[str, object]]
    problems: Sequence[Mapping[str, object]]
    notes: Sequence[str]
    where: str
    runs: int
    whole: bool
    answers: Answers
    weekly: Sequence[Mapping[str, object]] = ()


def run(args: argparse.Namespace) -> Verdict:
    with servers.said(args) as (lines, say), workspace.here() as place:
        if args.sql is not None:
            return _answer(place, args, lines, say)
        args.by = args.by or ("pipeline",)
        notes: list[str] = []
        shown = _shown(place, args, notes.append)
        if args.output_format == "json":
            from orchgate.trends import facts as trend_facts

            facts = {"by": list(args.by), "run_count": shown.runs, "rows": shown.rows, "problems": shown.problems}
            facts |= trend_facts.of_answers(shown.answers)
            document = headed("history", {**facts, "notes": [*lines, *notes, *shown.notes]}, VERSION)
            work_tree.print_json(document)
        else:
            from orchgate.commands.history import report

            _print(shown, args.by, args.since)
            _plot(shown.weekly)
            report.write(shown.answers, drawn=args.plot)
            for note in (*notes, *shown.notes):
                say(note)
            workspace.say_problems(shown.problems, say)
    return Verdict.PASS if shown.whole else Verdict.BROKEN


def _shown(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> Shown:
    from orchgate.commands.history import report
    from orchgate.history import query
    from orchgate.history.collect import ahead
    from orchgate.trends import answers

    if where := _store(place, args):
        return _of_store(place, args, where, say)
    loaded, own, told = _loaded(place, args, say)
    found = _found(place, loaded, own)
    runs = query.counted(found, ahead(), args.since)
    problems = [*_problems(loaded, own), *_kept_out(runs)]
    number = sum(len(one.entries) for one in runs)
    weekly = query.rows(runs, _weekly(args.by)) if args.plot else ()
    known = answers.known(place.repository, place.config, _named_as(place.identity, (one for one, _ in found)))
    found_out = answers.of_runs(runs, known)
    notes = [*_twins(one.repository.name for one in runs), *report.notes(known, found_out)]
    whole = _is_whole(loaded, own)
    return Shown(query.rows(runs, args.by), problems, notes, told, number, whole, found_out, weekly)


def _store(place: HistoryWorkspace, args: argparse.Namespace) -> StoreAddress | None:
    """The folder or the bucket that is asked. Raises UsageError."""
    return None if args.source in ("", LOCAL) else workspace.address(place, args.source)


def _of_store(place: HistoryWorkspace, args: argparse.Namespace, where: StoreAddress, say: Say) -> Shown:
    """What DuckDB makes of parts that stay files: there may be many more runs than fit into memory."""
    with asked.of_store(place, args, where, say) as there:
        from orchgate.commands.history import report
        from orchgate.history.sql import figures, relations
        from orchgate.trends import answers, stored

        identities = relations.repositories(there.database)
        known = answers.known(place.repository, place.config, _named_as(place.identity, identities))
        found_out = stored.of_database(there.database, known)
        problems = [*workspace.faults_of(there.faults), *asked.left_out(there.settled)]
        weekly = figures.rows(there.database, _weekly(args.by)) if args.plot else ()
        notes = [*_twins(there.settled.repositories), *report.notes(known, found_out)]
        found, number = figures.rows(there.database, args.by), there.settled.runs
        return Shown(found, problems, notes, there.where, number, not there.faults, found_out, weekly)


def _answer(place: HistoryWorkspace, args: argparse.Namespace, lines: Sequence[str], say: Say) -> Verdict:
    """Answers a query of somebody's own. Raises UsageError."""
    if args.by or args.plot:
        option = "--by" if args.by else "--plot"
        raise UsageError(f"{option} is for the usual rows, and --sql asks for others", f"leave {option} out")
    workspace.require_duckdb()
    from orchgate.history.sql import sources

    if where := _store(place, args):
        with asked.of_store(place, args, where, say) as there:
            return asked.answer(there, args, workspace.faults_of(there.faults), lines, say)
    loaded, own, told = _loaded(place, args, say)
    with sources.of_lines(_found(place, loaded, own), asked.bounds(args)) as here:
        whole = _is_whole(loaded, own)
        return asked.answer(here._replace(where=told), args, _problems(loaded, own), lines, say, whole=whole)


def _found(place: HistoryWorkspace, loaded: Loaded, own: Collected | None) -> Found:
    from orchgate.history.repositories import of_head

    found: Found = [(of_head(one.head), list(one.runs)) for one in loaded.segments]
    if own:
        found.append((_named_as(place.identity, (one for one, _ in found)), list(own.runs.values())))
    return found


def _problems(loaded: Loaded, own: Collected | None) -> list[Mapping[str, object]]:
    return [*workspace.faults_of(loaded.faults), *(workspace.kept_out(own) if own else ())]


def _is_whole(loaded: Loaded, own: Collected | None) -> bool:
    return not loaded.faults and not (own and own.unreadable)


def _weekly(by: Iterable[str]) -> tuple[str, ...]:
    return (*(name for name in by if name not in ("month", "week")), "week")


def _named_as(own: RepositoryIdentity, known: Iterable[RepositoryIdentity]) -> RepositoryIdentity:
    """This repository; one that nothing names is called as its runs are elsewhere."""
    others = [one for one in known if own.roots and one.roots == own.roots]
    return own if own.is_named else next(iter(others), own)


def _loaded(place: HistoryWorkspace, args: argparse.Namespace, say: Say) -> tuple[Loaded, Collected | None, str]:
    """Segments and own runs, as far as they are asked for, and where they are, in words. Raises OrchgateError."""
    from orchgate.history import git_store, store

    within = store.since(args.since)
    if args.source == LOCAL:
        return store.Loaded(()), workspace.own_runs(place), _HERE
    if args.source:
        with workspace.segments_of(place, args, args.source, say) as there:
            loaded = store.load(there, there.names(within))
            return loaded._replace(faults=(*there.untaken, *loaded.faults)), None, there.where
    source, foreign = git_store.fetched(place.store)
    for name in foreign[: workspace.NAMED]:
        say(f"{source.where} also holds what is no history: {name}")
    loaded = store.load(source, source.names(within))
    for parts in workspace.cached_parts(place, say):
        loaded = loaded.joined(store.load(parts, parts.names(within)))
    return loaded, workspace.own_runs(place), f"{_HERE} and what it has fetched"


def _kept_out(runs: Iterable[Runs]) -> Iterator[Mapping[str, object]]:
    for one in runs:
        yield from workspace.left_out(one.left_out.items())


def _twins(names: Iterable[str]) -> Iterator[str]:
    """Which names several repositories have."""
    for name in dict.fromkeys(name.partition(" (roots ")[0] for name in names if " (roots " in name):
        yield f"several repositories are called {name}; they are kept apart by their first commits"


def _print(shown: Shown, by: Sequence[str], since: datetime | None) -> None:
    if not shown.rows:
        sys.stdout.write(_nothing(shown, by, since))
        return
    sys.stdout.write(f"{counted(shown.runs, 'run')} of {shown.where}\n")
    names = [name for name in BY if name in by]
    columns = _OF_FIGURES if any(name in FIGURES for name in names) else _COLUMNS
    table = [[*names, *(title for title, _ in columns), _LAST]]
    width = screen.here().width
    table += [[*(_named(row[name], name, width) for name in names), *_cells(row, columns)] for row in shown.rows]
    kept = screen.narrowed(table, width, _LEAST_FIRST, 2)
    shrinking = {at: _LEAST_WIDTH for at, name in enumerate(names) if name not in _DATES}
    fitted = screen.fitted(kept, width and width - 2, shrinking)
    sys.stdout.writelines(f"{line}\n" for line in screen.rows(fitted, range(len(names), len(fitted[0]))))


def _named(value: object, what: str, width: int | None) -> str:
    """What tells a row apart. The end of a benchmark's name is what others do not have, and shall leave room."""
    text = escape(str(value or _NONE))
    limit = max(_LEAST_NAME, (width or 0) // 2)
    return f"…{text[1 - limit :]}" if what in FIGURES and width and len(text) > limit else text


def _nothing(shown: Shown, by: Iterable[str], since: datetime | None) -> str:
    if not shown.runs and since:
        return f"no runs since {since:%Y-%m-%d} of {shown.where} count\n  hint: an earlier --since, or none\n"
    if not shown.runs and not shown.where.startswith(_HERE):
        return f"no runs of {shown.where} count\n"
    if not shown.runs:
        return "no runs are known here\n  hint: orchgate history fetch\n"
    what, where = ("benchmark", "performance.benchmarks") if "benchmark" in by else ("counter", "metrics of a stage")
    runs = counted(shown.runs, "run")
    return f"none of {runs} of {shown.where} holds a {what}\n  hint: {where} says where a run leaves them\n"


def _plot(weekly: Sequence[Mapping[str, object]]) -> None:
    """Draws, for each row but for its week, the medians of its weeks."""
    seen = screen.here()
    kind = "p50_value" if any("p50_value" in row for row in weekly) else "p50_wall_seconds"
    series: dict[tuple[tuple[str, ...], object], list[float]] = {}
    for row in weekly:
        if isinstance(value := row[kind], int | float):
            key = tuple(_named(row[name], name, seen.width) for name in BY if name in row and name != "week")
            series.setdefault((key, row.get("unit", "")), []).append(value)
    drawn = {key: values[-_NEWEST:] for key, values in series.items() if len(values) > 1}
    if not drawn:
        return
    sys.stdout.write(f"median{' wall time' * (kind == 'p50_wall_seconds')}, week by week, oldest first:\n")
    table = [
        [*names, screen.sparkline(values, seen.glyphs), " to ".join(_ends(values, kind, unit))]
        for (names, unit), values in drawn.items()
    ]
    shrinking = dict.fromkeys(range(len(table[0]) - 1), _LEAST_WIDTH)
    fitted = screen.fitted(table, seen.width and seen.width - 2, shrinking)
    sys.stdout.writelines(f"{line}\n" for line in screen.rows(fitted))


def _ends(values: Sequence[float], kind: str, unit: object) -> Iterator[str]:
    ends = min(values), max(values)
    of_costs = kind.endswith("_seconds")
    yield from dict.fromkeys(words.amount(kind, value) if of_costs else _figure(value, unit) for value in ends)


def _cells(row: Mapping[str, object], columns: Iterable[tuple[str, str]]) -> Iterator[str]:
    from orchgate.trends import told

    for _, name in columns:
        value = row[name]
        if name == "runs":
            yield f"{value:,}"
        elif not isinstance(value, int | float):
            yield _NONE
        elif name.endswith("_value"):
            yield _figure(value, row.get("unit", ""))
        elif name.endswith("_rate") and 0 < value < 1:
            yield told.rate(value, row[f"low_{name}"], row[f"high_{name}"])
        else:
            yield words.amount(name, value)
    yield str(row["last_completed_at"] or _NONE)[:16].replace("T", " ")


def _figure(value: float, unit: object) -> str:
    from orchgate.verdict import reported_benchmarks

    if unit == "ns" and value > 0:
        return reported_benchmarks.duration(value / 1e9)
    told = f"{value:,.0f}" if abs(value) < _LARGE and value == int(value) else f"{value:.4g}"
    return f"{told} {escape(str(unit))}".rstrip()
